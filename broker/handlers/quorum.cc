// DescribeQuorum: who agrees on the metadata log, and how far each of them is.
#include "net/kafka/quorum.h"
#include "broker/ask_controller.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "replication/metadata/topic_name.h"
#include "replication/quorum/record_batches.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::kafka::DescribeQuorumRequest;
using net::kafka::DescribeQuorumResponse;
using replication::kClusterMetadataTopic;
using replication::QuorumDescription;
using Described = DescribeQuorumResponse::Topic::Partition;

// The metadata log has one partition, and there is no other log of a quorum.
bool asks_for_metadata_log(const DescribeQuorumRequest& body) {
  return body.topics.size() == 1 && body.topics[0].topic_name == kClusterMetadataTopic &&
         body.topics[0].partitions.size() == 1 && body.topics[0].partitions[0].partition_index == 0;
}

// As Kafka: no error of the whole, and one for each partition that was asked for.
DescribeQuorumResponse unknown(const DescribeQuorumRequest& body) {
  DescribeQuorumResponse response;
  response.error_message = std::nullopt;
  for (const auto& asked : body.topics) {
    auto& topic = response.topics.emplace_back();
    topic.topic_name = asked.topic_name;
    for (const auto& partition : asked.partitions) {
      Described& answer = topic.partitions.emplace_back();
      answer.partition_index = partition.partition_index;
      answer.error_code = ErrorCode::kUnknownTopicOrPartition;
      answer.error_message = "only __cluster_metadata-0 has a quorum";
    }
  }
  return response;
}

std::vector<Described::Replica> to_wire(const std::vector<QuorumDescription::Member>& members) {
  std::vector<Described::Replica> replicas;
  replicas.reserve(members.size());
  for (const QuorumDescription::Member& member : members) {
    replicas.push_back({.replica_id = member.key.id,
                        .replica_directory_id = replication::quorum::uuid_of(member.key.directory),
                        .log_end_offset = member.log_end,
                        .last_fetch_timestamp = member.fetched.value,
                        .last_caught_up_timestamp = member.caught_up.value});
  }
  return replicas;
}

DescribeQuorumResponse to_wire(const QuorumDescription& quorum) {
  DescribeQuorumResponse response;
  response.error_message = std::nullopt;
  if (!quorum.is_leader) {
    response.error_code = ErrorCode::kNotLeaderOrFollower;
    return response;
  }
  auto& topic = response.topics.emplace_back();
  topic.topic_name = kClusterMetadataTopic;
  Described& partition = topic.partitions.emplace_back();
  partition.error_message = std::nullopt;
  partition.leader_id = quorum.leader;
  partition.leader_epoch = quorum.epoch;
  partition.high_watermark = quorum.high_watermark;
  partition.current_voters = to_wire(quorum.voters);
  partition.observers = to_wire(quorum.observers);
  return response;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kDescribeQuorum>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<DescribeQuorumRequest>(request);
  if (!body) co_return body_corrupt();
  if (!asks_for_metadata_log(*body)) co_return respond(request, unknown(*body));
  co_return respond(request, to_wire(co_await describe_quorum_on_controller(core)));
}

}  // namespace posthaste::broker
