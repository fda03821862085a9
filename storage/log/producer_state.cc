#include "storage/log/producer_state.h"

#include <algorithm>
#include <utility>

#include "reactor/check.h"
#include "storage/bytes/codec.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using Kind = ProducerVerdict::Kind;

namespace {
constexpr uint32_t kSnapshotMagic = 0x53505350;  // "PSPS"
constexpr uint16_t kSnapshotVersion = 1;
constexpr size_t kSmallestProducerBytes = 24;  // without batches
}  // namespace

ProducerState::ProducerState(ProducerState&& other) noexcept
    : limits_(other.limits_),
      of_core_(std::move(other.of_core_)),
      remembered_(std::move(other.remembered_)),
      pushed_out_(std::exchange(other.pushed_out_, 0)) {}

ProducerState& ProducerState::operator=(ProducerState&& other) noexcept {
  if (this == &other) return *this;
  clear();
  const auto taken = static_cast<int64_t>(other.size());
  count(taken);
  other.count(-taken);
  limits_ = other.limits_;
  remembered_ = std::move(other.remembered_);
  pushed_out_ = std::exchange(other.pushed_out_, 0);
  return *this;
}

void ProducerState::Producer::remember(const StoredBatch& batch) {
  if (batch_count == batches.size()) {
    std::shift_left(batches.begin(), batches.end(), 1);
    --batch_count;
  }
  batches[batch_count++] = batch;
}

int32_t ProducerState::Producer::expected_sequence() const {
  if (!is_in_log()) return awaited_sequence;
  return batch_count == 0 ? 0 : sequence_after(remembered().back().last_sequence, 1);
}

const ProducerState::Producer* ProducerState::find(int64_t id) const {
  if (remembered_ == nullptr) return nullptr;
  const auto found = remembered_->by_id.find(id);
  return found == remembered_->by_id.end() ? nullptr : &found->second;
}

ProducerVerdict ProducerState::check(const RecordBatchView& batch) const {
  if (!batch.has_producer_id()) return {};
  const Producer* const found = find(batch.producer_id());
  if (found == nullptr) return {};
  const Producer& producer = *found;
  if (batch.producer_epoch() < producer.epoch) return {.kind = Kind::kFenced};
  // Markers and a coordinator's own writes are fenced by epoch only.
  const int32_t first = batch.base_sequence();
  if (batch.is_control() || first == kNoSequence) return {};
  if (batch.producer_epoch() > producer.epoch) return {.kind = first == 0 ? Kind::kAccepted : Kind::kOutOfOrder};
  const int32_t last = batch.last_sequence();
  for (const StoredBatch& stored : producer.remembered()) {
    if (stored.first_sequence == first && stored.last_sequence == last) {
      return {Kind::kDuplicate, stored.base_offset, stored.last_offset, stored.timestamp};
    }
  }
  const int32_t expected = producer.expected_sequence();
  const bool is_gap_taken = first > expected && reactor::planted(kBugs["sequence-gap-accepted"]);
  return {.kind = first == expected || is_gap_taken ? Kind::kAccepted : Kind::kOutOfOrder};
}

void ProducerState::append(const RecordBatchView& batch, reactor::WallMillis now) {
  if (!batch.has_producer_id()) return;
  Producer& producer = touch(batch.producer_id(), now.value);
  // A log holds no batch of an older epoch behind one of a newer: if damaged bytes claim one, the fence stays where it
  // is.
  if (batch.producer_epoch() < producer.epoch && producer.is_in_log()) return;
  producer.awaited_sequence = kNoSequence;
  if (batch.producer_epoch() != producer.epoch) {
    producer.epoch = batch.producer_epoch();
    producer.batch_count = 0;
  }
  if (batch.is_control() || batch.base_sequence() == kNoSequence) return;
  producer.remember(
      {batch.base_sequence(), batch.last_sequence(), batch.base_offset(), batch.last_offset(), batch.max_timestamp()});
}

