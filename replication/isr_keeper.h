// Keeps the in-sync sets of the partitions that one core leads: hears how far followers are, asks the controller for
// another ISR when one lags or has caught up, and says at each moment who holds the high watermark back: all of the
// *maximal* ISR, which is what the image says and what was asked for. Plain state of one core, driven by what it is
// told and by the time; it opens no connection (who sends requests takes them here) and touches no log. What is wanted
// is decided in isr_rules.h, what is granted in isr_changes.h.
//
// An answer does not change who is counted: only the image does, for the ISR and the min ISR that it is compared with
// must be of one image. (An ISR taken from an answer, beside a min ISR from before, would let a leader commit alone
// what a member of the ELR lacks.) So what was asked for is counted until the image has a later partition epoch, or
// until it is certain that it was not done and will not be.
//
// Cost: a progress message looks at one partition; each partition has one timer. Bounded by what is led.
#pragma once
#include <cstring>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "replication/isr_rules.h"
#include "replication/stream/leader.h"

namespace posthaste::replication {

using PartitionKey = std::pair<Uuid, int32_t>;  // topic and index

struct IsrTimes {
  reactor::Duration lag_max = std::chrono::seconds(10);  // replica.lag.time.max.ms
  // Until the same is asked for again when nothing is known of it: the controller may have moved.
  reactor::Duration retry_after = std::chrono::milliseconds(200);
  // When the answer says that the image will show it, and the image does not.
  reactor::Duration image_overdue = std::chrono::seconds(5);
  // Of a partition for which a change was refused: the controller knows more of brokers than this image.
  reactor::Duration refused_pause = std::chrono::milliseconds(500);
};

// Partitions in one request: some 100 KiB, and a step of the controller that delays nobody.
inline constexpr size_t kIsrChangesPerRequest = 1000;

// What the keeper asks of its broker. On its core.
class IsrHooks {
 public:
  IsrHooks() = default;
  IsrHooks(const IsrHooks&) = delete;
  IsrHooks& operator=(const IsrHooks&) = delete;
  virtual ~IsrHooks() = default;
  // Of a partition that is led.
  virtual LeaderLog log_of(const PartitionKey& key) = 0;
  // Who is counted has changed: Replica::set_in_sync(in_sync(key)), before anything else happens.
  virtual void in_sync_changed(const PartitionKey& key) = 0;
  // There may be something to take, or an earlier deadline().
  virtual void isr_changes_due() = 0;
};

class IsrKeeper {
 public:
  IsrKeeper(int32_t us, IsrHooks& hooks, const IsrTimes& times = {}) : us_(us), hooks_(hooks), times_(times) {}
  IsrKeeper(const IsrKeeper&) = delete;
  IsrKeeper& operator=(const IsrKeeper&) = delete;

  // --- The image, as this core has adopted it: brokers first.
  // Nothing of `life`: it is not registered. A return means that acknowledgements of the life before do not count.
  void broker_changed(int32_t broker, std::optional<BrokerLife> life, reactor::Instant now);
  // It is led here, in this term, and is so. A new term forgets the one before. The caller hands in_sync() to the
  // replica.
  void lead(const PartitionKey& key, LedPartition partition, reactor::Instant now);
  // It is led here no more, or is gone.
  void leave(const PartitionKey& key);
  // replica.lag.time.max.ms has changed; holds from the next look at each partition.
  void set_lag_max(reactor::Duration lag_max) { times_.lag_max = lag_max; }

  // --- Followers. After Replica::acknowledged().
  void progressed(const PartitionKey& key, const stream::FollowerProgress& progress, const LeaderLog& log,
                  reactor::Instant now);
  // Who holds the high watermark back; `durable` of each is what it has said. Of a partition that is led (CHECK).
  InSyncSet in_sync(const PartitionKey& key) const;

  // --- Requests. The next one; nothing when there is none, or while one is under way: one at a time.
  std::optional<AlterIsrRequest> take_request(reactor::Instant now);
  // Of the one under way: its results, of all changes or some.
  void answered(const std::vector<IsrChangeResult>& results, reactor::Instant now);
  // No answer, or one that says nothing of any partition: it may have been carried out, or may yet be.
  void unanswered(reactor::Instant now) { answered({}, now); }
  // When take_request() is to be asked again.
  reactor::Instant deadline() const;

  size_t led_count() const { return led_.size(); }
  bool is_asking(const PartitionKey& key) const;

 private:
  struct Asked {
    IsrChange change;
    uint32_t copies = 0;      // sent, of which it is not known that they did nothing
    bool must_renew = false;  // one was refused; another one may yet be granted
    reactor::Instant send_at;
  };
  struct Led {
    LedPartition partition;
    std::vector<FollowerState> followers;  // of all replicas but this one
    std::optional<Asked> asked;
    reactor::Instant asks_from;  // not before: a change was refused
    reactor::Instant timer = reactor::Instant::never();
  };
  struct Hash {
    size_t operator()(const PartitionKey& key) const {
      uint64_t id = 0;  // topic ids are random
      std::memcpy(&id, key.first.bytes.data(), sizeof(id));
      return id ^ (static_cast<uint64_t>(key.second) * 0x9e3779b97f4a7c15U);
    }
  };
  struct Sent {
    PartitionKey key;
    bool renews = false;
  };

  IsrInputs inputs(const PartitionKey& key, const Led& led, const LeaderLog& log, reactor::Instant now) const;
  int64_t epoch_of(int32_t broker) const;
  void due(const PartitionKey& key);
  void set_timer(const PartitionKey& key, Led& led, reactor::Instant at);
  void fire_timers(reactor::Instant now);
  reactor::Instant next_look(Led& led, const LeaderLog& log, reactor::Instant now) const;
  void ask(const PartitionKey& key, Led& led, AlterIsrRequest& request, reactor::Instant now);
  void answered_one(const Sent& sent, const IsrChangeResult* result, reactor::Instant now);
  void was_not_done(const PartitionKey& key, Led& led, reactor::Instant now);

  const int32_t us_;
  IsrHooks& hooks_;
  IsrTimes times_;
  BrokerLives brokers_;
  std::unordered_map<PartitionKey, Led, Hash> led_;
  std::set<PartitionKey> due_;  // to be looked at with the next request
  std::set<std::pair<reactor::Instant, PartitionKey>> timers_;
  std::optional<std::vector<Sent>> under_way_;
};

}  // namespace posthaste::replication
