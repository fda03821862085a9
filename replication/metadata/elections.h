// Which partitions are looked at when brokers come and go, and in which portions: a broker may be in tens of thousands
// of them. What becomes of one is partition_transition.h's. Each portion is committed as one change, and the next one
// is decided on the image that this led to; a controller that takes over in between begins with a sweep of everything.
// Pure, one core.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replication/metadata/partition_cursor.h"

namespace posthaste::replication {

// One portion: what it looks at takes some milliseconds at most, and what it changes is one batch of 100 KB or so.
inline constexpr size_t kPartitionsInPortion = 5'000;
inline constexpr size_t kChangesInPortion = 1'000;
inline bool is_portion_full(size_t looked_at, const std::vector<MetadataRecord>& records) {
  return looked_at >= kPartitionsInPortion || records.size() >= kChangesInPortion;
}

// Goes through all partitions once and brings each into the state that the brokers of the image demand. Partitions that
// are already there cost no record, so a sweep may be repeated at will.
class PartitionSweep {
 public:
  // Everything: a controller becomes active.
  static PartitionSweep of_all() { return PartitionSweep(kNobody, {}); }
  // What `broker`, which was fenced, unfenced or asked to shut down, has to do with.
  static PartitionSweep of_broker(int32_t broker) { return PartitionSweep(broker, {}); }
  // The same for one that was fenced early: it goes on leading where nobody else can.
  static PartitionSweep of_early_fenced(int32_t broker) { return PartitionSweep(broker, {.keeps = broker}); }
  // Of its directories only `kept` are left. Replicas of which it is not known where they were count as gone. The
  // others become unverified, if it is doubted.
  static PartitionSweep of_lost(int32_t broker, std::vector<Uuid> kept, bool is_doubted = false);
  // All its directories are there, and may have lost what was acknowledged.
  static PartitionSweep of_doubted(int32_t broker) { return PartitionSweep(broker, {.doubted = {broker}}); }

  // Adds the changes of the next portion to `records`. False: that was the last one.
  bool next_portion(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);

 private:
  PartitionSweep(int32_t broker, TransitionDemand demand) : broker_(broker), demand_(std::move(demand)) {}
  bool is_concerned(const PartitionImage& partition) const;
  bool is_kept(const PartitionImage& partition) const;

  int32_t broker_;
  TransitionDemand demand_;
  std::optional<std::vector<Uuid>> kept_directories_;
  bool is_doubted_ = false;  // what lies on those
  PartitionCursor cursor_;
};

// Gives partitions back to their first replicas, slowly: after a broker has returned and has taken part for a while,
// and some at a time, so that clients that look for leaders do not all do so at once. Pure state of one controller.
class PreferredLeaders {
 public:
  static constexpr reactor::Duration kSettled = std::chrono::seconds(30);  // longer than a broker that comes and goes
  static constexpr reactor::Duration kInterval = std::chrono::seconds(1);
  static constexpr size_t kMovesInStep = 50;
  static constexpr size_t kPartitionsInStep = 20'000;

  // The moves of one step, none if the last one was less than kInterval ago.
  void next_step(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);
  reactor::Instant next_at() const { return next_at_; }

 private:
  reactor::Instant next_at_;
  PartitionCursor cursor_;
};

}  // namespace posthaste::replication
