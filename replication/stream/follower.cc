#include "replication/stream/follower.h"

#include <fmt/format.h>

#include <algorithm>

#include "replication/metadata/topic_name.h"
#include "replication/planted_bugs.h"
#include "replication/stream/leader.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::replication::stream {

using reactor::Errc;
using reactor::planted;
using reactor::Result;
using reactor::Task;
using storage::EpochEnd;
using storage::Partition;

namespace {

// A frame each; the rest goes with the next send.
constexpr size_t kSubscriptionsPerSend = 1000;
// Credit that nothing else takes along wakes the sender when it is so much of the window.
constexpr int64_t kCreditAlone = kWindowBytes / 8;

LogTail tail_of(const Partition& log) {
  return {log.end_offset(), log.epochs().latest().value_or(storage::EpochEntry{}).epoch};
}

// All that there is, if it is no batch.
size_t first_batch_bytes(storage::ByteView batches) {
  const auto first = storage::RecordBatchView::parse(batches);
  return first ? first->size_bytes() : batches.size();
}

std::string name_of(const Partition& log) { return fmt::format("{}-{}", log.topic_name(), log.partition()); }

}  // namespace

struct Follower::Followed {
  struct Durable : storage::OffsetWaiter {
    Followed* of = nullptr;
  };

  Follower& follower;
  Replica& replica;
  const Replica::Copying copying;  // role and term stay what they are
  const Term term;
  const bool is_recovering;
  int32_t subscription = 0;  // 0: none
  bool is_leaving = false;   // unfollow() waits
  bool is_waiting = false;   // to be subscribed, now or later
  bool is_cutting = false;   // or begins anew
  uint32_t busy = 0;         // coroutines that work with it
  bool progress_due = false;
  int64_t told_log_start = 0;  // the leader's
  bool log_start_moves = false;
  storage::RunningHash hash;
  Durable durable;

  Followed(Follower& by, Replica& about, bool recovering)
      : follower(by), replica(about), copying(about), term(about.term()), is_recovering(recovering) {
    durable.of = this;
    durable.done = [](storage::OffsetWaiter& self, Result<void> outcome) {
      Followed& followed = *static_cast<Durable&>(self).of;
      if (outcome) followed.follower.progress_due(followed);
    };
  }
  Partition& log() const { return replica.log(); }
};

// For as long as a coroutine works with a Followed, that stays. A job gets its own as an argument: it counts from then
// on, not from when the job first runs.
class Follower::Busy {
 public:
  explicit Busy(Followed& with) : with_(&with) { ++with.busy; }
  Busy(Busy&& other) noexcept : with_(std::exchange(other.with_, nullptr)) {}
  Busy& operator=(Busy&&) = delete;
  ~Busy() {
    if (with_ != nullptr && --with_->busy == 0) with_->follower.idle_.notify_all();
  }
  Followed& followed() const { return *with_; }

 private:
  Followed* with_;
};

Follower::Follower(storage::Engine& engine, const StreamShared& shared, const Lane& lane, LaneChanges& changes,
                   reactor::Event& changed)
    : engine_(engine),
      core_(engine.core()),
      shared_(shared),
      lane_(lane),
      changes_(changes),
      changed_(changed),
      idle_(engine.core()),
      scope_(engine.core()) {}

Follower::~Follower() = default;

Follower::Key Follower::key_of(const Replica& replica) {
  const Partition& log = const_cast<Replica&>(replica).log();
  return {log.topic_id(), log.partition()};
}

// --- What is followed.

void Follower::follow(Replica& replica, bool is_recovering) {
  const auto [at, is_new] =
      followed_.try_emplace(key_of(replica), std::make_unique<Followed>(*this, replica, is_recovering));
  CHECK(is_new);
  subscribe_now(*at->second);
  changed_.notify_all();
}

Task<void> Follower::unfollow(Replica& replica) {
  const Key key = key_of(replica);
  const auto at = followed_.find(key);
  if (at == followed_.end()) co_return;
  Followed& followed = *at->second;
  CHECK(!followed.is_leaving, "it is asked for twice");
  followed.is_leaving = true;
  end_subscription(followed);
  while (followed.busy > 0) co_await idle_.wait();
  followed_.erase(key);
  changed_.notify_all();
}

Task<void> Follower::stop() {
  disconnected();
  for (const auto& [key, followed] : followed_) followed->is_leaving = true;
  co_await scope_.join();
  followed_.clear();
}

void Follower::connected(int16_t version) {
  CHECK(by_subscription_.empty());
  is_connected_ = true;
  version_ = version;
  newest_id_ = 0;
  credit_ = 0;
  to_unsubscribe_.clear();
  for (const auto& [key, followed] : followed_) subscribe_now(*followed);
}

