// Instantiates the codec for the messages of features.h.
#include "net/kafka/features.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(UpdateFeaturesRequest);
POSTHASTE_KAFKA_MESSAGE(UpdateFeaturesResponse);

}  // namespace posthaste::net::kafka
