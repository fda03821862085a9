// Which core owns which partition: an explicit table, persisted with the partitions themselves (design, law 1), never a
// hash. Whoever creates topics keeps one (core 0), made from what recovery found. A copy is a snapshot (reactor/cow.h):
// a change costs as much as the topic has partitions, however many topics there are.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "reactor/core.h"
#include "reactor/cow_map.h"
#include "reactor/inline_vector.h"
#include "storage/log/log_types.h"

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
  reactor::CoreId choose_core(const TopicId& topic_id) const { return Chooser(*this, topic_id).next(); }
  // The same for many new partitions of one topic, which are counted once. Nobody else adds to or removes from the
  // topic meanwhile; the placement outlives it.
  class Chooser {
   public:
    Chooser(const Placement& placement, const TopicId& topic_id);
    // The core for the next one, which is reserved or added there before the next call.
    reactor::CoreId next();

   private:
    const Placement& placement_;
    std::vector<uint32_t> of_topic_;  // by core
  };

  // A partition that is about to be made: it counts for choose_core(), and find() does not know it before add(). Of one
  // that has a core already: no change.
  void reserve(const Key& key, reactor::CoreId core);
  // A partition that is there. CHECK: if it was reserved, then for this core.
  void add(const Key& key, reactor::CoreId core);
  void remove(const Key& key);
  // Nothing: there is none, or not yet.
  std::optional<reactor::CoreId> find(const Key& key) const;
  // The same for one that is reserved, too.
  std::optional<reactor::CoreId> find_reserved(const Key& key) const;
  // Partitions that are there or reserved.
  size_t size() const { return size_; }
  // visit(const Key&, CoreId) for each partition that is there or reserved, in order.
  template <class Visit>
  void for_each(Visit visit) const {
    topics_.for_each([&](const Topic& topic) {
      for (size_t at = 0; at < topic.cores.size(); ++at) {
        if (topic.cores[at] != kNone) visit(Key{topic.id, static_cast<int32_t>(at)}, core_of(topic.cores[at]));
      }
    });
  }

 private:
  // A core, and whether the partition is only reserved there.
  using Place = uint16_t;
  static constexpr Place kNone = UINT16_MAX;
  static constexpr Place kReserved = 0x8000;
  static_assert(reactor::kCoresMax < kReserved);
  static reactor::CoreId core_of(Place place) { return place & ~kReserved; }
  struct Topic {
    TopicId id;
    // By partition; the last is not kNone. Most topics have few.
    reactor::InlineVector<Place, 4> cores;
  };
  struct ById {
    using View = TopicId;
    using Key = TopicId;
    static const TopicId& view_of(const Topic& topic) { return topic.id; }
    static const TopicId& view_of(const TopicId& id) { return id; }
  };

  Place place_of(const Key& key) const;
  Place& place_to_write(const Key& key);

  reactor::CowMap<Topic, ById> topics_;
  std::vector<uint32_t> load_;
  size_t size_ = 0;
};

}  // namespace posthaste::storage