void ProducerState::refused(const RecordBatchView& batch, reactor::WallMillis now) {
  const int32_t first = batch.base_sequence();
  if (!batch.has_producer_id() || batch.is_control() || first == kNoSequence) return;
  const Producer* const known = find(batch.producer_id());
  if (known != nullptr && (known->is_in_log() || batch.producer_epoch() <= known->epoch)) return;
  Producer& producer = touch(batch.producer_id(), now.value);
  producer.epoch = batch.producer_epoch();
  producer.awaited_sequence = first;
}

size_t ProducerState::expire(reactor::WallMillis now) {
  if (remembered_ == nullptr) return 0;
  const auto is_due = [&](const Producer* oldest) {
    return oldest != nullptr && now.value - oldest->last_seen_ms >= limits_.expiration_ms;
  };
  size_t count = 0;
  for (; is_due(remembered_->oldest); ++count) forget_oldest();
  return count;
}

bool ProducerState::reaches(int64_t offset) const {
  if (remembered_ == nullptr) return false;
  return std::ranges::any_of(remembered_->by_id, [offset](const auto& entry) {
    const auto remembered = entry.second.remembered();
    return !remembered.empty() && remembered.back().last_offset >= offset;
  });
}

std::vector<ProducerState::Described> ProducerState::describe() const {
  std::vector<Described> described;
  if (remembered_ == nullptr) return described;
  described.reserve(size());
  for (const auto& [id, producer] : remembered_->by_id) {
    if (!producer.is_in_log()) continue;
    Described& out = described.emplace_back(Described{.id = id, .epoch = producer.epoch});
    if (producer.batch_count == 0) continue;
    out.last_sequence = producer.remembered().back().last_sequence;
    out.last_timestamp = producer.remembered().back().timestamp;
  }
  return described;
}

void ProducerState::count(int64_t change) {
  if (of_core_ != nullptr) of_core_->held += static_cast<uint64_t>(change);
}

// Makes room for one more. Where the core has no more one goes for the one that comes: others keep theirs.
void ProducerState::make_room() {
  for (; size() > 0 && size() >= limits_.max_producers; ++pushed_out_) forget_oldest();
  if (of_core_ == nullptr || of_core_->held < of_core_->max || size() < kProducersAlways) return;
  forget_oldest();
  ++pushed_out_;
}

void ProducerState::clear() {
  count(-static_cast<int64_t>(size()));
  remembered_.reset();
}

ProducerState::Producer& ProducerState::touch(int64_t id, int64_t now_ms) {
  if (remembered_ == nullptr) remembered_ = std::make_unique<Remembered>();
  auto found = remembered_->by_id.find(id);
  if (found == remembered_->by_id.end()) {
    make_room();
    found = remembered_->by_id.try_emplace(id).first;
    count(1);
    found->second.id = id;
  } else {
    unlink(found->second);
  }
  // A wall clock that jumped back must not unsort the list.
  const Producer* const newest = remembered_->newest;
  found->second.last_seen_ms = newest == nullptr ? now_ms : std::max(now_ms, newest->last_seen_ms);
  link_newest(found->second);
  return found->second;
}

void ProducerState::link_newest(Producer& producer) {
  producer.older = remembered_->newest;
  producer.newer = nullptr;
  (producer.older == nullptr ? remembered_->oldest : producer.older->newer) = &producer;
  remembered_->newest = &producer;
}

void ProducerState::unlink(Producer& producer) {
  (producer.older == nullptr ? remembered_->oldest : producer.older->newer) = producer.newer;
  (producer.newer == nullptr ? remembered_->newest : producer.newer->older) = producer.older;
}

void ProducerState::forget_oldest() {
  Producer& oldest = *remembered_->oldest;
  const int64_t id = oldest.id;
  unlink(oldest);
  remembered_->by_id.erase(id);
  count(-1);
}

