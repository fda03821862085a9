// Instantiates the codec for the messages of quorum.h.
#include "net/kafka/quorum.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(DescribeQuorumRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeQuorumResponse);
POSTHASTE_KAFKA_MESSAGE(FetchSnapshotRequest);
POSTHASTE_KAFKA_MESSAGE(FetchSnapshotResponse);

}  // namespace posthaste::net::kafka
