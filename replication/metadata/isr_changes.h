// A leader asks for another ISR (AlterPartition, KIP-497, KIP-841) as a pure decision, like topic_controller.h: an
// image and a request go in, records and results per partition come out. Compare and set: it holds if the partition is
// still as the leader knows it, and each member still in the life in which it was found to be in sync. It appends
// nothing itself.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/kafka/errors.h"
#include "replication/metadata/partition_transition.h"
#include "replication/metadata/refusal.h"

namespace posthaste::replication {

struct IsrChange {
  struct Member {
    int32_t broker = -1;
    int64_t broker_epoch = -1;  // of the registration whose acknowledgements were counted
  };
  Uuid topic_id;
  int32_t index = 0;
  int32_t leader_epoch = -1;
  int32_t partition_epoch = -1;
  std::vector<Member> isr;
  int8_t recovery_state = kRecovered;
  std::vector<int32_t> verified{};  // unverified members of it that hold all that is committed
  // The partition epoch moves even if nothing else does: what was asked for before, and may still arrive, is too late.
  bool renews = false;
  std::vector<int32_t> lost{};  // replicas out of it that do not: their disks have lied
};

struct AlterIsrRequest {
  int32_t broker = -1;
  int64_t broker_epoch = -1;
  std::vector<IsrChange> changes;
};

// The partition as it is once the records are committed.
struct IsrChangeResult {
  Uuid topic_id;
  int32_t index = 0;
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::string message;  // for the log
  int32_t leader = -1;
  int32_t leader_epoch = -1;
  std::vector<int32_t> isr;
  int8_t recovery_state = kRecovered;
  int32_t partition_epoch = -1;
};

struct IsrOutcome {
  std::vector<MetadataRecord> records;
  std::vector<IsrChangeResult> results;  // in the order of the request
};

// Decides such a request, partition by partition; its caller may commit in between and then calls begin_piece().
class IsrChanges {
 public:
  // `request` outlives it.
  explicit IsrChanges(const AlterIsrRequest& request) : request_(request) {}

  // What refuses the request as a whole: STALE_BROKER_EPOCH.
  std::optional<Refusal> check(const MetadataImage& image) const;
  bool all_decided() const { return decided_ == request_.changes.size(); }
  void decide_next(const MetadataImage& image, const ElectionInputs& inputs, IsrOutcome& outcome);
  // What was decided is in the image from now on.
  void begin_piece() { changed_.clear(); }

 private:
  const AlterIsrRequest& request_;
  std::set<std::pair<Uuid, int32_t>> changed_;  // in this piece
  size_t decided_ = 0;
};

}  // namespace posthaste::replication
