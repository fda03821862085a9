// Instantiates the codec for the messages of group_admin.h.
#include "net/kafka/group_admin.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(DescribeGroupsRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeGroupsResponse);
POSTHASTE_KAFKA_MESSAGE(ListGroupsRequest);
POSTHASTE_KAFKA_MESSAGE(ListGroupsResponse);

}  // namespace posthaste::net::kafka
