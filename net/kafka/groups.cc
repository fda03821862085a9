// Instantiates the codec for the messages of groups.h.
#include "net/kafka/groups.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(FindCoordinatorRequest);
POSTHASTE_KAFKA_MESSAGE(FindCoordinatorResponse);
POSTHASTE_KAFKA_MESSAGE(JoinGroupRequest);
POSTHASTE_KAFKA_MESSAGE(JoinGroupResponse);
POSTHASTE_KAFKA_MESSAGE(SyncGroupRequest);
POSTHASTE_KAFKA_MESSAGE(SyncGroupResponse);
POSTHASTE_KAFKA_MESSAGE(HeartbeatRequest);
POSTHASTE_KAFKA_MESSAGE(HeartbeatResponse);
POSTHASTE_KAFKA_MESSAGE(LeaveGroupRequest);
POSTHASTE_KAFKA_MESSAGE(LeaveGroupResponse);

}  // namespace posthaste::net::kafka
