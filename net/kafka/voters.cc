// Instantiates the codec for the messages of voters.h.
#include "net/kafka/voters.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(AddRaftVoterRequest);
POSTHASTE_KAFKA_MESSAGE(AddRaftVoterResponse);
POSTHASTE_KAFKA_MESSAGE(RemoveRaftVoterRequest);
POSTHASTE_KAFKA_MESSAGE(RemoveRaftVoterResponse);
POSTHASTE_KAFKA_MESSAGE(UpdateRaftVoterRequest);
POSTHASTE_KAFKA_MESSAGE(UpdateRaftVoterResponse);

}  // namespace posthaste::net::kafka
