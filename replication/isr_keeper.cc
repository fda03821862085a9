#include "replication/isr_keeper.h"

#include <algorithm>

#include "replication/planted_bugs.h"

namespace posthaste::replication {

using net::kafka::ErrorCode;
using reactor::Instant;
using reactor::planted;

namespace {

bool is_replica(const LedPartition& partition, int32_t broker) { return contains(partition.replicas, broker); }

}  // namespace

// --- The image.

void IsrKeeper::broker_changed(int32_t broker, std::optional<BrokerLife> life, Instant now) {
  const auto before = brokers_.find(broker);
  if (before == brokers_.end() ? !life : life && before->second == *life) return;
  const int64_t epoch_before = epoch_of(broker);
  if (life) {
    brokers_[broker] = *life;
  } else {
    brokers_.erase(broker);
  }
  const bool is_another_life = epoch_of(broker) != epoch_before;
  for (auto& [key, led] : led_) {
    if (!is_replica(led.partition, broker)) continue;
    led.asks_from = std::min(led.asks_from, now);
    due(key);
    if (!is_another_life) continue;
    // It begins again, and has its time for that.
    const auto follower = std::ranges::find(led.followers, broker, &FollowerState::broker);
    if (follower != led.followers.end()) follower->mark(follower->marked_end, now);
    hooks_.in_sync_changed(key);
  }
}

void IsrKeeper::lead(const PartitionKey& key, LedPartition partition, Instant now) {
  const auto [at, is_new] = led_.try_emplace(key);
  Led& led = at->second;
  const bool is_new_term = is_new || led.partition.term != partition.term;
  CHECK(is_new_term || partition.partition_epoch >= led.partition.partition_epoch, "partition epoch {} after {}",
        partition.partition_epoch, led.partition.partition_epoch);
  if (is_new_term) {
    led.followers.clear();
    led.asked.reset();
    led.asks_from = now;
  }
  std::vector<FollowerState> followers;
  for (const int32_t broker : partition.replicas) {
    if (broker == us_) continue;
    const auto known = std::ranges::find(led.followers, broker, &FollowerState::broker);
    followers.push_back(known == led.followers.end() ? FollowerState{.broker = broker} : *known);
    // A member has its time from when it is one.
    const bool is_new_member = contains(partition.isr, broker) && (is_new_term || !contains(led.partition.isr, broker));
    if (is_new_member) followers.back().mark(followers.back().marked_end, now);
  }
  if (led.asked && partition.partition_epoch > led.asked->change.partition_epoch) led.asked.reset();
  led.followers = std::move(followers);
  led.partition = std::move(partition);
  due(key);
}

void IsrKeeper::leave(const PartitionKey& key) {
  const auto at = led_.find(key);
  if (at == led_.end()) return;
  timers_.erase({at->second.timer, key});
  due_.erase(key);
  led_.erase(at);
}

// --- Followers.

void IsrKeeper::progressed(const PartitionKey& key, const stream::FollowerProgress& progress, const LeaderLog& log,
                           Instant now) {
  const auto at = led_.find(key);
  if (at == led_.end()) return;
  Led& led = at->second;
  const auto follower = std::ranges::find(led.followers, progress.broker, &FollowerState::broker);
  if (follower == led.followers.end()) return;  // no replica
  follower->told(progress.broker_epoch, progress.durable);
  for (FollowerState& one : led.followers) one.look(epoch_of(one.broker), log, now);
  const bool is_unverified = contains(led.partition.unverified, progress.broker);
  if (led.asked || (contains(led.partition.isr, progress.broker) && !is_unverified)) return;
  // Only who holds that much may enter; who is not beyond doubt may be found to have lost some.
  if (is_unverified || holds_what_is_committed(*follower, log)) due(key);
}

InSyncSet IsrKeeper::in_sync(const PartitionKey& key) const {
  const auto at = led_.find(key);
  CHECK(at != led_.end(), "it is not led here");
  const Led& led = at->second;
  InSyncSet in_sync{.size_min = static_cast<size_t>(std::max(led.partition.min_isr, 1))};
  const auto add = [&](int32_t broker) {
    const int64_t epoch = epoch_of(broker);
    const auto state = std::ranges::find(led.followers, broker, &FollowerState::broker);
    const int64_t durable = state == led.followers.end() ? 0 : std::max<int64_t>(state->durable_in(epoch), 0);
    in_sync.others.push_back({.broker = broker, .durable = durable, .broker_epoch = epoch});
  };
  for (const int32_t broker : led.partition.isr) {
    if (broker != us_) add(broker);
  }
  if (!led.asked || planted(kBugs["isr-wish-is-not-counted"])) return in_sync;
  for (const IsrChange::Member& member : led.asked->change.isr) {
    if (member.broker == us_ || contains(led.partition.isr, member.broker)) continue;
    add(member.broker);
    if (!planted(kBugs["isr-wish-makes-enough"])) ++in_sync.wished;
  }
  return in_sync;
}

bool IsrKeeper::is_asking(const PartitionKey& key) const {
  const auto at = led_.find(key);
  return at != led_.end() && at->second.asked.has_value();
}

// --- What is due, and when.

int64_t IsrKeeper::epoch_of(int32_t broker) const {
  const auto life = brokers_.find(broker);
  return life == brokers_.end() ? -1 : life->second.broker_epoch;
}

IsrInputs IsrKeeper::inputs(const PartitionKey& key, const Led& led, const LeaderLog& log, Instant now) const {
  return {.us = us_,
          .topic_id = key.first,
          .index = key.second,
          .partition = led.partition,
          .followers = led.followers,
          .brokers = brokers_,
          .log = log,
          .lag_max = times_.lag_max,
          .now = now};
}

void IsrKeeper::due(const PartitionKey& key) {
  due_.insert(key);
  hooks_.isr_changes_due();
}

void IsrKeeper::set_timer(const PartitionKey& key, Led& led, Instant at) {
  if (led.timer == at) return;
  if (led.timer != Instant::never()) timers_.erase({led.timer, key});
  led.timer = at;
  if (at != Instant::never()) timers_.emplace(at, key);
}

Instant IsrKeeper::deadline() const {
  if (under_way_) return Instant::never();
  if (!due_.empty()) return {};
  return timers_.empty() ? Instant::never() : timers_.begin()->first;
}

void IsrKeeper::fire_timers(Instant now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const PartitionKey key = timers_.begin()->second;
    timers_.erase(timers_.begin());
    led_.at(key).timer = Instant::never();
    due_.insert(key);
  }
}

