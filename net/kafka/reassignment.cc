// Instantiates the codec for the messages of reassignment.h.
#include "net/kafka/reassignment.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(ElectLeadersRequest);
POSTHASTE_KAFKA_MESSAGE(ElectLeadersResponse);
POSTHASTE_KAFKA_MESSAGE(AlterPartitionReassignmentsRequest);
POSTHASTE_KAFKA_MESSAGE(AlterPartitionReassignmentsResponse);
POSTHASTE_KAFKA_MESSAGE(ListPartitionReassignmentsRequest);
POSTHASTE_KAFKA_MESSAGE(ListPartitionReassignmentsResponse);

}  // namespace posthaste::net::kafka
