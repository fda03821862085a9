#include "broker/fetching/fetch_waits.h"

#include <algorithm>
#include <utility>

#include "broker/broker_core.h"
#include "broker/planted_bugs.h"

namespace posthaste::broker {

using reactor::Core;
using reactor::CoreId;
using reactor::Task;

FetchWaits& FetchWaits::there(Core& core) { return broker_.there(core).fetch_waits(); }

Task<void> FetchWaits::wait(net::ConnectionContext& context, const WatchedList& watched, uint64_t bytes,
                            reactor::Instant deadline) {
  Core& core = broker_.core();
  Reader reader(core);
  if (context.closing()) co_return;
  context.watch(reader);
  const Key key{.reader_core = core.id(), .number = next_number_++};
  readers_.emplace(key.number, &reader);
  reactor::RecycledMap<CoreId, WatchedList> by_owner;
  for (const Watched& partition : watched) by_owner[partition.owner].push_back(partition);
  const uint64_t share = std::max<uint64_t>(1, bytes / std::max<size_t>(1, by_owner.size()));
  bool more = false;
  for (const auto& [owner, partitions] : by_owner) {
    auto work = [&](Core& on) { return there(on).subscribe(key, partitions, share); };
    more = more || co_await reactor::on_core(core, owner, std::move(work));
  }
  if (!more) co_await reader.ready.wait_until(deadline);
  readers_.erase(key.number);
  for (const auto& [owner, partitions] : by_owner) {
    if (owner == core.id()) {
      subscriptions_.erase(key);
    } else {
      broker_.scope().spawn_job(mail_unsubscribe(*this, owner, key));
    }
  }
}

Task<void> FetchWaits::mail_unsubscribe(FetchWaits& reader, CoreId owner, Key key) {
  auto work = [&](Core& on) { reader.there(on).subscriptions_.erase(key); };
  co_await reactor::on_core(reader.broker_.core(), owner, std::move(work));
}

bool FetchWaits::subscribe(Key key, const WatchedList& watched, uint64_t bytes_wanted) {
  Subscription& subscription = subscriptions_[key];
  subscription.owner = this;
  subscription.key = key;
  subscription.bytes_wanted = bytes_wanted;
  for (const Watched& partition : watched) {
    auto* const replica = replication::Replica::find(broker_.engine(), partition.topic, partition.partition);
    // Deleted, or led no more: the reader is to see that.
    if (replica == nullptr || replica->role() != replication::Role::kLeader) return true;
    Listener& listener = subscription.listeners.emplace_back();
    listener.subscription = &subscription;
    listener.readable_before = replica->readable_min();
    listener.advanced = [](replication::HighWatermarkListener& told, uint64_t readable) {
      advanced(static_cast<Listener&>(told), readable);
    };
    listener.ended = [](replication::HighWatermarkListener& told) {
      Subscription& of = *static_cast<Listener&>(told).subscription;
      of.owner->post(of);
    };
    const bool is_missed = replica->add_listener(listener, partition.seen);
    if (is_missed && !reactor::planted(kBugs["fetch-wake-lost"])) return true;
  }
  return false;
}

// Counts what a reader may see. Not the size of the log: it grows with the append, so what was appended and not yet
// safe when the wait began would never count, and it shrinks with retention. Not what is durable here: that may have
// been so before the wait began, and other replicas hold it back.
void FetchWaits::advanced(Listener& listener, uint64_t readable) {
  Subscription& subscription = *listener.subscription;
  const uint64_t grown = readable > listener.readable_before ? readable - listener.readable_before : 0;
  CHECK(subscription.grown >= listener.grown);
  subscription.grown += grown - listener.grown;
  listener.grown = grown;
  if (subscription.grown >= subscription.bytes_wanted) subscription.owner->post(subscription);
}

void FetchWaits::post(Subscription& subscription) {
  if (std::exchange(subscription.posted, true)) return;
  broker_.scope().spawn_job(mail_ready(*this, subscription.key));
}

Task<void> FetchWaits::mail_ready(FetchWaits& owner, Key key) {
  auto work = [&](Core& on) {
    FetchWaits& reader = owner.there(on);
    if (const auto found = reader.readers_.find(key.number); found != reader.readers_.end()) {
      found->second->ready.set();
    }
  };
  co_await reactor::on_core(owner.broker_.core(), key.reader_core, std::move(work), reactor::MessageClass::kPush);
}

}  // namespace posthaste::broker
