#include "broker/handlers/produce_append.h"

#include <algorithm>

#include "broker/error_codes.h"
#include "broker/key_walk.h"
#include "broker/planted_bugs.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::Errc;
using reactor::Instant;
using reactor::RecycledVector;
using reactor::Result;
using reactor::Task;
using replication::Replica;

ErrorCode append_error(Errc error) {
  // Clients refresh the metadata and retry, as for a leader that has moved. Not FENCED_LEADER_EPOCH for a term that is
  // not the replica's: librdkafka then drops the message.
  if (error == Errc::kNotFound || error == Errc::kStale || error == Errc::kAhead) {
    return ErrorCode::kNotLeaderOrFollower;
  }
  return error_code_of(error);
}

// When the log has checked a batch's meaning and refused it, the answer contains the log start.
bool tells_log_start(Errc error) {
  return error == Errc::kMalformed || error == Errc::kTimeOutOfRange || error == Errc::kOutOfOrder ||
         error == Errc::kFenced;
}

RefusedBatch refusal_of(const KeyWalk& walk) {
  RefusedBatch refused{.message = "One or more records have been rejected", .records = {}};
  if (walk.is_unreadable()) refused.message = "A compacted topic looks at keys, and the batch's records cannot be read";
  for (const int32_t index : walk.without_key()) {
    refused.records.push_back({index, "A compacted topic takes no record without a key"});
  }
  return refused;
}

// Refuses records without a key. The append finds all other errors of the batch.
Task<void> look_at_keys(BrokerCore& there, ProduceEntry& entry) {
  const auto find = [&] { return there.engine().find(entry.topic->id.bytes, entry.asked->index); };
  if (find() == nullptr) co_return;
  const auto batch =
      storage::parse_produced(entry.asked->records.whole, find()->config().batch, there.core().wall_now());
  if (!batch) co_return;
  KeyWalk walk(*batch);
  while (walk.step()) co_await there.core().yield();
  const bool has_keys = !walk.is_unreadable() && walk.without_key().empty();
  // The partition may have been deleted in the meantime.
  if (has_keys || find() == nullptr || !batch->crc_matches()) co_return;
  entry.error = ErrorCode::kInvalidRecord;
  entry.refused = refusal_of(walk);
  entry.result.log_start_offset = find()->log_start_offset();
}

// For compacted topics. Called by the request whose turn it is to append: no request may overtake an earlier one of the
// same partition, and compressed records need memory to be looked through. In pieces, so that the core serves others.
Task<void> look_at_keys(BrokerCore& there, ProduceShare& share) {
  for (ProduceEntry* entry : share.entries) {
    if (entry->needs_keys) co_await look_at_keys(there, *entry);
  }
}

void wait_for_ack(Unacknowledged& share, AckWait& wait, ProduceEntry& entry, Replica& replica) {
  if (entry.ack_when == AckWhen::kAppended) return;
  if (entry.result.duplicate && planted(kBugs["duplicate-acked-at-once"])) return;
  wait.offset = entry.result.last_offset + 1;
  wait.entry = &entry;
  wait.missing = &share.missing;
  wait.changed = &share.changed;
  wait.done = [](storage::OffsetWaiter& waiter, Result<void> outcome) {
    auto& self = static_cast<AckWait&>(waiter);
    if (!outcome) self.error = append_error(outcome.error());
    if (--*self.missing == 0) self.changed->notify_all();
  };
  ++share.missing;
  entry.ack_when == AckWhen::kDurable ? replica.log().wait_durable(wait) : replica.wait_high_watermark(wait);
}

