// What must be true of the replicas of one partition, judged without trust in any of them: it gets what each replica
// holds and reports (observe), and what clients were answered (acknowledged, read, high_watermark_shown), and keeps
// the first violation. It knows no protocol and sends no request, so that any kind of replication can be put before
// it.
//
//   - Committed is what lies below a high watermark that any replica says or a client was told, and what was
//     acknowledged or read. A committed record never disappears and never changes.
//   - The logs of two replicas are equal below both high watermarks.
//   - A term (leader epoch) has one leader, and the high watermark of a term never falls.
//   - The leader of the newest term holds everything that is committed.
//   - durable <= end and high watermark <= end, on every replica.
//
// Not judged: what a replica holds above its high watermark. One object per partition; no thread, no clock.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace posthaste::rig {

struct ReplicaRecord {
  int64_t offset = 0;
  int32_t epoch = 0;
  uint64_t payload_hash = 0;
  friend bool operator==(const ReplicaRecord&, const ReplicaRecord&) = default;
};

// What a replica holds and says at one moment.
struct ReplicaState {
  uint32_t replica = 0;
  int32_t leader_epoch = -1;  // the newest term that it knows of
  bool leads = false;         // it takes itself for the leader of that term
  int64_t log_start = 0;      // what was before it may be gone
  int64_t durable = 0;
  int64_t end = 0;
  int64_t high_watermark = 0;
  std::span<const ReplicaRecord> log;  // ascending offsets from log_start to end
};

class ReplicaChecker {
 public:
  // Between two steps of the world, as often as there is something new to see: what is never looked at is not judged.
  void observe(const ReplicaState& state);
  // `members`: of the replicas that this leader counts for its high watermark (its in-sync set, itself included) those
  // that are up, at the same moment. All hold durably what it takes for committed. This sees a wrong count at once, not
  // only what a power loss makes of it.
  void in_sync(const ReplicaState& leader, std::span<const ReplicaState> members);
  // A client got the answer that its record is committed; got the record; got this high watermark.
  void acknowledged(int64_t offset, uint64_t payload_hash) { promise(offset, payload_hash, "acknowledged"); }
  void read(int64_t offset, uint64_t payload_hash) { promise(offset, payload_hash, "read"); }
  void high_watermark_shown(int64_t high_watermark);
  // At the end, of all replicas that live, in a world that works again and is quiet: all that they hold is durable and
  // committed, and so the same.
  void converged(std::span<const ReplicaState> states);

  const std::optional<std::string>& violated() const { return violation_; }
  int64_t committed_end() const { return committed_end_; }
  int32_t newest_term() const { return leaders_.empty() ? -1 : leaders_.rbegin()->first; }

 private:
  struct Committed {
    std::optional<int32_t> epoch;  // clients do not learn it
    uint64_t payload_hash = 0;
    const char* how = "";
  };
  void violation(std::string what);
  void promise(int64_t offset, uint64_t payload_hash, const char* how);
  void check_bounds(const ReplicaState& state);
  void check_below_high_watermark(const ReplicaState& state);
  void check_term(const ReplicaState& state);
  void check_holds_committed(const ReplicaState& state);
  void commit(const ReplicaState& state, const ReplicaRecord& record);

  std::map<int64_t, Committed> committed_;  // by offset; may have holes that only a high watermark speaks of
  int64_t committed_end_ = 0;               // one past the last that is known to be committed
  struct Term {
    uint32_t leader = 0;
    int64_t high_watermark = 0;
  };
  std::map<int32_t, Term> leaders_;
  std::optional<std::string> violation_;
};

}  // namespace posthaste::rig
