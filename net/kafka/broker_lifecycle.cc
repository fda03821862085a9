// Instantiates the codec for the messages of broker_lifecycle.h.
#include "net/kafka/broker_lifecycle.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(BrokerRegistrationRequest);
POSTHASTE_KAFKA_MESSAGE(BrokerRegistrationResponse);
POSTHASTE_KAFKA_MESSAGE(BrokerHeartbeatRequest);
POSTHASTE_KAFKA_MESSAGE(BrokerHeartbeatResponse);
POSTHASTE_KAFKA_MESSAGE(UnregisterBrokerRequest);
POSTHASTE_KAFKA_MESSAGE(UnregisterBrokerResponse);
POSTHASTE_KAFKA_MESSAGE(ControllerRegistrationRequest);
POSTHASTE_KAFKA_MESSAGE(ControllerRegistrationResponse);

}  // namespace posthaste::net::kafka
