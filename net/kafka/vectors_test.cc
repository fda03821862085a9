// Our codec against bytes made by Kafka's own library: every API, every version that the codec knows, both directions.
// The fixture and its variants are described in tests/wire/WireVectors.java, which makes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <tuple>

#include "net/kafka/frame.h"
#include "net/kafka/testing/all_messages.h"

namespace posthaste::net::kafka {
namespace {

using reactor::Errc;
using reactor::Result;

struct Vector {
  ApiKey key{};
  int16_t version = 0;
  std::string kind;
  std::string variant;
  std::vector<std::byte> bytes;

  std::string name() const {
    return std::string(to_string(key)) + " v" + std::to_string(version) + " " + kind + " " + variant;
  }
};

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

std::vector<Vector> load_vectors() {
  std::vector<Vector> vectors;
  std::ifstream file(POSTHASTE_KAFKA_VECTORS);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    int key = 0;
    std::string hex;
    Vector vector;
    fields >> key >> vector.version >> vector.kind >> vector.variant >> hex;
    vector.key = static_cast<ApiKey>(key);
    vector.bytes = from_hex(hex);
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

const std::vector<Vector>& all_vectors() {
  static const std::vector<Vector> vectors = load_vectors();
  return vectors;
}

const Vector& find_vector(ApiKey key, int16_t version, std::string_view kind, std::string_view variant) {
  static const Vector none;
  for (const Vector& vector : all_vectors()) {
    if (vector.key == key && vector.version == version && vector.kind == kind && vector.variant == variant) {
      return vector;
    }
  }
  ADD_FAILURE() << "no vector for " << to_string(key) << " v" << version << " " << kind << " " << variant;
  return none;
}

template <class M>
Result<std::vector<std::byte>> reencode(Bytes bytes, int16_t version) {
  const M message = TRY(decode<M>(bytes, version));
  std::vector<std::byte> out(encoded_size(message, version).total);
  Target target{.owned = out};
  encode(message, version, target);
  EXPECT_EQ(target.position, out.size());
  return out;
}

using Reencode = Result<std::vector<std::byte>> (*)(Bytes, int16_t);
struct Codec {
  Reencode request;
  Reencode response;
};

const std::map<ApiKey, Codec>& codecs() {
  static const std::map<ApiKey, Codec> all = [] {
    std::map<ApiKey, Codec> made;
    AllRequests::for_each(
        [&]<class Request> { made[Request::kKey] = {reencode<Request>, reencode<typename Request::Response>}; });
    return made;
  }();
  return all;
}

// Null for header vectors.
Reencode codec_for(const Vector& vector) {
  if (vector.kind == "subscription") return reencode<ConsumerSubscription>;
  if (vector.kind == "assignment") return reencode<ConsumerAssignment>;
  const Codec& codec = codecs().at(vector.key);
  if (vector.kind == "request") return codec.request;
  return vector.kind == "response" ? codec.response : nullptr;
}

// Decodes from a heap block of exactly the right size, so that AddressSanitizer sees a read beyond it.
Result<std::vector<std::byte>> reencode_copy(const Vector& vector, Bytes bytes) {
  const auto copy = std::make_unique<std::byte[]>(bytes.size());
  std::ranges::copy(bytes, copy.get());
  return codec_for(vector)({copy.get(), bytes.size()}, vector.version);
}

TEST(VectorsTest, CoverEveryVersionThatTheCodecKnows) {
  std::map<std::tuple<ApiKey, int16_t, std::string>, int> variants;
  for (const Vector& vector : all_vectors()) ++variants[{vector.key, vector.version, vector.kind}];
  for (const ApiInfo& info : kApis) {
    const std::string_view api = to_string(info.key);
    ASSERT_TRUE(codecs().contains(info.key)) << api;
    for (int16_t version = info.codec_min; version <= info.codec_max; ++version) {
      for (const char* kind : {"request", "response"}) {
        const int expected = info.is_flexible(version) ? 4 : 3;
        EXPECT_EQ((variants[{info.key, version, kind}]), expected) << api << " v" << version << " " << kind;
      }
    }
  }
}

TEST(VectorsTest, DecodeAndEncodeGiveTheSameBytes) {
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr) continue;
    const auto bytes = reencode_copy(vector, vector.bytes);
    ASSERT_TRUE(bytes) << vector.name() << ": " << to_string(bytes.error());
    // Unknown tags are skipped, and therefore gone.
    const bool unknown = vector.variant == "unknown_tags";
    const Vector& expected = unknown ? find_vector(vector.key, vector.version, vector.kind, "full") : vector;
    EXPECT_EQ(*bytes, expected.bytes) << vector.name();
  }
}

TEST(VectorsTest, RequestHeaders) {
  for (const Vector& vector : all_vectors()) {
    if (vector.kind != "request_header") continue;
    const auto request = decode_request_header(vector.bytes);
    ASSERT_TRUE(request) << vector.name();
    EXPECT_EQ(request->support, RequestSupport::kKnown);
    EXPECT_EQ(request->header.api, vector.key);
    EXPECT_EQ(request->header.version, vector.version);
    EXPECT_EQ(request->header.correlation_id, 0x01020304);
    EXPECT_EQ(request->header.client_id, vector.variant == "full" ? NullableString("client") : std::nullopt);
    EXPECT_TRUE(request->body.empty()) << vector.name();
    const Frame frame = detail::start_request(request->header, {});
    EXPECT_TRUE(std::ranges::equal(Bytes(frame.owned).subspan(kFrameLengthSize), vector.bytes)) << vector.name();
  }
}

TEST(VectorsTest, ResponseHeaders) {
  for (const Vector& vector : all_vectors()) {
    if (vector.kind != "response_header") continue;
    const auto response = decode_response_header(vector.bytes, vector.key, vector.version);
    ASSERT_TRUE(response) << vector.name();
    EXPECT_EQ(response->correlation_id, 0x01020304);
    EXPECT_TRUE(response->body.empty()) << vector.name();
    const Frame frame = detail::start_response(vector.key, vector.version, 0x01020304, {});
    EXPECT_TRUE(std::ranges::equal(Bytes(frame.owned).subspan(kFrameLengthSize), vector.bytes)) << vector.name();
  }
}

TEST(VectorsTest, TrailingBytesAreTolerated) {
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr || vector.variant == "unknown_tags") continue;
    std::vector<std::byte> longer = vector.bytes;
    longer.resize(longer.size() + 3, std::byte{0xFF});
    const auto bytes = reencode_copy(vector, longer);
    ASSERT_TRUE(bytes) << vector.name();
    EXPECT_EQ(*bytes, vector.bytes) << vector.name();
  }
}

