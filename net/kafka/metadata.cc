// Instantiates the codec for the messages of metadata.h.
#include "net/kafka/metadata.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(MetadataRequest);
POSTHASTE_KAFKA_MESSAGE(MetadataResponse);
POSTHASTE_KAFKA_MESSAGE(DescribeClusterRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeClusterResponse);

}  // namespace posthaste::net::kafka
