// Instantiates the codec for the messages of partitions.h.
#include "net/kafka/partitions.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(CreatePartitionsRequest);
POSTHASTE_KAFKA_MESSAGE(CreatePartitionsResponse);
POSTHASTE_KAFKA_MESSAGE(DescribeTopicPartitionsRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeTopicPartitionsResponse);

}  // namespace posthaste::net::kafka
