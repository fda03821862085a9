// Instantiates the codec for the messages of quorum_epochs.h.
#include "net/kafka/quorum_epochs.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(VoteRequest);
POSTHASTE_KAFKA_MESSAGE(VoteResponse);
POSTHASTE_KAFKA_MESSAGE(BeginQuorumEpochRequest);
POSTHASTE_KAFKA_MESSAGE(BeginQuorumEpochResponse);
POSTHASTE_KAFKA_MESSAGE(EndQuorumEpochRequest);
POSTHASTE_KAFKA_MESSAGE(EndQuorumEpochResponse);

}  // namespace posthaste::net::kafka