Bytes ProducerState::encode(int64_t offset) const {
  Bytes payload;
  LittleWriter writer(payload);
  const Producer* const oldest = remembered_ == nullptr ? nullptr : remembered_->oldest;
  uint32_t in_log = 0;
  for (const Producer* producer = oldest; producer != nullptr; producer = producer->newer)
    in_log += producer->is_in_log() ? 1 : 0;
  writer.put<int64_t>(offset);
  writer.put<uint32_t>(in_log);
  writer.put<uint32_t>(0);
  for (const Producer* producer = oldest; producer != nullptr; producer = producer->newer) {
    if (!producer->is_in_log()) continue;
    writer.put<int64_t>(producer->id);
    writer.put<int64_t>(producer->last_seen_ms);
    writer.put<int16_t>(producer->epoch);
    writer.put<uint16_t>(producer->batch_count);
    writer.put<uint32_t>(0);
    for (const StoredBatch& batch : producer->remembered()) {
      writer.put<int32_t>(batch.first_sequence);
      writer.put<int32_t>(batch.last_sequence);
      writer.put<int64_t>(batch.base_offset);
      writer.put<int64_t>(batch.last_offset);
      writer.put<int64_t>(batch.timestamp);
    }
  }
  return make_frame(kSnapshotMagic, kSnapshotVersion, payload);
}

Result<ProducerState::Snapshot> ProducerState::decode(ByteView bytes, const ProducerLimits& limits) {
  const OpenedFrame frame = TRY(open_frame(bytes, kSnapshotMagic, kSnapshotVersion));
  LittleReader reader(frame.payload);
  Snapshot snapshot{ProducerState(limits), reader.take<int64_t>()};
  const auto count = reader.take<uint32_t>();
  reader.take<uint32_t>();
  if (reader.failed() || snapshot.offset < 0) return failure(Errc::kCorrupt);
  TRY(decode_producers(reader.take_bytes(reader.remaining()), count, snapshot));
  return snapshot;
}

Result<void> ProducerState::decode_producers(ByteView payload, uint32_t count, Snapshot& snapshot) {
  ProducerState& state = snapshot.state;
  LittleReader reader(payload);
  if (reader.remaining() / kSmallestProducerBytes < count) return failure(Errc::kCorrupt);
  for (uint32_t i = 0; i < count; ++i) {
    const auto id = reader.take<int64_t>();
    const auto last_seen_ms = reader.take<int64_t>();
    const auto epoch = reader.take<int16_t>();
    const auto batch_count = reader.take<uint16_t>();
    reader.take<uint32_t>();
    if (reader.failed() || id < 0 || epoch < 0 || batch_count > kRememberedBatches) return failure(Errc::kCorrupt);
    if (state.find(id) != nullptr) return failure(Errc::kCorrupt);
    const Producer* const newest = state.remembered_ == nullptr ? nullptr : state.remembered_->newest;
    if (newest != nullptr && last_seen_ms < newest->last_seen_ms) return failure(Errc::kCorrupt);
    Producer& producer = state.touch(id, last_seen_ms);
    producer.epoch = epoch;
    int64_t last_offset = -1;
    for (uint16_t k = 0; k < batch_count; ++k) {
      StoredBatch batch;
      batch.first_sequence = reader.take<int32_t>();
      batch.last_sequence = reader.take<int32_t>();
      batch.base_offset = reader.take<int64_t>();
      batch.last_offset = reader.take<int64_t>();
      batch.timestamp = reader.take<int64_t>();
      const bool possible = batch.first_sequence >= 0 && batch.last_sequence >= 0 && batch.base_offset > last_offset &&
                            batch.last_offset >= batch.base_offset && batch.last_offset < snapshot.offset;
      if (reader.failed() || !possible) return failure(Errc::kCorrupt);
      last_offset = batch.last_offset;
      producer.remember(batch);
    }
  }
  return reader.remaining() == 0 ? Result<void>() : failure(Errc::kCorrupt);
}

int64_t newest_snapshot_at_or_below(std::span<const int64_t> offsets, int64_t cut) {
  return std::ranges::upper_bound(offsets, cut) - offsets.begin() - 1;
}

}  // namespace posthaste::storage
