// Instantiates the codec for the messages of group_offsets.h.
#include "net/kafka/group_offsets.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(OffsetCommitRequest);
POSTHASTE_KAFKA_MESSAGE(OffsetCommitResponse);
POSTHASTE_KAFKA_MESSAGE(OffsetFetchRequest);
POSTHASTE_KAFKA_MESSAGE(OffsetFetchResponse);

}  // namespace posthaste::net::kafka