void Follower::disconnected() {
  is_connected_ = false;
  for (const auto& [key, followed] : followed_) end_subscription(*followed);
  to_subscribe_.clear();
  retries_.clear();
  for (const auto& [key, followed] : followed_) followed->is_waiting = false;
}

Follower::Followed* Follower::subscribed(int32_t subscription) {
  const auto at = by_subscription_.find(subscription);
  return at == by_subscription_.end() ? nullptr : at->second;
}

void Follower::subscribe_now(Followed& followed) {
  if (!is_connected_ || followed.is_waiting || followed.is_leaving || followed.is_cutting) return;
  if (followed.subscription != 0) return;
  followed.is_waiting = true;
  const Key key = key_of(followed.replica);
  // What groups and offsets wait for comes first.
  if (is_internal_topic(followed.log().topic_name())) {
    to_subscribe_.push_front(key);
  } else {
    to_subscribe_.push_back(key);
  }
  changed_.notify_all();
}

bool Follower::may_subscribe() const {
  return lane_.stream_class == StreamClass::kLive || by_subscription_.size() < shared_.catch_up.at_once;
}

void Follower::subscribe_later(Followed& followed) {
  if (!is_connected_ || followed.is_waiting || followed.is_leaving || followed.is_cutting) return;
  followed.is_waiting = true;
  retries_.emplace_back(core_.now() + shared_.times.retry_after, key_of(followed.replica));
  changed_.notify_all();
}

void Follower::end_subscription(Followed& followed) {
  if (followed.subscription == 0) return;
  by_subscription_.erase(followed.subscription);
  if (is_connected_) to_unsubscribe_.push_back(followed.subscription);
  followed.subscription = 0;
  followed.progress_due = false;
  followed.durable.unlink();
  changed_.notify_all();
}

void Follower::subscribe_again(Followed& followed, std::string_view why) {
  core_.log(reactor::LogLevel::kInfo, "replication.subscribe_again",
            fmt::format("partition={} why=\"{}\"", name_of(followed.log()), why));
  end_subscription(followed);
  subscribe_later(followed);
}

reactor::Instant Follower::retry_at() const {
  return retries_.empty() ? reactor::Instant::never() : retries_.front().first;
}

// --- What the leader says.

Task<bool> Follower::apply(const Data& message) {
  if (message.batches.is_null || message.batches.whole.empty()) co_return false;
  const auto bytes = static_cast<int64_t>(message.batches.whole.size());
  Followed* const followed = subscribed(message.subscription);
  if (followed != nullptr) {
    const Busy busy(*followed);
    if (!co_await append(*followed, message)) ++stats_.late;
  } else {
    ++stats_.late;
  }
  credit_ += bytes;
  if (credit_ >= kCreditAlone) changed_.notify_all();
  co_return true;
}

// False: it may not be applied, or not all of it, and the subscription has ended.
Task<bool> Follower::append(Followed& followed, const Data& message) {
  std::vector<storage::EpochEntry> epochs;
  epochs.reserve(message.epochs.size());
  for (const EpochStart& start : message.epochs) epochs.push_back({start.epoch, start.start_offset});
  storage::ByteView rest = message.batches.whole;
  size_t take = rest.size();
  while (!rest.empty()) {
    if (!may_apply(followed, message, rest.size() < message.batches.whole.size())) co_return false;
    const auto appended = followed.log().append_replicated(rest.first(take), core_.wall_now(), epochs);
    if (appended) {
      rest = rest.subspan(take);
      take = rest.size();
    } else if (appended.error() == Errc::kNoMemory) {
      co_await engine_.wait_for_room();
    } else if (const size_t first = first_batch_bytes(rest); appended.error() == Errc::kTooLarge && first < take) {
      take = first;  // this broker has less memory than its leader
    } else {
      subscribe_again(followed, to_string(appended.error()));
      co_return false;
    }
  }
  ++stats_.frames;
  stats_.bytes += message.batches.whole.size();
  if (hash_is_wrong(followed, message)) co_return false;
  follow_leader(followed, message.high_watermark, message.log_start);
  await_durable(followed);
  co_return true;
}

// Asked again after each wait. `is_begun`: some of its batches are in the log, so that it follows what is there.
bool Follower::may_apply(Followed& followed, const Data& message, bool is_begun) {
  // Who has unsubscribed during a wait has no use for it.
  if (followed.subscription != message.subscription) return false;
  const Replica& replica = followed.replica;
  switch (judge(message, followed.term, replica.role(), replica.term(), tail_of(followed.log()))) {
    case Verdict::kApply:
      return true;
    case Verdict::kLate:
      end_subscription(followed);
      return false;
    case Verdict::kGap:
      if (is_begun) return true;
      subscribe_again(followed, "a frame does not follow the end of the log");
      return false;
  }
}

