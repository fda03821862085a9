// Instantiates the codec for the messages of producer_ids.h.
#include "net/kafka/producer_ids.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(InitProducerIdRequest);
POSTHASTE_KAFKA_MESSAGE(InitProducerIdResponse);

}  // namespace posthaste::net::kafka
