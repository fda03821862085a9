// Instantiates the codec for the messages of broker_requests.h.
#include "net/kafka/broker_requests.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(AlterPartitionRequest);
POSTHASTE_KAFKA_MESSAGE(AlterPartitionResponse);
POSTHASTE_KAFKA_MESSAGE(AssignReplicasToDirsRequest);
POSTHASTE_KAFKA_MESSAGE(AssignReplicasToDirsResponse);
POSTHASTE_KAFKA_MESSAGE(AllocateProducerIdsRequest);
POSTHASTE_KAFKA_MESSAGE(AllocateProducerIdsResponse);
POSTHASTE_KAFKA_MESSAGE(EnvelopeRequest);
POSTHASTE_KAFKA_MESSAGE(EnvelopeResponse);

}  // namespace posthaste::net::kafka
