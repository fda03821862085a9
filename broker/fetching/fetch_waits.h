// The long poll of Fetch: a reader waits until partitions on any cores have got more bytes, without polling and without
// holding a call open. At each owner core a subscription listens to the high watermarks of its partitions and posts one
// "ready" to the reader's core. One object per core has both ends: its readers, and subscriptions of others.
#pragma once
#include "net/request.h"
#include "reactor/mail.h"
#include "reactor/recycled.h"
#include "replication/replica.h"

namespace posthaste::broker {

class BrokerCore;

class FetchWaits {
 public:
  // A partition that a reader waits on. `seen`: the high watermark at which it found too little.
  struct Watched {
    reactor::CoreId owner = 0;
    storage::TopicId topic{};
    int32_t partition = 0;
    int64_t seen = 0;
  };
  using WatchedList = reactor::RecycledVector<Watched>;

  explicit FetchWaits(BrokerCore& broker) : broker_(broker) {}

  // Returns when about `bytes` more may be there, at `deadline`, or when the connection closes. May return early: the
  // reader looks again. Each owner reports when its own partitions have grown by its share of `bytes`, so of n owners
  // one reports before all together have grown by `bytes`.
  reactor::Task<void> wait(net::ConnectionContext& context, const WatchedList& watched, uint64_t bytes,
                           reactor::Instant deadline);

  // Subscriptions held here for readers; for tests: none may be left when no request waits.
  size_t subscriptions() const { return subscriptions_.size(); }

 private:
  struct Reader : net::CloseWatcher {
    explicit Reader(reactor::Core& core) : ready(core) {
      on_close = [](net::CloseWatcher& watcher) { static_cast<Reader&>(watcher).ready.set(); };
    }
    reactor::Event ready;
  };
  struct Key {
    reactor::CoreId reader_core = 0;
    uint64_t number = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Subscription;
  // On one partition: how far it could be read when the wait began, and how much has come since.
  struct Listener : replication::HighWatermarkListener {
    Subscription* subscription = nullptr;
    uint64_t readable_before = 0;
    uint64_t grown = 0;
  };
  struct Subscription {
    FetchWaits* owner = nullptr;
    Key key;
    uint64_t bytes_wanted = 0;
    uint64_t grown = 0;  // all listeners together
    bool posted = false;
    reactor::RecycledDeque<Listener> listeners;
  };

  // On an owner's core. True: there is more already.
  bool subscribe(Key key, const WatchedList& watched, uint64_t bytes_wanted);
  static void advanced(Listener& listener, uint64_t readable);
  void post(Subscription& subscription);
  static reactor::Task<void> mail_ready(FetchWaits& owner, Key key);
  static reactor::Task<void> mail_unsubscribe(FetchWaits& reader, reactor::CoreId owner, Key key);
  FetchWaits& there(reactor::Core& core);

  BrokerCore& broker_;
  uint64_t next_number_ = 1;
  reactor::RecycledMap<uint64_t, Reader*> readers_;
  reactor::RecycledMap<Key, Subscription> subscriptions_;
};

}  // namespace posthaste::broker
