// The owner's part of a Produce: appends a share of its batches in one call, and reports by a push of its own when they
// are durable. So a wait for a disk, or for other replicas, holds no credit of the mail, no frame and nothing that
// others of the core need: any number may wait, and everything else continues. It does not decode requests or make
// answers.
#pragma once
#include <memory>

#include "broker/handlers/common.h"
#include "broker/handlers/produce_errors.h"
#include "net/kafka/produce.h"
#include "reactor/recycled.h"
#include "reactor/sync.h"

namespace posthaste::broker {

// What an append waits for before it is acknowledged.
enum class AckWhen : uint8_t { kAppended, kDurable, kHighWatermark };

// One partition of the request, and what became of it. The frame, which `asked` refers to, lives until the
// share's call has returned.
struct ProduceEntry {
  const net::kafka::ProduceRequest::Topic::Partition* asked = nullptr;
  AskedTopic asked_topic;
  const replication::TopicImage* topic = nullptr;
  bool repeats = false;  // an earlier entry is of the same partition, and answers for it
  int32_t leader_epoch = -1;
  reactor::CoreId owner = 0;
  AckWhen ack_when = AckWhen::kHighWatermark;
  bool needs_keys = false;  // of each record: the topic is compacted
  ErrorCode error = ErrorCode::kNone;
  storage::AppendResult result{.log_start_offset = -1};
  RefusedBatch refused;  // words, if there is an error
};

// Waits for the acknowledgement of one append; of the owner core.
struct AckWait : storage::OffsetWaiter {
  ProduceEntry* entry = nullptr;
  ErrorCode error = ErrorCode::kNone;
  size_t* missing = nullptr;
  reactor::Event* changed = nullptr;
};

// A share that is appended and not acknowledged; of the owner core.
struct Unacknowledged : reactor::Recycled {
  Unacknowledged(reactor::Core& there, size_t entries) : changed(there), waits(entries) {}
  size_t missing = 0;
  reactor::Event changed;
  reactor::RecycledVector<AckWait> waits;  // one for each entry
};

// The entries of one owner core. Lives with the request, on its core, until `is_done`.
struct ProduceShare {
  reactor::CoreId owner = 0;
  reactor::RecycledVector<ProduceEntry*> entries;
  reactor::Event* progress = nullptr;  // of the request's core; notified when a push has set is_done
  // True when the call returns: there is nothing to wait for. Else a push sets it later, and after that no entry
  // changes.
  bool is_done = false;
  // The request's own core owns them: there is no push; that core calls wait_for_acks() itself.
  std::unique_ptr<Unacknowledged> own;
};

// On the owner core: returns when all of them are acknowledged, or at `deadline` (REQUEST_TIMED_OUT).
reactor::Task<void> wait_for_acks(Unacknowledged& share, reactor::Instant deadline);
// On the request's core, afterwards: what became of the entries.
void take_acks(const Unacknowledged& share);

// Runs on the owner core, `there`: appends in order, first come first served. Returns when everything is appended or
// refused; the push follows as above, at `deadline` at the latest (REQUEST_TIMED_OUT).
reactor::Task<void> append_share(BrokerCore& home, BrokerCore& there, ProduceShare& share, reactor::Instant deadline);

}  // namespace posthaste::broker
