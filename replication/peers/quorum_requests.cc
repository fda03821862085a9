// Instantiates the codec for the messages of quorum_requests.h.
#include "replication/peers/quorum_requests.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(replication::peers::wire::VoteRequest);
POSTHASTE_KAFKA_MESSAGE(replication::peers::wire::VoteResponse);
POSTHASTE_KAFKA_MESSAGE(replication::peers::wire::FetchRequest);
POSTHASTE_KAFKA_MESSAGE(replication::peers::wire::FetchResponse);

}  // namespace posthaste::net::kafka
