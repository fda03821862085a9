// Control batches of the quorum, made and read, and bytes that no member may take for one.
#include "replication/quorum/record_batches.h"

#include <gtest/gtest.h>

#include "net/kafka/quorum_records.h"
#include "storage/batch/record_batch_builder.h"

namespace posthaste::replication::quorum {
namespace {

using net::kafka::VotersRecord;
using reactor::Errc;
using storage::Bytes;

constexpr reactor::WallMillis kNow{.value = 1'750'000'000'000};

ReplicaKey key(NodeId id) { return {.id = id, .directory = {.high = 5, .low = static_cast<uint64_t>(id) + 100}}; }

// As a leader's log has it.
Bytes stored(Bytes batch, Offset base_offset, Epoch epoch) {
  storage::patch_offset_and_epoch(batch, base_offset, epoch);
  return batch;
}

Bytes control(const net::kafka::QuorumRecord& record) {
  storage::RecordBatchBuilder builder({.leader_epoch = 1, .control = true});
  const std::string name = net::kafka::encode_key(record);
  const std::string value = net::kafka::encode_value(record);
  builder.add({.timestamp = 1, .key = storage::bytes_of(name), .value = storage::bytes_of(value)});
  return builder.finish();
}

Bytes data(int records, Offset base_offset, Epoch epoch) {
  storage::RecordBatchBuilder builder({.base_offset = base_offset, .leader_epoch = epoch});
  for (int i = 0; i < records; ++i) builder.add({.timestamp = 1, .value = storage::bytes_of("x")});
  return builder.finish();
}

TEST(RecordBatches, WhatALogHoldsIsToldBatchByBatch) {
  const VoterSet voters({key(1), key(2)});
  Bytes log = stored(leader_change_batch(1, voters, VoterSet({key(2)}), kNow), 7, 4);
  const size_t second = log.size();
  for (const Bytes& next : {stored(voters_batch(voters, kNow), 8, 4), data(3, 9, 5)}) {
    log.insert(log.end(), next.begin(), next.end());
  }
  const auto batches = describe_all(log);
  ASSERT_TRUE(batches.has_value());
  ASSERT_EQ(batches->size(), 3U);
  EXPECT_EQ((*batches)[0].kind, BatchKind::kLeaderChange);
  EXPECT_EQ((*batches)[0].base_offset, 7);
  EXPECT_EQ((*batches)[0].epoch, 4);
  EXPECT_EQ((*batches)[0].body, 1U);
  EXPECT_TRUE((*batches)[0].voters.empty());
  EXPECT_EQ((*batches)[1].kind, BatchKind::kVoters);
  EXPECT_EQ((*batches)[1].voters, voters);
  EXPECT_EQ((*batches)[1].body, second + 1);
  EXPECT_EQ((*batches)[2].kind, BatchKind::kData);
  EXPECT_EQ((*batches)[2].count, 3);
  EXPECT_EQ((*batches)[2].end_offset(), 12);
}

TEST(RecordBatches, RottenAndShortBytesAreRefused) {
  Bytes log = data(1, 0, 1);
  for (size_t cut = 1; cut < log.size(); ++cut) {
    EXPECT_FALSE(describe_all(storage::ByteView(log).first(cut)).has_value()) << cut;
  }
  log.back() ^= std::byte{1};
  EXPECT_EQ(describe_all(log).error(), Errc::kCorrupt);
  EXPECT_FALSE(describe_all(data(1, 0, -1)).has_value()) << "no epoch";
  EXPECT_FALSE(describe_all(data(1, -5, 1)).has_value()) << "no offset";
}

TEST(RecordBatches, VotersThatNoLogMayNameAreRefused) {
  const VotersRecord::Voter one{.voter_id = 1};
  const VotersRecord::Voter nobody{.voter_id = -1};
  VotersRecord many;
  for (int32_t id = 0; id <= static_cast<int32_t>(kVotersMax); ++id) many.voters.push_back({.voter_id = id});
  for (const VotersRecord& record :
       {VotersRecord{}, VotersRecord{.voters = {one, one}}, VotersRecord{.voters = {nobody}}, many}) {
    const auto batches = describe_all(control(record));
    ASSERT_FALSE(batches.has_value());
    EXPECT_EQ(batches.error(), Errc::kMalformed);
  }
  many.voters.pop_back();
  EXPECT_TRUE(describe_all(control(many)).has_value());
}

TEST(RecordBatches, AControlRecordThatNobodyKnowsIsOfANewerProgram) {
  storage::RecordBatchBuilder builder({.leader_epoch = 1, .control = true});
  constexpr std::byte kKey[] = {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{99}};
  builder.add({.timestamp = 1, .key = storage::ByteView(kKey), .value = storage::bytes_of("?")});
  EXPECT_EQ(describe_all(builder.finish()).error(), Errc::kUnsupported);
}

TEST(RecordBatches, ADirectoryIsTheSameAsAUuidAndBack) {
  const DirectoryId id{.high = 0x0102030405060708, .low = 0x090a0b0c0d0e0f10};
  EXPECT_EQ(directory_of(uuid_of(id)), id);
  EXPECT_EQ(uuid_of(id).bytes[0], std::byte{1});
  EXPECT_EQ(uuid_of(id).bytes[15], std::byte{16});
}

}  // namespace
}  // namespace posthaste::replication::quorum
