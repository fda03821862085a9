// The partitions that a request names, each once however often it is named. Each handler has its own rule for a
// partition that is named again (the last one counts, or all of them are refused).
#pragma once
#include <utility>

#include "broker/handlers/common.h"
#include "reactor/recycled.h"

namespace posthaste::broker {

// `Value`: what a handler keeps of a partition, default-constructible. Lives as long as the request, whose text the
// names refer to, on the core that has the request.
template <class Value>
class NamedPartitions {
 public:
  struct Named {
    Value& value;  // stays where it is
    bool again;    // it was named before
  };
  Named name(const AskedTopic& topic, int32_t index) {
    Value*& value = by_name_[{topic, index}];
    const bool again = value != nullptr;
    if (!again) value = &values_.emplace_back();
    return {*value, again};
  }

  // In the order of their first naming.
  reactor::RecycledDeque<Value>& values() { return values_; }

  // For answers in the order of the request, one a partition: its value at the first call, then null.
  const Value* take(const AskedTopic& topic, int32_t index) { return std::exchange(by_name_[{topic, index}], nullptr); }

 private:
  reactor::RecycledDeque<Value> values_;
  reactor::RecycledMap<std::pair<AskedTopic, int32_t>, Value*> by_name_;
};

}  // namespace posthaste::broker
