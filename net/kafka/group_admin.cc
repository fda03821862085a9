// Instantiates the codec for the messages of group_admin.h.
#include "net/kafka/group_admin.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(DescribeGroupsRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeGroupsResponse);
POSTHASTE_KAFKA_MESSAGE(ListGroupsRequest);
POSTHASTE_KAFKA_MESSAGE(ListGroupsResponse);
POSTHASTE_KAFKA_MESSAGE(DeleteGroupsRequest);
POSTHASTE_KAFKA_MESSAGE(DeleteGroupsResponse);
POSTHASTE_KAFKA_MESSAGE(OffsetDeleteRequest);
POSTHASTE_KAFKA_MESSAGE(OffsetDeleteResponse);

}  // namespace posthaste::net::kafka
