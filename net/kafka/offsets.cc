// Instantiates the codec for the messages of offsets.h.
#include "net/kafka/offsets.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(ListOffsetsRequest);
POSTHASTE_KAFKA_MESSAGE(ListOffsetsResponse);
POSTHASTE_KAFKA_MESSAGE(OffsetForLeaderEpochRequest);
POSTHASTE_KAFKA_MESSAGE(OffsetForLeaderEpochResponse);

}  // namespace posthaste::net::kafka
