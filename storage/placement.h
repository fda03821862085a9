// Which core owns which partition: an explicit table, persisted with the partitions themselves (design, law 1), never a
// hash. A plain value; whoever creates topics keeps one (core 0), made from what recovery found.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "reactor/core.h"
#include "storage/log_types.h"

namespace posthaste::storage {

class Placement {
 public:
  explicit Placement(reactor::CoreId cores) : load_(cores) {}

  struct Key {
    TopicId topic_id{};
    int32_t partition = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  // The core for a new partition: the one with the fewest partitions of that topic, then the fewest of all, then the
  // lowest number.
  reactor::CoreId choose_core(const TopicId& topic_id) const;

  void add(const Key& key, reactor::CoreId core);
  void remove(const Key& key);
  std::optional<reactor::CoreId> find(const Key& key) const;
  const std::map<Key, reactor::CoreId>& entries() const { return cores_; }

 private:
  std::map<Key, reactor::CoreId> cores_;
  std::vector<uint32_t> load_;
};

}  // namespace posthaste::storage
