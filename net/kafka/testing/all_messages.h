// Every message that the codec knows, in one list for tests that go over all of them: vectors, fuzzing, the comparison
// with Kafka's library. A new API gets a line here; VectorsTest fails without it. Test code only.
#pragma once
#include "net/kafka/api_versions.h"
#include "net/kafka/broker_lifecycle.h"
#include "net/kafka/broker_requests.h"
#include "net/kafka/configs.h"
#include "net/kafka/consumer_protocol.h"
#include "net/kafka/features.h"
#include "net/kafka/fetch.h"
#include "net/kafka/group_admin.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "net/kafka/log_admin.h"
#include "net/kafka/metadata.h"
#include "net/kafka/offsets.h"
#include "net/kafka/partitions.h"
#include "net/kafka/produce.h"
#include "net/kafka/producer_ids.h"
#include "net/kafka/quorum.h"
#include "net/kafka/quorum_epochs.h"
#include "net/kafka/reassignment.h"
#include "net/kafka/topics.h"
#include "net/kafka/unserved_apis.h"
#include "net/kafka/voters.h"

namespace posthaste::net::kafka {

template <class... Requests>
struct RequestList {
  // Calls visit.template operator()<Request>() for each, in order.
  static void for_each(auto&& visit) { (visit.template operator()<Requests>(), ...); }
};

using AllRequests =
    RequestList<ProduceRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
                OffsetFetchRequest, JoinGroupRequest, FindCoordinatorRequest, HeartbeatRequest, LeaveGroupRequest,
                SyncGroupRequest, DescribeGroupsRequest, ListGroupsRequest, ApiVersionsRequest, CreateTopicsRequest,
                DeleteTopicsRequest, InitProducerIdRequest, OffsetForLeaderEpochRequest, DescribeClusterRequest,
                CreatePartitionsRequest, DescribeTopicPartitionsRequest, DescribeConfigsRequest, AlterConfigsRequest,
                IncrementalAlterConfigsRequest, DeleteRecordsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
                DeleteGroupsRequest, OffsetDeleteRequest, VoteRequest, BeginQuorumEpochRequest, EndQuorumEpochRequest,
                DescribeQuorumRequest, FetchSnapshotRequest, AddRaftVoterRequest, RemoveRaftVoterRequest,
                UpdateRaftVoterRequest, AlterPartitionRequest, EnvelopeRequest, BrokerRegistrationRequest,
                BrokerHeartbeatRequest, UnregisterBrokerRequest, AllocateProducerIdsRequest,
                ControllerRegistrationRequest, AssignReplicasToDirsRequest, ElectLeadersRequest,
                AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest, UpdateFeaturesRequest>;

}  // namespace posthaste::net::kafka
