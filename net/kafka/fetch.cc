// Instantiates the codec for the messages of fetch.h.
#include "net/kafka/fetch.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(FetchRequest);
POSTHASTE_KAFKA_MESSAGE(FetchResponse);

}  // namespace posthaste::net::kafka
