// Instantiates the codec for the messages of produce.h.
#include "net/kafka/produce.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(ProduceRequest);
POSTHASTE_KAFKA_MESSAGE(ProduceResponse);

}  // namespace posthaste::net::kafka
