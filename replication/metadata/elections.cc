#include "replication/metadata/elections.h"

#include <algorithm>
#include <utility>

namespace posthaste::replication {
namespace {

bool has_settled(int32_t broker, const ElectionInputs& inputs) {
  const auto since = inputs.active_since.find(broker);
  return since != inputs.active_since.end() && inputs.now >= since->second + PreferredLeaders::kSettled;
}

}  // namespace

PartitionSweep PartitionSweep::of_lost(int32_t broker, std::vector<Uuid> kept, bool is_doubted) {
  PartitionSweep sweep(broker, {.lost = {broker}});
  sweep.kept_directories_ = std::move(kept);
  sweep.is_doubted_ = is_doubted;
  return sweep;
}

bool PartitionSweep::is_concerned(const PartitionImage& partition) const {
  if (broker_ == kNobody) return true;
  if (!contains(partition.replicas, broker_)) return false;
  return partition.leader == kNobody || contains(partition.isr, broker_) ||
         contains(partition.unsettled.elr(), broker_);
}

// Its directory is known, and is there.
bool PartitionSweep::is_kept(const PartitionImage& partition) const {
  if (!kept_directories_) return false;
  const auto at = std::ranges::find(partition.replicas, broker_) - partition.replicas.begin();
  const auto index = static_cast<size_t>(at);
  return index < partition.directories.size() &&
         std::ranges::find(*kept_directories_, partition.directories[index]) != kept_directories_->end();
}

bool PartitionSweep::next_portion(const MetadataImage& image, const ElectionInputs& inputs,
                                  std::vector<MetadataRecord>& records) {
  size_t looked_at = 0;
  return !cursor_.advance(image, [&](const PartitionAt& at) {
    if (is_portion_full(looked_at, records)) return false;
    ++looked_at;
    const PartitionImage& partition = at.partition();
    const bool is_kept_there = is_kept(partition);
    if (!is_concerned(partition) || (is_kept_there && !is_doubted_)) return true;
    const auto record =
        is_kept_there ? next_state(at, inputs, {.doubted = {broker_}}) : next_state(at, inputs, demand_);
    if (record) records.emplace_back(*record);
    return true;
  });
}

void PreferredLeaders::next_step(const MetadataImage& image, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  if (inputs.now < next_at_) return;
  next_at_ = inputs.now + kInterval;
  size_t moves = 0;
  size_t looked_at = 0;
  const bool is_through = cursor_.advance(image, [&](const PartitionAt& at) {
    if (moves >= kMovesInStep || looked_at >= kPartitionsInStep) return false;
    ++looked_at;
    const PartitionImage& partition = at.partition();
    const int32_t preferred = partition.replicas.front();
    if (partition.leader == preferred || partition.leader == kNobody || !has_settled(preferred, inputs)) return true;
    auto record = next_state(at, inputs, {.preferred = true});
    if (!record || record->leader != preferred) return true;
    records.emplace_back(std::move(*record));
    ++moves;
    return true;
  });
  if (is_through) cursor_ = {};  // from the first one again
}

}  // namespace posthaste::replication