// False: there is no room just now.
bool append_now(BrokerCore& there, ProduceEntry& entry, Unacknowledged& share, AckWait& wait) {
  Replica* const replica = Replica::find(there.engine(), entry.topic->id.bytes, entry.asked->index);
  if (replica == nullptr) {
    entry.error = error_of_missing(there, *entry.topic);
    return true;
  }
  const net::kafka::Bytes whole = entry.asked->records.whole;
  const storage::MutableBytes batch(const_cast<std::byte*>(whole.data()), whole.size());  // in the request's own buffer
  const Result<storage::AppendResult> appended =
      replica->append(batch, {.leader_epoch = entry.leader_epoch}, there.core().wall_now());
  if (appended) {
    entry.result = *appended;
    wait_for_ack(share, wait, entry, *replica);
    return true;
  }
  entry.error = append_error(appended.error());
  if (tells_log_start(appended.error())) entry.result.log_start_offset = replica->log().log_start_offset();
  return appended.error() != Errc::kNoMemory;
}

void refuse_all(BrokerCore& there, ProduceShare& share, ErrorCode error) {
  for (ProduceEntry* entry : share.entries) {
    entry->error = error;
    storage::Partition* const partition = there.engine().find(entry->topic->id.bytes, entry->asked->index);
    if (partition != nullptr) partition->refused(entry->asked->records.whole, there.core().wall_now());
  }
}

// For a batch for which there was no room. The partition may be deleted during the wait.
Task<void> append_when_there_is_room(BrokerCore& there, ProduceEntry& entry, Unacknowledged& share, AckWait& wait,
                                     Instant deadline) {
  do {
    // At a stop the answer tells the client to retry: until the end the disk writes only what was already accepted.
    if (there.core().stopping()) {
      entry.error = ErrorCode::kNotLeaderOrFollower;
      co_return;
    }
    if (there.core().now() >= deadline) co_return;  // with the error that it has
    there.tell_if_readers_hold_room();
    co_await there.engine().wait_for_room();
    entry.error = ErrorCode::kNone;
  } while (!append_now(there, entry, share, wait));
}

// Of a share of another core.
Task<void> acknowledge(BrokerCore& home, BrokerCore& there, std::unique_ptr<Unacknowledged> waiting,
                       ProduceShare& share, Instant deadline) {
  co_await wait_for_acks(*waiting, deadline);
  auto report = [&waiting, &share](Core&) {
    take_acks(*waiting);
    share.is_done = true;
    share.progress->notify_all();
  };
  co_await reactor::on_core(there.core(), home.core().id(), std::move(report), reactor::MessageClass::kPush);
}

}  // namespace

Task<void> wait_for_acks(Unacknowledged& share, Instant deadline) {
  while (share.missing > 0 && co_await share.changed.wait_until(deadline)) {
  }
  for (AckWait& wait : share.waits) {
    if (!wait.is_linked()) continue;
    wait.unlink();
    wait.error = ErrorCode::kRequestTimedOut;  // stored, but not known to be safe in time
  }
}

void take_acks(const Unacknowledged& share) {
  for (const AckWait& wait : share.waits) {
    if (wait.error != ErrorCode::kNone) wait.entry->error = wait.error;
  }
}

Task<void> append_share(BrokerCore& home, BrokerCore& there, ProduceShare& share, Instant deadline) {
  if (!co_await there.append_turn().acquire_until(1, deadline)) {
    refuse_all(there, share, ErrorCode::kRequestTimedOut);
    share.is_done = true;
    co_return;
  }
  if (std::ranges::any_of(share.entries, &ProduceEntry::needs_keys)) co_await look_at_keys(there, share);
  auto waiting = std::make_unique<Unacknowledged>(there.core(), share.entries.size());
  for (size_t i = 0; i < share.entries.size(); ++i) {
    ProduceEntry& entry = *share.entries[i];
    if (entry.error != ErrorCode::kNone || append_now(there, entry, *waiting, waiting->waits[i])) continue;
    co_await append_when_there_is_room(there, entry, *waiting, waiting->waits[i], deadline);
  }
  there.append_turn().release(1);
  if (waiting->missing == 0) {
    take_acks(*waiting);
    share.is_done = true;
  } else if (&home == &there) {
    share.own = std::move(waiting);
  } else {
    there.scope().spawn_job(acknowledge(home, there, std::move(waiting), share, deadline));
  }
}

}  // namespace posthaste::broker
