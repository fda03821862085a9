// Instantiates the codec for the messages of log_admin.h.
#include "net/kafka/log_admin.h"

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

POSTHASTE_KAFKA_MESSAGE(DeleteRecordsRequest);
POSTHASTE_KAFKA_MESSAGE(DeleteRecordsResponse);
POSTHASTE_KAFKA_MESSAGE(DescribeLogDirsRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeLogDirsResponse);
POSTHASTE_KAFKA_MESSAGE(DescribeProducersRequest);
POSTHASTE_KAFKA_MESSAGE(DescribeProducersResponse);

}  // namespace posthaste::net::kafka
