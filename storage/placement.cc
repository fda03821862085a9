#include "storage/placement.h"

namespace posthaste::storage {

using reactor::CoreId;
using reactor::Cow;

CoreId Placement::choose_core(const TopicId& topic_id) const {
  std::vector<uint32_t> of_topic(load_.size());
  if (const Topic* topic = topics_.find(topic_id)) {
    for (const CoreId core : topic->cores) {
      if (core != kNone) ++of_topic[core];
    }
  }
  size_t best = 0;
  for (size_t core = 1; core < load_.size(); ++core) {
    if (std::pair(of_topic[core], load_[core]) < std::pair(of_topic[best], load_[best])) best = core;
  }
  return static_cast<CoreId>(best);
}

void Placement::add(const Key& key, CoreId core) {
  CHECK(core < load_.size() && key.partition >= 0, "partition {} on core {}", key.partition, core);
  if (find(key)) return;
  Cow<Topic>* held = topics_.find_to_write(key.topic_id);
  if (held == nullptr) {
    topics_.insert(Cow<Topic>({.id = key.topic_id, .cores = {}}));
    held = topics_.find_to_write(key.topic_id);
  }
  std::vector<CoreId>& cores = held->write().cores;
  const auto at = static_cast<size_t>(key.partition);
  if (cores.size() <= at) cores.resize(at + 1, kNone);
  cores[at] = core;
  ++load_[core];
  ++size_;
}

void Placement::remove(const Key& key) {
  const std::optional<CoreId> core = find(key);
  if (!core) return;
  CHECK(load_[*core] > 0 && size_ > 0, "core {} has {} partitions of {}", *core, load_[*core], size_);
  --load_[*core];
  --size_;
  std::vector<CoreId>& cores = topics_.find_to_write(key.topic_id)->write().cores;
  cores[static_cast<size_t>(key.partition)] = kNone;
  while (!cores.empty() && cores.back() == kNone) cores.pop_back();
  if (cores.empty()) topics_.erase(key.topic_id);
}

std::optional<CoreId> Placement::find(const Key& key) const {
  const Topic* topic = topics_.find(key.topic_id);
  if (topic == nullptr || key.partition < 0 || static_cast<size_t>(key.partition) >= topic->cores.size()) {
    return std::nullopt;
  }
  const CoreId core = topic->cores[static_cast<size_t>(key.partition)];
  return core == kNone ? std::nullopt : std::optional(core);
}

}  // namespace posthaste::storage