// The bytes that both have handed from log to log since the subscription began.
bool Follower::hash_is_wrong(Followed& followed, const Data& message) {
  const auto ours = static_cast<int64_t>(followed.hash.value());
  followed.hash.add(message.batches.whole);
  if (message.rolling_hash == 0) return false;
  ++stats_.hashes;
  if (message.rolling_hash == ours) return false;
  ++stats_.unlike;
  core_.log(reactor::LogLevel::kError, "replication.bytes_differ",
            fmt::format("partition={} leader_epoch={} below_offset={} meaning=\"what arrived is not what the leader "
                        "sent\"",
                        name_of(followed.log()), message.leader_epoch, message.prev_next_offset));
  subscribe_again(followed, "its bytes differ from the leader's");
  return true;
}

bool Follower::hear(const HighWatermark& message) {
  if (message.high_watermark < 0 || message.log_start < 0) return false;
  Followed* const followed = subscribed(message.subscription);
  if (followed != nullptr) follow_leader(*followed, message.high_watermark, message.log_start);
  return true;
}

void Follower::follow_leader(Followed& followed, int64_t high_watermark, int64_t log_start) {
  followed.replica.follow_high_watermark(high_watermark);
  followed.told_log_start = log_start;
  follow_log_start(followed);
}

// As far as the high watermark is by now here.
void Follower::follow_log_start(Followed& followed) {
  const int64_t start = std::min(followed.told_log_start, followed.replica.high_watermark());
  if (start > followed.log().log_start_offset() && !followed.log_start_moves && !followed.is_leaving) {
    followed.log_start_moves = true;
    scope_.spawn_job(raise_log_start(Busy(followed), start));
  }
}

Task<void> Follower::raise_log_start(Busy busy, int64_t offset) {
  Followed& followed = busy.followed();
  // Refused: the next move of the durable offset, or the next word of the leader, tries it again.
  if (!followed.is_leaving) (void)co_await followed.log().set_log_start(offset);
  followed.log_start_moves = false;
  if (followed.subscription != 0) progress_due(followed);
}

bool Follower::hear(const Diverge& message) {
  if (message.epoch < 0 || message.end_offset < 0) return false;
  Followed* const followed = subscribed(message.subscription);
  if (followed == nullptr) return true;
  end_subscription(*followed);
  followed->is_cutting = true;
  scope_.spawn_job(cut(Busy(*followed), {message.epoch, message.end_offset}));
  return true;
}

bool Follower::hear(const End& message) {
  if (message.subscription == kWholeConnection) return false;
  const NextLane next = next_lane(lane_, message);
  if (!next.is_sane) return false;
  Followed* const followed = subscribed(message.subscription);
  if (followed == nullptr) return true;
  end_subscription(*followed);
  if (message.reason == EndReason::kOutOfRange && message.log_start >= 0) {
    followed->is_cutting = true;
    scope_.spawn_job(begin_anew(Busy(*followed), message.log_start));
  } else if (!next.lane || !change_lane(*followed, *next.lane)) {
    subscribe_again(*followed, message.message.empty()
                                   ? fmt::format("ended by its leader, reason {}", static_cast<int16_t>(message.reason))
                                   : message.message);
  }
  return true;
}

bool Follower::change_lane(Followed& followed, const Lane& to) {
  if (to.core != lane_.core) {
    ++stats_.moves;
  } else {
    ++(to.stream_class == StreamClass::kCatchUp ? stats_.far : stats_.close);
  }
  return changes_.change_lane(followed.replica, followed.is_recovering, to);
}

// --- Logs that are not their leader's.

// What is known to be committed does not go, whoever asks.
bool Follower::fuse_blows(Followed& followed, int64_t offset) {
  const Partition& log = followed.log();
  const bool is_empty = log.end_offset() == log.log_start_offset();
  if (may_cut_to(offset, followed.replica.high_watermark(), is_empty, followed.is_recovering)) return false;
  ++stats_.fuses;
  core_.log(
      reactor::LogLevel::kError, "replication.fuse",
      fmt::format("partition={} leader_epoch={} asked_to_cut_to={} high_watermark={} action=\"nothing is cut; the "
                  "replica stays as it is\"",
                  name_of(log), followed.term.leader_epoch, offset, followed.replica.high_watermark()));
  return true;
}

Task<Result<void>> Follower::cut_log(Followed& followed, int64_t offset) {
  Partition& log = followed.log();
  // Below its start there is nothing to agree on.
  if (offset < log.log_start_offset()) co_return co_await log.reset(offset);
  co_return co_await log.truncate(offset);
}

Task<void> Follower::cut(Busy busy, EpochEnd leaders) {
  Followed& followed = busy.followed();
  const int64_t end = followed.log().end_offset();
  co_await cut_to(followed, storage::truncation_step(followed.log().epochs(), end, leaders).offset);
}

