// Messages that wait for what they speak of: the writes of the vote and of the log, and that the log is as the quorum
// sees it. What may leave leaves in the order in which it was given. A pure value.
#pragma once
#include <deque>

#include "replication/quorum/events.h"

namespace posthaste::replication::quorum {

// While a disk stands still: what is older than so many messages is thrown away, as a network may.
inline constexpr size_t kMessagesWaitingMax = 1000;

// How far the driver has got.
struct Done {
  Persists persists;
  // Nothing waits to be done to the log: what an answer takes from it is what the quorum means.
  bool log_is_as_asked = false;
};

class Outbox {
 public:
  void add(Send message);
  // Takes out what may leave.
  std::deque<Send> ready(const Done& done);
  size_t size() const { return waiting_.size(); }
  void clear() { waiting_.clear(); }

 private:
  std::deque<Send> waiting_;
};

// The answer takes batches from the log.
bool takes_batches(const Message& message);

}  // namespace posthaste::replication::quorum
