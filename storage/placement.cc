#include "storage/placement.h"

#include <algorithm>
#include <limits>

namespace posthaste::storage {

using reactor::CoreId;

CoreId Placement::choose_core(const TopicId& topic_id) const {
  std::vector<uint32_t> of_topic(load_.size());
  const Key first{topic_id, std::numeric_limits<int32_t>::min()};
  for (auto at = cores_.lower_bound(first); at != cores_.end() && at->first.topic_id == topic_id; ++at) {
    ++of_topic[at->second];
  }
  size_t best = 0;
  for (size_t core = 1; core < load_.size(); ++core) {
    if (std::pair(of_topic[core], load_[core]) < std::pair(of_topic[best], load_[best])) best = core;
  }
  return static_cast<CoreId>(best);
}

void Placement::add(const Key& key, CoreId core) {
  CHECK(core < load_.size());
  if (cores_.try_emplace(key, core).second) ++load_[core];
}

void Placement::remove(const Key& key) {
  const auto found = cores_.find(key);
  if (found == cores_.end()) return;
  --load_[found->second];
  cores_.erase(found);
}

std::optional<CoreId> Placement::find(const Key& key) const {
  const auto found = cores_.find(key);
  if (found == cores_.end()) return std::nullopt;
  return found->second;
}

}  // namespace posthaste::storage
