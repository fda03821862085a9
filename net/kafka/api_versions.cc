// Instantiates the codec for the messages of api_versions.h.
#include "net/kafka/api_versions.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(ApiVersionsRequest);
POSTHASTE_KAFKA_MESSAGE(ApiVersionsResponse);

}  // namespace posthaste::net::kafka
