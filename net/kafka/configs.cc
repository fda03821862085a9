// Instantiates the codec for the messages of configs.h.
#include "net/kafka/configs.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(DescribeConfigsRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeConfigsResponse);
POSTHASTE_KAFKA_MESSAGE(AlterConfigsRequest);
POSTHASTE_KAFKA_MESSAGE(AlterConfigsResponse);
POSTHASTE_KAFKA_MESSAGE(IncrementalAlterConfigsRequest);
POSTHASTE_KAFKA_MESSAGE(IncrementalAlterConfigsResponse);

}  // namespace posthaste::net::kafka
