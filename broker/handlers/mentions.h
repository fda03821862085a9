// How often a request names a thing of which much is to be said. More than a few times is refused, or a request of a
// megabyte would make an answer of gigabytes. Kafka answers each mention; its clients make one.
#pragma once
#include <cstdint>
#include <map>

namespace posthaste::broker {

// Of one request. `Key` may refer to its text.
template <class Key>
class Mentions {
 public:
  static constexpr uint32_t kAnsweredMax = 8;

  // Counts one. True: it is one too many.
  bool is_too_many(const Key& key) { return ++times_[key] > kAnsweredMax; }

 private:
  std::map<Key, uint32_t> times_;
};

}  // namespace posthaste::broker