TEST(VectorsTest, EveryTruncationIsAnError) {
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr) continue;
    for (size_t size = 0; size < vector.bytes.size(); ++size) {
      const auto bytes = reencode_copy(vector, Bytes(vector.bytes).first(size));
      ASSERT_FALSE(bytes) << vector.name() << " cut to " << size;
      // A cut inside a count or a tag's size reads as an impossible one.
      ASSERT_TRUE(bytes.error() == Errc::kTruncated || bytes.error() == Errc::kCorrupt) << vector.name();
    }
  }
}

// Whatever still decodes must encode again; the rest must be an error. Runs under AddressSanitizer in the asan preset.
TEST(VectorsTest, DamagedBytesNeverCrash) {
  constexpr std::byte kMasks[] = {std::byte{0x01}, std::byte{0x10}, std::byte{0x80}, std::byte{0xFF}};
  size_t decoded = 0;
  size_t refused = 0;
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr) continue;
    std::vector<std::byte> damaged = vector.bytes;
    for (std::byte& byte : damaged) {
      const std::byte whole = byte;
      for (const std::byte mask : kMasks) {
        byte = whole ^ mask;
        ++(reencode_copy(vector, damaged) ? decoded : refused);
      }
      byte = whole;
    }
  }
  EXPECT_GT(decoded, 0U);
  EXPECT_GT(refused, 0U);
}

// Values by name, so that two fields of one type cannot be swapped unseen. A string's value is its field's name in
// Kafka's schema and a counter.
template <class M>
M decoded(int16_t version, const char* kind, const char* variant = "full") {
  auto message = decode<M>(find_vector(M::kKey, version, kind, variant).bytes, version);
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

}  // namespace
}  // namespace posthaste::net::kafka
