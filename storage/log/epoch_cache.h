// Leader epoch -> first offset written under it, for one partition (KIP-101, KIP-279). It answers OffsetForLeaderEpoch
// and decides where a follower's log diverges from the leader's. A pure value of the core that owns the partition; it
// writes nothing.
#pragma once
#include <cstdint>
#include <optional>

#include "reactor/inline_vector.h"
#include "reactor/result.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage {

inline constexpr int32_t kNoLeaderEpoch = -1;
inline constexpr int64_t kNoEndOffset = -1;

struct EpochEntry {
  int32_t epoch = kNoLeaderEpoch;
  int64_t start_offset = 0;
  friend bool operator==(const EpochEntry&, const EpochEntry&) = default;
};

// Answer to "where does this epoch end": the largest epoch at or below the one asked for, and the first offset behind
// it. Both -1 if the question has no answer.
struct EpochEnd {
  int32_t epoch = kNoLeaderEpoch;
  int64_t end_offset = kNoEndOffset;
  friend bool operator==(const EpochEnd&, const EpochEnd&) = default;
};

class EpochCache {
 public:
  // Entries ascend strictly in epoch and in start offset.
  using Entries = reactor::InlineVector<EpochEntry, 1>;  // most logs know one epoch
  const Entries& entries() const { return entries_; }
  std::optional<EpochEntry> latest() const;

  // Epoch `epoch` starts at `start_offset`. The same or an older epoch at the end is no news: returns false. A later
  // epoch that starts where (or before) others did replaces them: they wrote nothing that is left.
  bool assign(int32_t epoch, int64_t start_offset);

  // Where `epoch` ends, in a log that ends at `log_end_offset`: for the latest epoch the log end; for one older than
  // all known the start of the first known; for a newer one, or with nothing known, no answer.
  EpochEnd end_offset_for(int32_t epoch, int64_t log_end_offset) const;

  // The epoch that wrote `offset`; kNoLeaderEpoch if before all that is known.
  int32_t epoch_for(int64_t offset) const;

  // The log now ends at `offset`: epochs that start there or later are gone.
  void truncate_from_end(int64_t offset);
  // The log now starts at `offset`: epochs that end before it are gone. The one that ends there stays, and none is
  // moved: so the order of this and a truncate_from_end() at or above `offset` does not matter (recovery has another
  // order than the life before it), and a log that is cut down to nothing still knows which epoch was its last.
  void truncate_from_start(int64_t offset);
  void clear() { entries_.clear(); }

  // docs/storage-format.md. decode: errors as open_frame(), kCorrupt too if entries do not ascend.
  Bytes encode() const;
  static reactor::Result<EpochCache> decode(ByteView bytes);

  friend bool operator==(const EpochCache&, const EpochCache&) = default;

 private:
  Entries entries_;
};

// Where a follower cuts its log, which ends at `end`, when its leader has answered where the follower's latest epoch
// ends (KIP-101, KIP-279). Not final: the leader does not know that epoch, and neither does the follower know the one
// that the leader names; it cuts, and asks again with what is its latest epoch then.
struct TruncationStep {
  int64_t offset = 0;
  bool is_final = true;
  friend bool operator==(const TruncationStep&, const TruncationStep&) = default;
};
// `leaders` is an answer: an epoch and an offset.
TruncationStep truncation_step(const EpochCache& own, int64_t end, EpochEnd leaders);

}  // namespace posthaste::storage