Task<void> Follower::cut_to(Followed& followed, int64_t offset) {
  const LogTail before = tail_of(followed.log());
  const Result<void> done = co_await change_log(followed, offset, [&] { return cut_log(followed, offset); });
  const LogTail after = tail_of(followed.log());
  const bool has_moved = after.end != before.end || after.last_epoch != before.last_epoch;
  if (done && has_moved) {
    ++stats_.cuts;
    subscribe_now(followed);
  } else {
    subscribe_again(followed, done ? "a cut that changed nothing" : to_string(done.error()));
  }
}

Task<void> Follower::begin_anew(Busy busy, int64_t offset) {
  Followed& followed = busy.followed();
  const Result<void> done = co_await change_log(followed, offset, [&] { return followed.log().reset(offset); });
  if (done) {
    ++stats_.resets;
    subscribe_now(followed);
  } else {
    subscribe_again(followed, to_string(done.error()));
  }
}

// What takes records from a log to which `offset` is to be the end: not for who has left, and never what is committed.
template <class Change>
Task<Result<void>> Follower::change_log(Followed& followed, int64_t offset, Change change) {
  Result<void> done = reactor::failure(Errc::kFenced);
  if (!followed.is_leaving && !fuse_blows(followed, offset)) done = co_await change();
  followed.is_cutting = false;
  co_return done;
}

// --- What is sent.

void Follower::progress_due(Followed& followed) {
  if (followed.progress_due || followed.subscription == 0) return;
  followed.progress_due = true;
  to_acknowledge_.push_back(followed.subscription);
  changed_.notify_all();
}

void Follower::await_durable(Followed& followed) {
  const int64_t durable = followed.log().durable_offset();
  if (followed.progress_due || followed.durable.is_linked() || durable >= followed.log().end_offset()) return;
  followed.durable.offset = durable + 1;
  followed.log().wait_durable(followed.durable);
}

void Follower::fill(std::vector<Frame>& out) {
  for (; !retries_.empty() && retries_.front().first <= core_.now(); retries_.pop_front()) {
    to_subscribe_.push_back(retries_.front().second);
  }
  for (const int32_t id : to_unsubscribe_) say(Unsubscribe{.subscription = id}, out);
  to_unsubscribe_.clear();
  fill_subscriptions(out);
  fill_progress(out);
  const auto bytes = static_cast<int32_t>(std::min<int64_t>(credit_, INT32_MAX));
  if (bytes > 0) say(Credit{.bytes = bytes}, out);
  credit_ -= bytes;
}

Subscribe Follower::subscription_of(const Followed& followed) const {
  const Partition& log = followed.log();
  const LogTail tail = tail_of(log);
  return {.subscription = followed.subscription,
          .topic_id = {log.topic_id()},
          .partition = log.partition(),
          .leader_epoch = followed.term.leader_epoch,
          .leader_broker_epoch = followed.term.broker_epoch,
          .end = tail.end,
          .last_epoch = tail.last_epoch,
          .durable = log.durable_offset(),
          .log_start = log.log_start_offset()};
}

void Follower::fill_subscriptions(std::vector<Frame>& out) {
  for (size_t count = 0; !to_subscribe_.empty() && count < kSubscriptionsPerSend && may_subscribe();
       to_subscribe_.pop_front()) {
    const auto at = followed_.find(to_subscribe_.front());
    if (at == followed_.end() || at->second->is_leaving || !at->second->is_waiting) continue;
    Followed& followed = *at->second;
    followed.is_waiting = false;
    if (followed.subscription != 0) continue;
    if (planted(kBugs["truncation-to-high-watermark"]) &&
        followed.log().end_offset() > followed.replica.high_watermark()) {
      followed.is_cutting = true;
      scope_.spawn_job(cut(Busy(followed), {INT32_MAX, followed.replica.high_watermark()}));
      continue;
    }
    followed.subscription = ++newest_id_;
    followed.hash = {};
    by_subscription_.emplace(followed.subscription, &followed);
    say(subscription_of(followed), out);
    await_durable(followed);
    ++count;
  }
}

void Follower::fill_progress(std::vector<Frame>& out) {
  Ack ack;
  for (const int32_t id : to_acknowledge_) {
    Followed* const followed = subscribed(id);
    if (followed == nullptr || !std::exchange(followed->progress_due, false)) continue;
    const Partition& log = followed->log();
    ack.progress.push_back({id, log.durable_offset(), log.end_offset(), log.log_start_offset()});
    await_durable(*followed);
    follow_log_start(*followed);
  }
  to_acknowledge_.clear();
  if (!ack.progress.empty()) say(ack, out);
}

}  // namespace posthaste::replication::stream
