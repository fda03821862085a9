// Instantiates the codec for the messages of topics.h.
#include "net/kafka/topics.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(CreateTopicsRequest);
POSTHASTE_KAFKA_MESSAGE(CreateTopicsResponse);
POSTHASTE_KAFKA_MESSAGE(DeleteTopicsRequest);
POSTHASTE_KAFKA_MESSAGE(DeleteTopicsResponse);

}  // namespace posthaste::net::kafka
