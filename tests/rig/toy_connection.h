// What the hosts of the toy replication say to each other: messages of a kind and some numbers, over one stream, with a
// patience after which a silent peer is given up. One coroutine sends and one receives at a time; all on one core.
#pragma once
#include <cstdint>
#include <vector>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::rig {

enum class ToyKind : uint32_t {
  kRefused,       // term: the peer does not lead (that term), or does not know any
  kPoll,          // to the coordinator: replica, incarnation
  kAssignment,    // term, leader, the leader's incarnation, members
  kSubscribe,     // replica, term, end, then (epoch, its end) of each epoch of the log, ascending
  kStart,         // the offset to which the follower's log stays
  kRecords,       // high watermark, then (offset, epoch, payload) of each record
  kProgress,      // durable, end
  kProduce,       // payload
  kAcknowledged,  // offset
  kRead,          // offset
  kReadAnswer,    // high watermark, then (offset, payload) of records below it
};

struct ToyMessage {
  ToyKind kind = ToyKind::kRefused;
  std::vector<uint64_t> numbers;
  int64_t number(size_t index) const { return index < numbers.size() ? static_cast<int64_t>(numbers[index]) : -1; }
  int32_t term(size_t index) const { return static_cast<int32_t>(number(index)); }
};

class ToyConnection {
 public:
  ToyConnection(reactor::Core& core, reactor::Socket socket, reactor::Duration patience);
  ToyConnection(const ToyConnection&) = delete;
  ToyConnection& operator=(const ToyConnection&) = delete;

  // False: the connection is over.
  reactor::Task<bool> send(ToyMessage message);
  // Nothing: the connection is over, or silent for longer than the patience.
  reactor::Task<std::optional<ToyMessage>> receive();
  // Ends what the peer and we wait for on it. It must still be closed.
  reactor::Task<void> cut();
  // Once, as the last call, when nothing else runs on it.
  reactor::Task<void> close();
  // Patience is measured from the last message; this measures it from now.
  void patient_again() { heard_at_ = core_.now(); }

 private:
  reactor::Task<void> watch();

  reactor::Core& core_;
  reactor::Socket socket_;
  reactor::Duration patience_;
  reactor::Instant heard_at_;
  reactor::Event over_;
  bool cut_ = false;
  reactor::TaskScope watcher_;
};

}  // namespace posthaste::rig
