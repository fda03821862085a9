// Where the replicas of new partitions go: leaders in turn over racks and brokers, the replicas of one partition on as
// many racks as there are. Made from an image, and as long as that stays it gives the same places for the same turn:
// nothing is drawn. Plain value of one core.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "replication/metadata/image.h"
#include "replication/metadata/refusal.h"

namespace posthaste::replication {

class ReplicaPlacer {
 public:
  ReplicaPlacer() = default;  // of no brokers
  explicit ReplicaPlacer(const MetadataImage& image);

  // INVALID_REPLICATION_FACTOR: so many replicas have no place, or nobody can lead.
  std::optional<Refusal> check(size_t factor) const;
  // The replicas of the partition whose turn it is, the leader first, after check(). The leader is active. Each next
  // one is on a rack that the others use least, active if that rack has such a broker; among these the next in turn,
  // which begins one further when every broker has led once: so the same two do not always go together. Brokers without
  // a rack are one rack.
  std::vector<int32_t> place(size_t turn, size_t factor) const;
  // The turn behind that of a partition led by `broker`, the last one of `partitions`.
  size_t turn_behind(int32_t broker, size_t partitions) const;

 private:
  struct Place {
    int32_t broker = -1;
    size_t rack = 0;  // its number
    bool is_active = false;
  };

  std::vector<Place> places_;    // of all brokers: the first of each rack, then the second, and so on
  std::vector<size_t> leaders_;  // of these, the active ones
  size_t racks_ = 0;
};

}  // namespace posthaste::replication
