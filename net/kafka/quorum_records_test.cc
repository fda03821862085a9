// The control records of a quorum: as Kafka's own classes write them (testdata/vectors.txt), by name, and what is
// refused.
#include "net/kafka/quorum_records.h"

#include <gtest/gtest.h>

#include "net/kafka/testing/vectors.h"

namespace posthaste::net::kafka {
namespace {

using reactor::Errc;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string value_of(int16_t version, const char* kind, const char* variant = "full") {
  static const VectorFile file(POSTHASTE_KAFKA_VECTORS);
  return text_of(file.find(static_cast<ApiKey>(-1), version, kind, variant).bytes);
}

std::string key_of(ControlRecordType type) { return {'\0', '\0', '\0', static_cast<char>(type)}; }

template <class R>
R decoded(const std::string& value) {
  const auto record = decode_quorum_record(key_of(R::kType), value);
  EXPECT_TRUE(record);
  return record ? std::get<R>(*record) : R{};
}

Errc error_of(const std::string& key, const std::string& value) {
  const auto record = decode_quorum_record(key, value);
  return record ? Errc{} : record.error();
}

// Kafka's bytes come back, unknown tags are skipped, a record as it is made is Kafka's default.
template <class R>
void expect_kafkas(int16_t version, const char* kind) {
  const std::string full = value_of(version, kind);
  const R record = decoded<R>(full);
  EXPECT_EQ(record.version, version);
  EXPECT_EQ(encode_value(record), full) << kind;
  EXPECT_EQ(encode_key(record), key_of(R::kType)) << kind;
  EXPECT_EQ(decoded<R>(value_of(version, kind, "unknown_tags")), record) << kind;
  R made;
  made.version = version;
  EXPECT_EQ(encode_value(made), value_of(version, kind, "default")) << kind;
  for (size_t size = 0; size < full.size(); ++size) {
    const Errc error = error_of(key_of(R::kType), full.substr(0, size));
    EXPECT_TRUE(error == Errc::kTruncated || error == Errc::kCorrupt) << kind << " cut to " << size;
  }
  EXPECT_EQ(error_of(key_of(R::kType), full + "x"), Errc::kCorrupt) << kind;
}

TEST(QuorumRecordsTest, BytesAreKafkas) {
  expect_kafkas<LeaderChangeRecord>(0, "leader_change");
  expect_kafkas<LeaderChangeRecord>(1, "leader_change");
  expect_kafkas<SnapshotHeaderRecord>(0, "snapshot_header");
  expect_kafkas<SnapshotFooterRecord>(0, "snapshot_footer");
  expect_kafkas<KraftVersionRecord>(0, "kraft_version");
  expect_kafkas<VotersRecord>(0, "voters");
}

TEST(QuorumRecordsTest, ValuesByName) {
  const auto change = decoded<LeaderChangeRecord>(value_of(1, "leader_change"));
  EXPECT_EQ(change.leader_id, 0x01020302);
  EXPECT_EQ(change.voters.at(0).voter_id, 0x01020303);
  EXPECT_EQ(change.voters.at(0).voter_directory_id.bytes.back(), std::byte{4});
  EXPECT_EQ(change.granting_voters.at(0).voter_id, 0x01020307);
  EXPECT_TRUE(decoded<LeaderChangeRecord>(value_of(0, "leader_change")).voters.at(0).voter_directory_id.is_zero());
  EXPECT_EQ(decoded<SnapshotHeaderRecord>(value_of(0, "snapshot_header")).last_contained_log_timestamp,
            0x0102030405060702);
  EXPECT_EQ(decoded<KraftVersionRecord>(value_of(0, "kraft_version")).kraft_version, 0x0102);
  const auto voters = decoded<VotersRecord>(value_of(0, "voters"));
  const VotersRecord::Voter& voter = voters.voters.at(0);
  EXPECT_EQ(voter.voter_id, 0x01020302);
  EXPECT_EQ(voter.voter_directory_id.bytes.back(), std::byte{3});
  EXPECT_EQ(voter.endpoints.at(0), (VotersRecord::Voter::Endpoint{"name4", "host5", 0xF006}));
  EXPECT_EQ(voter.kraft_version_feature.min_supported_version, 0x0107);
  EXPECT_EQ(voter.kraft_version_feature.max_supported_version, 0x0108);
}

TEST(QuorumRecordsTest, WhatCannotBeUnderstoodIsRefused) {
  const std::string footer = encode_value(SnapshotFooterRecord{});
  EXPECT_EQ(error_of(key_of(ControlRecordType::kSnapshotFooter), footer), Errc{});
  EXPECT_EQ(error_of(std::string("\0\1\0\4", 4), footer), Errc{}) << "a newer key";
  EXPECT_EQ(error_of(std::string("\xFF\xFF\0\4", 4), footer), Errc::kCorrupt) << "a key of version -1";
  EXPECT_EQ(error_of(std::string("\0\0\0", 3), footer), Errc::kTruncated);
  EXPECT_EQ(error_of(std::string("\0\0\0\1", 4), footer), Errc::kUnsupported) << "the end of a transaction";
  EXPECT_EQ(error_of(std::string("\0\0\0\7", 4), footer), Errc::kUnsupported);
  EXPECT_EQ(error_of(key_of(ControlRecordType::kSnapshotFooter), std::string("\0\1\0", 3)), Errc::kUnsupported);
  EXPECT_EQ(error_of(key_of(ControlRecordType::kSnapshotFooter), std::string("\xFF\xFF\0", 3)), Errc::kCorrupt);
  // Voters: 2^32-2 of them in no byte.
  EXPECT_EQ(error_of(key_of(ControlRecordType::kKraftVoters), std::string("\0\0\xFF\xFF\xFF\xFF\x0F", 7)),
            Errc::kTruncated);
}

}  // namespace
}  // namespace posthaste::net::kafka
