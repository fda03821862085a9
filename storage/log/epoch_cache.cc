#include "storage/log/epoch_cache.h"

#include <algorithm>

#include "reactor/check.h"
#include "storage/bytes/codec.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {
constexpr uint32_t kEpochMagic = 0x43455350;  // "PSEC"
constexpr uint16_t kEpochVersion = 1;
constexpr size_t kEntryBytes = 12;
}  // namespace

std::optional<EpochEntry> EpochCache::latest() const {
  return entries_.empty() ? std::nullopt : std::optional(entries_.back());
}

bool EpochCache::assign(int32_t epoch, int64_t start_offset) {
  if (epoch < 0 || start_offset < 0) return false;
  if (!entries_.empty() && epoch <= entries_.back().epoch) return false;
  while (!entries_.empty() && entries_.back().start_offset >= start_offset) entries_.pop_back();
  entries_.push_back({epoch, start_offset});
  return true;
}

EpochEnd EpochCache::end_offset_for(int32_t epoch, int64_t log_end_offset) const {
  if (epoch == kNoLeaderEpoch || entries_.empty() || epoch > entries_.back().epoch) return {};
  if (epoch == entries_.back().epoch) return {epoch, log_end_offset};
  const auto above = std::ranges::upper_bound(entries_, epoch, {}, &EpochEntry::epoch);
  if (above == entries_.begin()) return {epoch, above->start_offset};
  return {std::prev(above)->epoch, above->start_offset};
}

int32_t EpochCache::epoch_for(int64_t offset) const {
  const auto above = std::ranges::upper_bound(entries_, offset, {}, &EpochEntry::start_offset);
  return above == entries_.begin() ? kNoLeaderEpoch : std::prev(above)->epoch;
}

void EpochCache::truncate_from_end(int64_t offset) {
  while (!entries_.empty() && entries_.back().start_offset >= offset) entries_.pop_back();
}

void EpochCache::truncate_from_start(int64_t offset) {
  const auto at_or_above = std::ranges::lower_bound(entries_, offset, {}, &EpochEntry::start_offset);
  if (at_or_above == entries_.begin()) return;
  entries_.erase(entries_.begin(), std::prev(at_or_above));
}

TruncationStep truncation_step(const EpochCache& own, int64_t end, EpochEnd leaders) {
  CHECK(leaders.epoch != kNoLeaderEpoch && leaders.end_offset >= 0);
  const EpochEnd mine = own.end_offset_for(leaders.epoch, end);
  // Of an epoch that is newer than all its own the follower has nothing to cut but what lies behind the leader's end.
  if (mine.epoch == kNoLeaderEpoch) return {std::min(end, leaders.end_offset)};
  if (mine.epoch != leaders.epoch) return {std::min(end, mine.end_offset), false};
  return {std::min({end, mine.end_offset, leaders.end_offset})};
}

Bytes EpochCache::encode() const {
  Bytes payload;
  LittleWriter writer(payload);
  writer.put<uint32_t>(static_cast<uint32_t>(entries_.size()));
  for (const EpochEntry& entry : entries_) {
    writer.put<int32_t>(entry.epoch);
    writer.put<int64_t>(entry.start_offset);
  }
  return make_frame(kEpochMagic, kEpochVersion, payload);
}

Result<EpochCache> EpochCache::decode(ByteView bytes) {
  const OpenedFrame frame = TRY(open_frame(bytes, kEpochMagic, kEpochVersion));
  LittleReader reader(frame.payload);
  const auto count = reader.take<uint32_t>();
  if (reader.failed() || reader.remaining() != count * kEntryBytes) return failure(Errc::kCorrupt);
  EpochCache cache;
  int64_t last_offset = -1;
  for (uint32_t i = 0; i < count; ++i) {
    const auto epoch = reader.take<int32_t>();
    const auto start_offset = reader.take<int64_t>();
    if (start_offset <= last_offset || !cache.assign(epoch, start_offset)) return failure(Errc::kCorrupt);
    last_offset = start_offset;
  }
  return cache;
}

}  // namespace posthaste::storage