// When the first member may begin to lag. Whether one that had all at the last look still has it is looked at twice in
// the lag time, as Kafka does.
Instant IsrKeeper::next_look(Led& led, const LeaderLog& log, Instant now) const {
  Instant next = led.asks_from > now ? led.asks_from : Instant::never();
  for (FollowerState& follower : led.followers) {
    if (!contains(led.partition.isr, follower.broker)) continue;
    const int64_t epoch = epoch_of(follower.broker);
    follower.look(epoch, log, now);
    const Instant lags_at = follower.marked_at + times_.lag_max;
    const bool is_behind = follower.is_behind_mark(epoch) && lags_at > now;
    next = std::min(next, is_behind ? lags_at : now + times_.lag_max / 2);
  }
  return next;
}

// --- Requests.

std::optional<AlterIsrRequest> IsrKeeper::take_request(Instant now) {
  if (under_way_) return std::nullopt;
  fire_timers(now);
  AlterIsrRequest request{.broker = us_, .broker_epoch = epoch_of(us_), .changes = {}};
  std::vector<Sent> sent;
  while (!due_.empty() && request.changes.size() < kIsrChangesPerRequest) {
    const PartitionKey key = *due_.begin();
    due_.erase(due_.begin());
    const size_t before = request.changes.size();
    ask(key, led_.at(key), request, now);
    if (request.changes.size() > before) sent.push_back({.key = key, .renews = request.changes.back().renews});
  }
  if (sent.empty()) return std::nullopt;
  under_way_ = std::move(sent);
  return request;
}

