// What decoding Kafka's vectors gives, by name: vectors alone would not show that two fields of one type are swapped.
#include <gtest/gtest.h>

#include "net/kafka/testing/all_messages.h"
#include "net/kafka/testing/vectors.h"

namespace posthaste::net::kafka {
namespace {

const VectorFile& fixture() {
  static const VectorFile file(POSTHASTE_KAFKA_VECTORS);
  return file;
}

// A string's value is its field's name in Kafka's schema and a counter.
template <class M>
M decoded(int16_t version, const char* kind, const char* variant = "full") {
  auto message = decode<M>(fixture().find(M::kKey, version, kind, variant).bytes, version);
  EXPECT_TRUE(message);
  return message ? *std::move(message) : M{};
}

std::string_view text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

TEST(VectorValuesTest, ProduceRequest) {
  const auto message = decoded<ProduceRequest>(9, "request");
  EXPECT_EQ(message.transactional_id, "transactional_id1");
  EXPECT_EQ(message.acks, 0x0102);
  EXPECT_EQ(message.timeout_ms, 0x01020303);
  ASSERT_EQ(message.topic_data.size(), 2U);
  EXPECT_EQ(message.topic_data[0].name, "name4");
  ASSERT_EQ(message.topic_data[0].partition_data.size(), 1U);
  EXPECT_EQ(message.topic_data[0].partition_data[0].index, 0x01020305);
  EXPECT_EQ(text(message.topic_data[0].partition_data[0].records.whole), "records6");
  EXPECT_EQ(message.topic_data[1].name, "name7");
  const auto null = decoded<ProduceRequest>(9, "request", "null");
  EXPECT_EQ(null.transactional_id, std::nullopt);
  EXPECT_TRUE(null.topic_data.at(0).partition_data.at(0).records.is_null);
}

TEST(VectorValuesTest, FetchResponse) {
  const auto message = decoded<FetchResponse>(12, "response");
  const auto& partition = message.responses.at(0).partitions.at(0);
  EXPECT_EQ(message.throttle_time_ms, 0x01020301);
  EXPECT_EQ(static_cast<int16_t>(message.error_code), 0x0102);
  EXPECT_EQ(message.responses[0].topic, "topic4");
  EXPECT_EQ(partition.high_watermark, 0x0102030405060707);
  EXPECT_EQ(partition.last_stable_offset, 0x0102030405060708);
  EXPECT_EQ(partition.log_start_offset, 0x0102030405060709);
  ASSERT_TRUE(partition.aborted_transactions);
  EXPECT_EQ(partition.aborted_transactions->size(), 1U);
  EXPECT_TRUE(text(partition.records.whole).starts_with("records"));
  EXPECT_NE(partition.current_leader.leader_epoch, -1);
  EXPECT_NE(partition.diverging_epoch.end_offset, -1);
  const auto null = decoded<FetchResponse>(12, "response", "null");
  EXPECT_EQ(null.responses.at(0).partitions.at(0).aborted_transactions, std::nullopt);
  EXPECT_EQ(null.responses.at(0).partitions.at(0).current_leader.leader_epoch, -1);
}

TEST(VectorValuesTest, FetchRequest) {
  const auto message = decoded<FetchRequest>(12, "request");
  EXPECT_TRUE(message.cluster_id->starts_with("cluster_id"));
  EXPECT_TRUE(message.rack_id.starts_with("rack_id"));
  EXPECT_EQ(message.max_wait_ms + 1, message.min_bytes);
  EXPECT_EQ(message.min_bytes + 1, message.max_bytes);
  const auto& partition = message.topics.at(1).partitions.at(0);
  EXPECT_EQ(partition.partition + 1, partition.current_leader_epoch);
  EXPECT_EQ(partition.current_leader_epoch + 2, partition.last_fetched_epoch);
  EXPECT_EQ(message.forgotten_topics_data.at(0).partitions.size(), 1U);
  EXPECT_EQ(decoded<FetchRequest>(4, "request", "default").max_bytes, INT32_MAX);
}

TEST(VectorValuesTest, MetadataResponse) {
  const auto message = decoded<MetadataResponse>(12, "response");
  ASSERT_EQ(message.brokers.size(), 2U);
  EXPECT_EQ(message.brokers[0].node_id, 0x01020302);
  EXPECT_EQ(message.brokers[0].host, "host3");
  EXPECT_EQ(message.brokers[0].port, 0x01020304);
  EXPECT_EQ(message.brokers[0].rack, "rack5");
  EXPECT_EQ(message.cluster_id, "cluster_id10");
  const auto& topic = message.topics.at(0);
  EXPECT_EQ(topic.name, "name13");
  EXPECT_EQ(topic.topic_id.bytes[0], std::byte{0x11});
  EXPECT_TRUE(topic.is_internal);
  const auto& partition = topic.partitions.at(0);
  EXPECT_EQ(partition.partition_index + 1, partition.leader_id);
  EXPECT_EQ(partition.leader_id + 1, partition.leader_epoch);
  ASSERT_EQ(partition.replica_nodes.size(), 1U);
  EXPECT_EQ(partition.leader_epoch + 1, partition.replica_nodes[0]);
  EXPECT_EQ(partition.replica_nodes[0] + 1, partition.isr_nodes.at(0));
  EXPECT_EQ(decoded<MetadataRequest>(12, "request", "null").topics, std::nullopt);
}

TEST(VectorValuesTest, Groups) {
  const auto join = decoded<JoinGroupRequest>(9, "request");
  EXPECT_EQ(join.group_id, "group_id1");
  EXPECT_EQ(join.session_timeout_ms, 0x01020302);
  EXPECT_EQ(join.rebalance_timeout_ms, 0x01020303);
  EXPECT_EQ(join.member_id, "member_id4");
  EXPECT_EQ(join.group_instance_id, "group_instance_id5");
  EXPECT_EQ(join.protocol_type, "protocol_type6");
  EXPECT_EQ(join.protocols.at(0).name, "name7");
  EXPECT_EQ(text(join.protocols.at(0).metadata), "metadata8");
  EXPECT_TRUE(join.reason->starts_with("reason"));
  const auto joined = decoded<JoinGroupResponse>(9, "response");
  EXPECT_EQ(joined.protocol_type, "protocol_type4");
  EXPECT_EQ(joined.protocol_name, "protocol_name5");
  EXPECT_EQ(joined.leader, "leader6");
  EXPECT_EQ(joined.member_id, "member_id8");
  const auto sync = decoded<SyncGroupRequest>(5, "request");
  EXPECT_EQ(sync.member_id, "member_id3");
  EXPECT_TRUE(text(sync.assignments.at(0).assignment).starts_with("assignment"));
  const auto coordinator = decoded<FindCoordinatorResponse>(2, "response");
  EXPECT_EQ(coordinator.host, "host5");
  EXPECT_EQ(coordinator.error_message, "error_message3");
  EXPECT_EQ(decoded<FindCoordinatorResponse>(4, "response").coordinators.at(1).host, "host10");
}

TEST(VectorValuesTest, Offsets) {
  const auto commit = decoded<OffsetCommitRequest>(8, "request");
  EXPECT_EQ(commit.member_id, "member_id3");
  const auto& partition = commit.topics.at(0).partitions.at(0);
  EXPECT_EQ(partition.partition_index, 0x01020306);
  EXPECT_EQ(partition.committed_offset, 0x0102030405060707);
  EXPECT_EQ(partition.committed_leader_epoch, 0x01020308);
  EXPECT_EQ(partition.committed_metadata, "committed_metadata9");
  EXPECT_EQ(decoded<OffsetFetchRequest>(7, "request", "null").topics, std::nullopt);
  EXPECT_TRUE(decoded<OffsetFetchRequest>(7, "request").require_stable);
  const auto fetched = decoded<OffsetFetchResponse>(8, "response");
  EXPECT_EQ(fetched.groups.at(0).group_id, "group_id2");
  EXPECT_EQ(fetched.groups.at(0).topics.at(0).partitions.at(0).metadata, "metadata7");
  const auto list = decoded<ListOffsetsResponse>(7, "response").topics.at(0).partitions.at(0);
  EXPECT_EQ(list.timestamp + 1, list.offset);
}

TEST(VectorValuesTest, TopicsAndCluster) {
  const auto create = decoded<CreateTopicsRequest>(7, "request");
  EXPECT_EQ(create.topics.at(0).name, "name1");
  EXPECT_EQ(create.topics.at(0).num_partitions, 0x01020302);
  EXPECT_EQ(create.topics.at(0).replication_factor, 0x0103);
  EXPECT_EQ(create.topics.at(0).configs.at(0).value, "value7");
  EXPECT_TRUE(create.validate_only);
  EXPECT_NE(decoded<CreateTopicsResponse>(5, "response").topics.at(0).topic_config_error_code, ErrorCode::kNone);
  EXPECT_EQ(decoded<DeleteTopicsRequest>(1, "request").topic_names.at(1), "topic_names2");
  EXPECT_EQ(decoded<DescribeClusterResponse>(0, "response").cluster_id, "cluster_id4");
  const auto api_versions = decoded<ApiVersionsResponse>(3, "response", "default");
  EXPECT_EQ(api_versions.finalized_features_epoch, -1);
  EXPECT_EQ(decoded<InitProducerIdRequest>(4, "request").producer_epoch, 0x0104);
}

TEST(VectorValuesTest, Partitions) {
  const auto create = decoded<CreatePartitionsRequest>(3, "request");
  EXPECT_EQ(create.topics.at(0).name, "name1");
  EXPECT_EQ(create.topics.at(0).count, 0x01020302);
  EXPECT_EQ(create.topics.at(0).assignments->at(0).broker_ids.at(0), 0x01020303);
  EXPECT_TRUE(create.validate_only);
  EXPECT_FALSE(decoded<CreatePartitionsRequest>(3, "request", "null").topics.at(0).assignments.has_value());
  const auto described = decoded<DescribeTopicPartitionsRequest>(0, "request");
  EXPECT_EQ(described.response_partition_limit, 0x01020303);
  EXPECT_EQ(described.cursor->topic_name, "topic_name4");
  EXPECT_EQ(described.cursor->partition_index, 0x01020305);
  EXPECT_FALSE(decoded<DescribeTopicPartitionsRequest>(0, "request", "null").cursor.has_value());
  const auto answer = decoded<DescribeTopicPartitionsResponse>(0, "response");
  const auto& partition = answer.topics.at(0).partitions.at(0);
  EXPECT_EQ(partition.partition_index + 1, partition.leader_id);
  EXPECT_EQ(partition.eligible_leader_replicas->at(0) + 1, partition.last_known_elr->at(0));
  EXPECT_TRUE(answer.next_cursor->topic_name.starts_with("topic_name"));
}

TEST(VectorValuesTest, Configs) {
  const auto described = decoded<DescribeConfigsResponse>(4, "response");
  const auto& config = described.results.at(0).configs.at(0);
  EXPECT_EQ(described.results[0].resource_name, "resource_name5");
  EXPECT_TRUE(config.name.starts_with("name"));
  EXPECT_TRUE(config.value->starts_with("value"));
  EXPECT_TRUE(config.synonyms.at(0).value->starts_with("value"));
  EXPECT_TRUE(config.documentation->starts_with("documentation"));
  EXPECT_EQ(config.config_type + 1, config.synonyms.at(0).source);
  EXPECT_FALSE(decoded<DescribeConfigsRequest>(4, "request", "null").resources.at(0).configuration_keys.has_value());
  const auto altered = decoded<IncrementalAlterConfigsRequest>(1, "request").resources.at(0);
  EXPECT_EQ(altered.configs.at(0).name, "name3");
  EXPECT_EQ(static_cast<int8_t>(altered.configs.at(0).config_operation), -4);
  EXPECT_EQ(altered.configs.at(0).value, "value5");
  EXPECT_EQ(decoded<AlterConfigsRequest>(2, "request").resources.at(0).configs.at(0).value, "value4");
}

TEST(VectorValuesTest, LogAdministration) {
  const auto remove = decoded<DeleteRecordsRequest>(2, "request").topics.at(0).partitions.at(0);
  EXPECT_EQ(remove.partition_index, 0x01020302);
  EXPECT_EQ(remove.offset, 0x0102030405060703);
  const auto dirs = decoded<DescribeLogDirsResponse>(5, "response");
  const auto& partition = dirs.results.at(0).topics.at(0).partitions.at(0);
  EXPECT_EQ(partition.partition_size + 1, partition.offset_lag);
  EXPECT_EQ(dirs.results[0].total_bytes + 1, dirs.results[0].usable_bytes);
  const auto producers = decoded<DescribeProducersResponse>(0, "response");
  const auto& producer = producers.topics.at(0).partitions.at(0).active_producers.at(0);
  EXPECT_EQ(producer.producer_epoch + 1, producer.last_sequence);
  EXPECT_EQ(producer.last_timestamp + 2, producer.current_txn_start_offset);
  const auto offsets = decoded<OffsetDeleteRequest>(0, "request");
  EXPECT_EQ(offsets.group_id, "group_id1");
  EXPECT_EQ(offsets.topics.at(0).partitions.at(0).partition_index, 0x01020303);
  EXPECT_EQ(decoded<DeleteGroupsRequest>(2, "request").groups_names.at(1), "groups_names2");
}

TEST(VectorValuesTest, Votes) {
  const auto vote = decoded<VoteRequest>(2, "request");
  EXPECT_EQ(vote.cluster_id, "cluster_id1");
  EXPECT_EQ(vote.voter_id, 0x01020302);
  EXPECT_EQ(vote.topics.at(0).topic_name, "topic_name3");
  const auto& asked = vote.topics.at(0).partitions.at(0);
  EXPECT_EQ(asked.partition_index, 0x01020304);
  EXPECT_EQ(asked.replica_epoch, 0x01020305);
  EXPECT_EQ(asked.replica_id, 0x01020306);
  EXPECT_EQ(asked.replica_directory_id.bytes.back(), std::byte{7});
  EXPECT_EQ(asked.voter_directory_id.bytes.back(), std::byte{8});
  EXPECT_EQ(asked.last_offset_epoch, 0x01020309);
  EXPECT_EQ(asked.last_offset, 0x010203040506070A);
  EXPECT_TRUE(asked.pre_vote);
  EXPECT_EQ(decoded<VoteRequest>(2, "request", "null").cluster_id, std::nullopt);
  EXPECT_EQ(decoded<VoteRequest>(0, "request").voter_id, -1);

  const auto answer = decoded<VoteResponse>(2, "response");
  const auto& given = answer.topics.at(0).partitions.at(0);
  EXPECT_EQ(given.partition_index, 0x01020303);
  EXPECT_EQ(static_cast<int16_t>(given.error_code), 0x0104);
  EXPECT_EQ(given.leader_id, 0x01020305);
  EXPECT_EQ(given.leader_epoch, 0x01020306);
  EXPECT_TRUE(given.vote_granted);
  EXPECT_TRUE(answer.node_endpoints.at(1).host.starts_with("host"));
  EXPECT_EQ(answer.node_endpoints.at(1).port & 0xFF, (answer.node_endpoints.at(1).node_id & 0xFF) + 2);
}

TEST(VectorValuesTest, QuorumEpochs) {
  const auto begin = decoded<BeginQuorumEpochRequest>(1, "request");
  EXPECT_EQ(begin.voter_id, 0x01020302);
  const auto& begun = begin.topics.at(0).partitions.at(0);
  EXPECT_EQ(begun.voter_directory_id.bytes.back(), std::byte{5});
  EXPECT_EQ(begun.leader_id, 0x01020306);
  EXPECT_EQ(begun.leader_epoch, 0x01020307);
  const ListenerEndpoint& endpoint = begin.leader_endpoints.at(0);
  EXPECT_TRUE(endpoint.name.starts_with("name"));
  EXPECT_TRUE(endpoint.host.starts_with("host"));
  EXPECT_EQ(endpoint.port & 0xF000, 0xF000);
  const auto begin_answer = decoded<BeginQuorumEpochResponse>(1, "response").topics.at(0).partitions.at(0);
  EXPECT_EQ(begin_answer.leader_id + 1, begin_answer.leader_epoch);

  const auto end = decoded<EndQuorumEpochRequest>(1, "request").topics.at(0).partitions.at(0);
  EXPECT_EQ(end.leader_id + 1, end.leader_epoch);
  EXPECT_TRUE(end.preferred_successors.empty()) << "of version 0 alone";
  EXPECT_EQ(end.preferred_candidates.at(0).candidate_id, end.leader_epoch + 1);
  const auto end_before = decoded<EndQuorumEpochRequest>(0, "request").topics.at(0).partitions.at(0);
  EXPECT_EQ(end_before.preferred_successors.at(0), end_before.leader_epoch + 1);
  EXPECT_TRUE(end_before.preferred_candidates.empty());
  const auto end_answer = decoded<EndQuorumEpochResponse>(1, "response").topics.at(0).partitions.at(0);
  EXPECT_EQ(end_answer.leader_id + 1, end_answer.leader_epoch);
}

TEST(VectorValuesTest, Quorum) {
  const auto described = decoded<DescribeQuorumResponse>(2, "response");
  EXPECT_EQ(described.error_message, "error_message2");
  const auto& partition = described.topics.at(0).partitions.at(0);
  EXPECT_EQ(partition.error_message, "error_message6");
  EXPECT_EQ(partition.leader_id, 0x01020307);
  EXPECT_EQ(partition.leader_epoch, 0x01020308);
  EXPECT_EQ(partition.high_watermark, 0x0102030405060709);
  const auto& voter = partition.current_voters.at(0);
  EXPECT_EQ(voter.replica_id, 0x0102030A);
  EXPECT_EQ(voter.log_end_offset, 0x010203040506070C);
  EXPECT_EQ(voter.last_fetch_timestamp, 0x010203040506070D);
  EXPECT_EQ(voter.last_caught_up_timestamp, 0x010203040506070E);
  EXPECT_EQ(partition.observers.at(0).replica_id, 0x0102030F);
  EXPECT_TRUE(described.nodes.at(1).listeners.at(0).host.starts_with("host"));
  EXPECT_EQ(decoded<DescribeQuorumResponse>(0, "response")
                .topics.at(0)
                .partitions.at(0)
                .current_voters.at(0)
                .last_fetch_timestamp,
            -1);
  EXPECT_EQ(decoded<DescribeQuorumRequest>(0, "request").topics.at(0).partitions.at(0).partition_index, 0x01020302);
}

TEST(VectorValuesTest, Snapshots) {
  const auto request = decoded<FetchSnapshotRequest>(1, "request");
  EXPECT_TRUE(request.cluster_id->starts_with("cluster_id"));
  EXPECT_EQ(request.replica_id + 1, request.max_bytes);
  const auto& asked = request.topics.at(0).partitions.at(0);
  EXPECT_EQ(asked.partition + 1, asked.current_leader_epoch);
  EXPECT_EQ(asked.snapshot_id.end_offset & 0xFF, (asked.current_leader_epoch & 0xFF) + 1);
  EXPECT_EQ(asked.snapshot_id.epoch, asked.current_leader_epoch + 2);
  EXPECT_EQ(asked.position, asked.snapshot_id.end_offset + 2);
  EXPECT_FALSE(asked.replica_directory_id.is_zero());
  EXPECT_EQ(decoded<FetchSnapshotRequest>(1, "request", "null").cluster_id, std::nullopt);

  const auto answer = decoded<FetchSnapshotResponse>(1, "response");
  const auto& piece = answer.topics.at(0).partitions.at(0);
  EXPECT_EQ(piece.snapshot_id.epoch & 0xFF, (piece.snapshot_id.end_offset & 0xFF) + 1);
  EXPECT_EQ(piece.size + 1, piece.position);
  EXPECT_TRUE(text(piece.unaligned_records.whole).starts_with("unaligned_records"));
  EXPECT_EQ(piece.current_leader.leader_id + 1, piece.current_leader.leader_epoch);
  EXPECT_TRUE(answer.node_endpoints.at(0).host.starts_with("host"));
}

TEST(VectorValuesTest, Voters) {
  const auto add = decoded<AddRaftVoterRequest>(1, "request");
  EXPECT_EQ(add.cluster_id, "cluster_id1");
  EXPECT_EQ(add.timeout_ms, 0x01020302);
  EXPECT_EQ(add.voter_id, 0x01020303);
  EXPECT_EQ(add.voter_directory_id.bytes.back(), std::byte{4});
  EXPECT_EQ(add.listeners.at(0).name, "name5");
  EXPECT_EQ(add.listeners.at(0).host, "host6");
  EXPECT_EQ(add.listeners.at(0).port, 0xF007);
  EXPECT_FALSE(add.ack_when_committed);
  EXPECT_TRUE(decoded<AddRaftVoterRequest>(0, "request").ack_when_committed);
  EXPECT_EQ(decoded<AddRaftVoterResponse>(1, "response").error_message, "error_message3");
  EXPECT_EQ(decoded<RemoveRaftVoterRequest>(0, "request", "null").cluster_id, std::nullopt);
  EXPECT_EQ(decoded<RemoveRaftVoterRequest>(0, "request").voter_id, 0x01020302);
  const auto update = decoded<UpdateRaftVoterRequest>(0, "request");
  EXPECT_EQ(update.current_leader_epoch, 0x01020302);
  EXPECT_EQ(update.voter_id, 0x01020303);
  const KraftVersionRange& range = update.kraft_version_feature;
  EXPECT_EQ(range.min_supported_version + 1, range.max_supported_version);
  const auto answer = decoded<UpdateRaftVoterResponse>(0, "response");
  EXPECT_EQ(answer.current_leader.leader_id, 0x01020303);
  EXPECT_EQ(answer.current_leader.leader_epoch, 0x01020304);
  EXPECT_EQ(answer.current_leader.host, "host5");
  EXPECT_EQ(answer.current_leader.port, 0x01020306);
  EXPECT_EQ(decoded<UpdateRaftVoterResponse>(0, "response", "null").current_leader.leader_id, -1);
}

TEST(VectorValuesTest, BrokerLifecycle) {
  const auto broker = decoded<BrokerRegistrationRequest>(4, "request");
  EXPECT_EQ(broker.broker_id, 0x01020301);
  EXPECT_EQ(broker.cluster_id, "cluster_id2");
  EXPECT_EQ(broker.incarnation_id.bytes.back(), std::byte{3});
  EXPECT_EQ(broker.listeners.at(0).host, "host5");
  EXPECT_EQ(broker.listeners.at(0).port, 0xF006);
  EXPECT_EQ(broker.listeners.at(0).security_protocol, 0x0107);
  EXPECT_EQ(broker.features.at(0).min_supported_version + 1, broker.features.at(0).max_supported_version);
  EXPECT_TRUE(broker.rack->starts_with("rack"));
  EXPECT_TRUE(broker.is_migrating_zk_broker);
  EXPECT_EQ(broker.log_dirs.size(), 2U);
  EXPECT_NE(broker.previous_broker_epoch, -1);
  EXPECT_EQ(decoded<BrokerRegistrationRequest>(0, "request").previous_broker_epoch, -1);
  EXPECT_EQ(decoded<BrokerRegistrationResponse>(4, "response").broker_epoch, 0x0102030405060703);

  const auto beat = decoded<BrokerHeartbeatRequest>(2, "request");
  EXPECT_EQ(beat.broker_epoch + 1, beat.current_metadata_offset);
  EXPECT_EQ(beat.offline_log_dirs.at(0).bytes.back(), std::byte{6});
  ASSERT_TRUE(beat.cordoned_log_dirs);
  EXPECT_EQ(beat.cordoned_log_dirs->at(0).bytes.back(), std::byte{8});
  EXPECT_EQ(decoded<BrokerHeartbeatRequest>(2, "request", "null").cordoned_log_dirs, std::nullopt);
  EXPECT_EQ(decoded<BrokerHeartbeatRequest>(1, "request").cordoned_log_dirs, std::nullopt);
  const auto order = decoded<BrokerHeartbeatResponse>(2, "response");
  EXPECT_TRUE(order.is_caught_up);
  EXPECT_FALSE(order.is_fenced);
  EXPECT_TRUE(order.should_shut_down);

  EXPECT_EQ(decoded<UnregisterBrokerRequest>(0, "request").broker_id, 0x01020301);
  EXPECT_EQ(decoded<UnregisterBrokerResponse>(0, "response").error_message, "error_message3");
  const auto controller = decoded<ControllerRegistrationRequest>(0, "request");
  EXPECT_EQ(controller.controller_id, 0x01020301);
  EXPECT_TRUE(controller.zk_migration_ready);
  EXPECT_EQ(controller.listeners.at(0).name, "name4");
  EXPECT_TRUE(controller.features.at(0).name.starts_with("name"));
}

TEST(VectorValuesTest, BrokerRequests) {
  const auto alter = decoded<AlterPartitionRequest>(3, "request");
  EXPECT_EQ(alter.broker_id, 0x01020301);
  EXPECT_EQ(alter.broker_epoch, 0x0102030405060702);
  const auto& asked = alter.topics.at(0).partitions.at(0);
  EXPECT_EQ(asked.partition_index + 1, asked.leader_epoch);
  EXPECT_TRUE(asked.new_isr.empty());
  EXPECT_EQ(asked.new_isr_with_epochs.at(0).broker_id, asked.leader_epoch + 1);
  EXPECT_EQ(asked.partition_epoch, asked.leader_epoch + 4);
  const auto before = decoded<AlterPartitionRequest>(2, "request").topics.at(0).partitions.at(0);
  EXPECT_EQ(before.new_isr.at(0), before.leader_epoch + 1);
  EXPECT_TRUE(before.new_isr_with_epochs.empty());
  const auto answer = decoded<AlterPartitionResponse>(3, "response").topics.at(0).partitions.at(0);
  EXPECT_EQ(answer.leader_id + 1, answer.leader_epoch);
  EXPECT_EQ(answer.isr.at(0), answer.leader_epoch + 1);
  EXPECT_EQ(answer.partition_epoch, answer.leader_epoch + 3);

  const auto dirs = decoded<AssignReplicasToDirsRequest>(0, "request");
  EXPECT_EQ(dirs.directories.at(0).topics.at(0).partitions.at(0).partition_index, 0x01020305);
  EXPECT_EQ(dirs.directories.at(0).id.bytes.back(), std::byte{3});
  EXPECT_EQ(dirs.directories.at(0).topics.at(0).topic_id.bytes.back(), std::byte{4});
  const auto ids = decoded<AllocateProducerIdsResponse>(0, "response");
  EXPECT_EQ(ids.producer_id_start, 0x0102030405060703);
  EXPECT_EQ(ids.producer_id_len, 0x01020304);
  EXPECT_EQ(decoded<AllocateProducerIdsRequest>(0, "request").broker_epoch, 0x0102030405060702);

  const auto envelope = decoded<EnvelopeRequest>(0, "request");
  EXPECT_EQ(text(envelope.request_data), "request_data1");
  EXPECT_EQ(text(*envelope.request_principal), "request_principal2");
  EXPECT_EQ(text(envelope.client_host_address), "client_host_address3");
  EXPECT_FALSE(decoded<EnvelopeRequest>(0, "request", "null").request_principal.has_value());
  EXPECT_EQ(text(*decoded<EnvelopeResponse>(0, "response").response_data), "response_data1");
}

TEST(VectorValuesTest, Reassignments) {
  const auto elect = decoded<ElectLeadersRequest>(2, "request");
  EXPECT_EQ(static_cast<int8_t>(elect.election_type), -1);
  EXPECT_EQ(elect.topic_partitions->at(0).topic, "topic2");
  EXPECT_EQ(elect.topic_partitions->at(0).partitions.at(0), 0x01020303);
  EXPECT_EQ(decoded<ElectLeadersRequest>(2, "request", "null").topic_partitions, std::nullopt);
  EXPECT_EQ(decoded<ElectLeadersRequest>(0, "request").election_type, ElectionType::kPreferred);
  const auto elected = decoded<ElectLeadersResponse>(2, "response").replica_election_results.at(0);
  EXPECT_EQ(elected.topic, "topic3");
  EXPECT_EQ(elected.partition_result.at(0).partition_id, 0x01020304);
  EXPECT_EQ(elected.partition_result.at(0).error_message, "error_message6");

  const auto alter = decoded<AlterPartitionReassignmentsRequest>(1, "request");
  EXPECT_EQ(alter.timeout_ms, 0x01020301);
  EXPECT_FALSE(alter.allow_replication_factor_change);
  EXPECT_EQ(alter.topics.at(0).name, "name3");
  EXPECT_EQ(alter.topics.at(0).partitions.at(0).partition_index, 0x01020304);
  EXPECT_EQ(alter.topics.at(0).partitions.at(0).replicas->at(0), 0x01020305);
  const auto cancel = decoded<AlterPartitionReassignmentsRequest>(1, "request", "null");
  EXPECT_EQ(cancel.topics.at(0).partitions.at(0).replicas, std::nullopt);
  const auto altered = decoded<AlterPartitionReassignmentsResponse>(1, "response");
  EXPECT_FALSE(altered.allow_replication_factor_change);
  EXPECT_EQ(altered.error_message, "error_message4");
  EXPECT_EQ(altered.responses.at(0).partitions.at(0).partition_index, 0x01020306);

  const auto list = decoded<ListPartitionReassignmentsRequest>(0, "request");
  EXPECT_EQ(list.topics->at(0).partition_indexes.at(0), 0x01020303);
  EXPECT_EQ(decoded<ListPartitionReassignmentsRequest>(0, "request", "null").topics, std::nullopt);
  const auto listed = decoded<ListPartitionReassignmentsResponse>(0, "response").topics.at(0).partitions.at(0);
  EXPECT_EQ(listed.replicas.at(0), listed.partition_index + 1);
  EXPECT_EQ(listed.adding_replicas.at(0), listed.partition_index + 2);
  EXPECT_EQ(listed.removing_replicas.at(0), listed.partition_index + 3);
}

TEST(VectorValuesTest, Features) {
  const auto update = decoded<UpdateFeaturesRequest>(1, "request");
  EXPECT_EQ(update.feature_updates.at(0).feature, "feature2");
  EXPECT_EQ(update.feature_updates.at(0).max_version_level, 0x0103);
  EXPECT_EQ(static_cast<int8_t>(update.feature_updates.at(0).upgrade_type), -4);
  EXPECT_TRUE(update.validate_only);
  const auto before = decoded<UpdateFeaturesRequest>(0, "request").feature_updates.at(0);
  EXPECT_TRUE(before.allow_downgrade);
  EXPECT_EQ(before.upgrade_type, UpgradeType::kUpgrade);
  EXPECT_EQ(decoded<UpdateFeaturesResponse>(1, "response").results.at(0).feature, "feature4");
  EXPECT_TRUE(decoded<UpdateFeaturesResponse>(2, "response").results.empty());
}

}  // namespace
}  // namespace posthaste::net::kafka
