#include "storage/placement.h"

namespace posthaste::storage {

using reactor::CoreId;
using reactor::Cow;

Placement::Chooser::Chooser(const Placement& placement, const TopicId& topic_id)
    : placement_(placement), of_topic_(placement.load_.size()) {
  const Topic* topic = placement.topics_.find(topic_id);
  if (topic == nullptr) return;
  for (const Place place : topic->cores) {
    if (place != kNone) ++of_topic_[core_of(place)];
  }
}

CoreId Placement::Chooser::next() {
  const std::vector<uint32_t>& load = placement_.load_;
  size_t best = 0;
  for (size_t core = 1; core < load.size(); ++core) {
    if (std::pair(of_topic_[core], load[core]) < std::pair(of_topic_[best], load[best])) best = core;
  }
  ++of_topic_[best];
  return static_cast<CoreId>(best);
}

Placement::Place Placement::place_of(const Key& key) const {
  const Topic* topic = topics_.find(key.topic_id);
  if (topic == nullptr || key.partition < 0 || static_cast<size_t>(key.partition) >= topic->cores.size()) return kNone;
  return topic->cores[static_cast<size_t>(key.partition)];
}

// Of a topic that may not be there yet.
Placement::Place& Placement::place_to_write(const Key& key) {
  CHECK(key.partition >= 0, "partition {}", key.partition);
  Cow<Topic>* held = topics_.find_to_write(key.topic_id);
  if (held == nullptr) {
    topics_.insert(Cow<Topic>({.id = key.topic_id, .cores = {}}));
    held = topics_.find_to_write(key.topic_id);
  }
  auto& cores = held->write().cores;
  const auto at = static_cast<size_t>(key.partition);
  if (cores.size() <= at) cores.resize(at + 1, kNone);
  return cores[at];
}

void Placement::reserve(const Key& key, CoreId core) {
  CHECK(core < load_.size(), "partition {} on core {}", key.partition, core);
  if (place_of(key) != kNone) return;
  place_to_write(key) = core | kReserved;
  ++load_[core];
  ++size_;
}

void Placement::add(const Key& key, CoreId core) {
  if (find(key)) return;
  reserve(key, core);
  CHECK(find_reserved(key) == core, "partition {} is reserved on another core than {}", key.partition, core);
  place_to_write(key) = core;
}

void Placement::remove(const Key& key) {
  const std::optional<CoreId> core = find_reserved(key);
  if (!core) return;
  CHECK(load_[*core] > 0 && size_ > 0, "core {} has {} partitions of {}", *core, load_[*core], size_);
  --load_[*core];
  --size_;
  place_to_write(key) = kNone;
  auto& cores = topics_.find_to_write(key.topic_id)->write().cores;
  while (!cores.empty() && cores.back() == kNone) cores.pop_back();
  if (cores.empty()) topics_.erase(key.topic_id);
}

std::optional<CoreId> Placement::find(const Key& key) const {
  const Place place = place_of(key);
  return place == kNone || (place & kReserved) != 0 ? std::nullopt : std::optional<CoreId>(place);
}

std::optional<CoreId> Placement::find_reserved(const Key& key) const {
  const Place place = place_of(key);
  return place == kNone ? std::nullopt : std::optional<CoreId>(core_of(place));
}

}  // namespace posthaste::storage