// Adds what is to be said of one partition now, if there is anything, and sets its timer.
void IsrKeeper::ask(const PartitionKey& key, Led& led, AlterIsrRequest& request, Instant now) {
  const LeaderLog log = hooks_.log_of(key);
  const IsrInputs now_known = inputs(key, led, log, now);
  if (!led.asked) {
    const std::optional<IsrChange> wanted = led.asks_from > now ? std::nullopt : wanted_isr(now_known);
    if (!wanted) return set_timer(key, led, next_look(led, log, now));
    led.asked = Asked{.change = *wanted, .send_at = now};
    hooks_.in_sync_changed(key);
  }
  Asked& asked = *led.asked;
  if (asked.send_at > now) return set_timer(key, led, asked.send_at);
  // Until there is an answer.
  asked.send_at = now + times_.image_overdue;
  set_timer(key, led, asked.send_at);
  if (!asked.must_renew) {
    ++asked.copies;
    request.changes.push_back(asked.change);
  } else if (std::optional<IsrChange> renewal = renewed_isr(now_known)) {
    request.changes.push_back(std::move(*renewal));
  } else {
    asked.send_at = now + times_.refused_pause;
    set_timer(key, led, asked.send_at);
  }
}

void IsrKeeper::answered(const std::vector<IsrChangeResult>& results, Instant now) {
  CHECK(under_way_, "an answer to nothing");
  const std::vector<Sent> sent = *std::exchange(under_way_, std::nullopt);
  std::map<PartitionKey, const IsrChangeResult*> by_key;
  for (const IsrChangeResult& result : results) by_key.emplace(PartitionKey{result.topic_id, result.index}, &result);
  for (const Sent& one : sent) {
    const auto result = by_key.find(one.key);
    answered_one(one, result == by_key.end() ? nullptr : result->second, now);
  }
  hooks_.isr_changes_due();
}

void IsrKeeper::answered_one(const Sent& sent, const IsrChangeResult* result, Instant now) {
  const auto at = led_.find(sent.key);
  // The image has been faster.
  if (at == led_.end() || !at->second.asked) return;
  Led& led = at->second;
  Asked& asked = *led.asked;
  asked.send_at = now + times_.retry_after;
  switch (result == nullptr ? ErrorCode::kUnknownServerError : result->error) {
    case ErrorCode::kIneligibleReplica:
    case ErrorCode::kOperationNotAttempted:
      if (sent.renews) break;
      return was_not_done(sent.key, led, now);
    case ErrorCode::kNone:
    case ErrorCode::kInvalidUpdateVersion:
    case ErrorCode::kFencedLeaderEpoch:
    case ErrorCode::kUnknownTopicId:
    case ErrorCode::kUnknownTopicOrPartition:
      // The image has something newer, or will have it.
      asked.send_at = now + times_.image_overdue;
      break;
    default:
      break;
  }
  set_timer(sent.key, led, asked.send_at);
}

// This copy; another one may arrive yet, and somebody who was not eligible may be by then.
void IsrKeeper::was_not_done(const PartitionKey& key, Led& led, Instant now) {
  Asked& asked = *led.asked;
  CHECK(asked.copies > 0);
  --asked.copies;
  if (asked.copies > 0 && !planted(kBugs["isr-copy-forgotten"])) {
    asked.must_renew = true;
    asked.send_at = now;
  } else {
    led.asked.reset();
    led.asks_from = now + times_.refused_pause;
    hooks_.in_sync_changed(key);
  }
  due_.insert(key);
}

}  // namespace posthaste::replication
