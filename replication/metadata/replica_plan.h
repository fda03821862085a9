// Where the replicas of a partition are and where they shall be, while a reassignment (KIP-455) is under way and
// otherwise. Plain values of any core.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "replication/metadata/image.h"

namespace posthaste::replication {

// `adding` and `removing` are among `replicas`; with nobody in either, nothing is under way.
struct ReplicaPlan {
  std::vector<int32_t> replicas;
  std::vector<int32_t> adding{};
  std::vector<int32_t> removing{};
  friend bool operator==(const ReplicaPlan&, const ReplicaPlan&) = default;

  bool is_under_way() const { return !adding.empty() || !removing.empty(); }
  // Who shall be left, the preferred leader first.
  std::vector<int32_t> target() const { return without(replicas, removing); }
  // Who was there when it began, and is again if it is cancelled.
  std::vector<int32_t> original() const { return without(replicas, adding); }
  // See counted_replicas().
  size_t counted() const { return replicas.size() - adding.size(); }

  static std::vector<int32_t> without(std::span<const int32_t> from, std::span<const int32_t> what) {
    std::vector<int32_t> left;
    std::ranges::copy_if(from, std::back_inserter(left), [&](int32_t id) { return !contains(what, id); });
    return left;
  }
};

// How many replicas the effective min ISR is measured by: until a reassignment ends, those that it began with. So one
// that adds replicas stops nobody who writes while the new ones have nothing yet.
inline size_t counted_replicas(const PartitionImage& partition) {
  return partition.replicas.size() - partition.unsettled.adding_replicas().size();
}

inline ReplicaPlan plan_of(const PartitionImage& partition) {
  const std::span<const int32_t> adding = partition.unsettled.adding_replicas();
  const std::span<const int32_t> removing = partition.unsettled.removing_replicas();
  return {.replicas = {partition.replicas.begin(), partition.replicas.end()},
          .adding = {adding.begin(), adding.end()},
          .removing = {removing.begin(), removing.end()}};
}

// From where a partition stands to `target`, whatever was under way: that is given up, and who was added by it and is
// not wanted any more is no replica from then on. Those that go stand last, in their order.
inline ReplicaPlan plan_towards(const ReplicaPlan& from, const std::vector<int32_t>& target) {
  const std::vector<int32_t> original = from.original();
  ReplicaPlan plan{.replicas = target,
                   .adding = ReplicaPlan::without(target, original),
                   .removing = ReplicaPlan::without(original, target)};
  plan.replicas.insert(plan.replicas.end(), plan.removing.begin(), plan.removing.end());
  return plan;
}

}  // namespace posthaste::replication
