#include "replication/quorum/record_batches.h"

#include <algorithm>

#include "net/kafka/quorum_records.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/batch/record_reader.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::quorum {

using net::kafka::LeaderChangeRecord;
using net::kafka::QuorumRecord;
using net::kafka::Uuid;
using net::kafka::VotersRecord;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using storage::Bytes;
using storage::ByteView;
using storage::RecordBatchView;

namespace {

// The versions that name directories.
constexpr int16_t kLeaderChangeVersion = 1;

Bytes control_batch(const QuorumRecord& record, reactor::WallMillis now) {
  storage::RecordBatchBuilder builder({.control = true});
  const std::string key = net::kafka::encode_key(record);
  const std::string value = net::kafka::encode_value(record);
  builder.add({.timestamp = now.value, .key = storage::bytes_of(key), .value = storage::bytes_of(value)});
  return builder.finish();
}

std::vector<LeaderChangeRecord::Voter> named(const VoterSet& voters) {
  std::vector<LeaderChangeRecord::Voter> named;
  for (const ReplicaKey& voter : voters) named.push_back({voter.id, uuid_of(voter.directory)});
  return named;
}

// Anybody's bytes: a set that VoterSet does not take is refused before it is made.
Result<VoterSet> voters_of(const VotersRecord& record) {
  if (record.voters.empty() || record.voters.size() > kVotersMax) return failure(Errc::kMalformed);
  std::vector<ReplicaKey> keys;
  for (const VotersRecord::Voter& voter : record.voters) {
    if (voter.voter_id < 0) return failure(Errc::kMalformed);
    keys.push_back({.id = voter.voter_id, .directory = directory_of(voter.voter_directory_id)});
  }
  std::ranges::sort(keys);
  const bool is_twice = std::ranges::adjacent_find(keys, {}, &ReplicaKey::id) != keys.end();
  return is_twice ? failure(Errc::kMalformed) : Result<VoterSet>(VoterSet(std::move(keys)));
}

Result<void> describe_control(const RecordBatchView& batch, Batch& into) {
  storage::RecordReader records(batch);
  const auto record = TRY(records.next());
  if (!record || !record->key || !record->value) return failure(Errc::kMalformed);
  const QuorumRecord decoded =
      TRY(net::kafka::decode_quorum_record(storage::text_of(*record->key), storage::text_of(*record->value)));
  if (std::holds_alternative<LeaderChangeRecord>(decoded)) into.kind = BatchKind::kLeaderChange;
  if (const auto* voters = std::get_if<VotersRecord>(&decoded)) {
    into.kind = BatchKind::kVoters;
    into.voters = TRY(voters_of(*voters));
  }
  return {};
}

}  // namespace

Uuid uuid_of(const DirectoryId& id) {
  Uuid uuid;
  storage::store_be<uint64_t>(uuid.bytes.data(), id.high);
  storage::store_be<uint64_t>(uuid.bytes.data() + 8, id.low);
  return uuid;
}

DirectoryId directory_of(const Uuid& uuid) {
  return {.high = storage::load_be<uint64_t>(uuid.bytes.data()),
          .low = storage::load_be<uint64_t>(uuid.bytes.data() + 8)};
}

Bytes leader_change_batch(NodeId leader, const VoterSet& voters, const VoterSet& granted, reactor::WallMillis now) {
  return control_batch(LeaderChangeRecord{.version = kLeaderChangeVersion,
                                          .leader_id = leader,
                                          .voters = named(voters),
                                          .granting_voters = named(granted)},
                       now);
}

Bytes voters_batch(const VoterSet& voters, reactor::WallMillis now) {
  VotersRecord record;
  for (const ReplicaKey& voter : voters) {
    record.voters.push_back({.voter_id = voter.id,
                             .voter_directory_id = uuid_of(voter.directory),
                             .kraft_version_feature = {.max_supported_version = 1}});
  }
  return control_batch(record, now);
}

Result<Batch> describe(const RecordBatchView& batch) {
  TRY(storage::validate_structure(batch));
  if (batch.base_offset() < 0 || batch.leader_epoch() < 0 || batch.next_offset() <= batch.base_offset() ||
      batch.last_offset_delta() == INT32_MAX) {
    return failure(Errc::kMalformed);
  }
  Batch described{
      .base_offset = batch.base_offset(), .count = batch.last_offset_delta() + 1, .epoch = batch.leader_epoch()};
  if (batch.is_control()) TRY(describe_control(batch, described));
  return described;
}

Result<std::vector<Batch>> describe_all(ByteView bytes) {
  std::vector<Batch> all;
  storage::BatchCursor cursor(bytes);
  for (size_t at = 0; auto batch = cursor.next(); at = cursor.position()) {
    if (!batch->crc_matches()) return failure(Errc::kCorrupt);
    Batch& described = all.emplace_back(TRY(describe(*batch)));
    described.body = at + 1;
  }
  if (cursor.error()) return failure(*cursor.error());
  return all;
}

}  // namespace posthaste::replication::quorum
