#include "replication/stream/leader.h"

#include <algorithm>
#include <utility>

#include "replication/planted_bugs.h"

namespace posthaste::replication::stream {

using reactor::Errc;
using reactor::planted;
using reactor::Result;
using reactor::Task;
using storage::Partition;
using storage::ReadResult;

namespace {

// One gather list: what a socket takes in some milliseconds, so that ACK, HW and PING are never far behind.
constexpr uint64_t kSendBytesMax = 2 << 20;
// Of high watermarks that moved alone, so many go in one send; the rest in the next.
constexpr size_t kNewsPerSend = 4096;
// Reads from disk at a time, each of kDataBytesMax, or one batch: enough to keep a disk busy.
constexpr uint32_t kReadsMax = 4;
// More partitions than a broker's core is made for; a peer that subscribes to more is out of its mind.
constexpr size_t kSubscriptionsMax = 200'000;
constexpr reactor::Duration kMemoryRetry = std::chrono::milliseconds(20);

storage::TopicId topic_of(const Subscribe& message) { return message.topic_id.bytes; }

}  // namespace

struct Leader::Subscription {
  struct EndListener : storage::OffsetListener {
    Subscription* of = nullptr;
  };
  struct NewsListener : HighWatermarkListener {
    Subscription* of = nullptr;
  };

  Leader& leader;
  Replica& replica;
  const int32_t id;
  const Term term;
  // How the follower's log will end when it has got all that was sent.
  LogTail sent;
  int64_t read_from = 0;  // where to read on: above sent.end inside a hole, or if the log begins inside a batch
  int64_t told_high_watermark = -1;
  int64_t told_log_start = -1;
  bool is_reading = false;          // or has been read
  std::optional<ReadResult> ready;  // read from disk, not sent
  storage::RunningHash hash;
  uint64_t hashed_bytes = 0;  // since the hash was told last
  EndListener end_listener;
  NewsListener news_listener;

  Subscription(Leader& of, Replica& about, const Subscribe& message)
      : leader(of),
        replica(about),
        id(message.subscription),
        term(about.term()),
        sent{message.end, message.last_epoch},
        read_from(std::max(message.end, about.log().log_start_offset())) {
    end_listener.of = news_listener.of = this;
    end_listener.advanced = [](storage::OffsetListener& self) {
      Subscription& subscription = *static_cast<EndListener&>(self).of;
      subscription.leader.has_data(subscription);
    };
    news_listener.advanced = [](HighWatermarkListener& self, uint64_t) {
      Subscription& subscription = *static_cast<NewsListener&>(self).of;
      subscription.leader.has_news(subscription);
    };
    news_listener.ended = [](HighWatermarkListener& self) {
      Subscription& subscription = *static_cast<NewsListener&>(self).of;
      subscription.leader.end(subscription, EndReason::kNotLeader);
    };
    const bool behind = replica.log().add_end_listener(end_listener, replica.log().end_offset());
    const bool above = replica.add_listener(news_listener, replica.high_watermark());
    CHECK(!behind && !above);
  }
};

Leader::Leader(const StreamShared& shared, LeaderHooks& hooks, const Open& follower, int16_t version,
               reactor::Event& changed)
    : core_(shared.core),
      limits_(shared.catch_up),
      hooks_(hooks),
      broker_(follower.from_broker),
      broker_epoch_(follower.from_broker_epoch),
      stream_class_(follower.stream_class),
      version_(version),
      changed_(changed),
      window_(std::clamp<int64_t>(follower.window_bytes, kDataBytesMax, kWindowBytes)),
      scope_(shared.core) {
  CHECK(limits_.close_bytes < limits_.far_bytes, "a partition would go to and fro between its connections");
}

Leader::~Leader() = default;

Task<void> Leader::stop() {
  subscriptions_.clear();
  co_await scope_.join();
}

// --- What the follower says.

bool Leader::leads_in(const Replica& replica, const Subscribe& message) const {
  const Term asked{.leader_epoch = message.leader_epoch, .broker_epoch = message.leader_broker_epoch};
  return replica.role() == Role::kLeader && replica.term() == asked;
}

bool Leader::hear(const Subscribe& message) {
  const bool is_sane = message.subscription > newest_id_ && message.durable >= 0 && message.durable <= message.end &&
                       message.log_start <= message.end && message.last_epoch >= storage::kNoLeaderEpoch;
  if (!is_sane || subscriptions_.size() >= kSubscriptionsMax) return false;
  newest_id_ = message.subscription;
  Replica* const replica = hooks_.find(topic_of(message), message.partition);
  if (replica == nullptr || !leads_in(*replica, message)) {
    refuse_missing(message, replica);
    return true;
  }
  const int64_t log_start = replica->log().log_start_offset();
  if (message.end >= log_start) {
    join(message, *replica, log_start);
  } else {
    scope_.spawn_job(join_when_read(Partition::Use(replica->log()), message));
  }
  return true;
}

// The log may begin inside a batch: that batch is the first one, and goes whole.
Task<int64_t> Leader::first_offset(Partition& log) {
  const int64_t log_start = log.log_start_offset();
  const Result<ReadResult> first =
      co_await log.read({.offset = log_start, .max_bytes = 1, .limit_offset = log.end_offset()});
  co_return first && first->base_offset >= 0 ? std::min(first->base_offset, log_start) : log_start;
}

Task<void> Leader::join_when_read(Partition::Use use, Subscribe message) {
  const int64_t first = co_await first_offset(use.partition());
  Replica* const replica = hooks_.find(topic_of(message), message.partition);
  if (replica == nullptr || !leads_in(*replica, message)) {
    refuse_missing(message, replica);
  } else {
    join(message, *replica, first);
  }
}

void Leader::join(const Subscribe& message, Replica& replica, int64_t first_offset) {
  const Partition& log = replica.log();
  const LogTail follower{message.end, message.last_epoch};
  const JoinAnswer answer = join_answer(log.epochs(), first_offset, log.end_offset(), follower);
  switch (answer.joins) {
    case Joins::kHere:
      if (is_too_far(replica, message.end)) return refuse(message.subscription, EndReason::kFarBehind, -1, -1);
      return accept(message, replica);
    case Joins::kDiverges:
      answers_.emplace_back(Diverge{.subscription = message.subscription,
                                    .epoch = answer.diverges.epoch,
                                    .end_offset = answer.diverges.end_offset});
      return changed_.notify_all();
    case Joins::kTooOld:
      return refuse(message.subscription, EndReason::kOutOfRange, -1, first_offset);
    case Joins::kAhead:
      return refuse(message.subscription, EndReason::kAhead, -1, -1);
  }
}

// Live, though it has to be read from old segments: the others would wait behind that.
bool Leader::is_too_far(Replica& replica, int64_t offset) const {
  return stream_class_ == StreamClass::kLive && replica.log().bytes_from(offset) > limits_.far_bytes;
}

bool Leader::is_close(const Subscription& subscription) const {
  return stream_class_ == StreamClass::kCatchUp &&
         subscription.replica.log().bytes_from(subscription.sent.end) <= limits_.close_bytes;
}

// From here on the follower's log is known to be a beginning of this one, and what it has on disk counts.
void Leader::accept(const Subscribe& message, Replica& replica) {
  const auto [at, is_new] =
      subscriptions_.try_emplace(message.subscription, std::make_unique<Subscription>(*this, replica, message));
  CHECK(is_new);
  Subscription& subscription = *at->second;
  if (planted(kBugs["caught-up-leaves-gap"]) && stream_class_ == StreamClass::kLive && message.end > 0) {
    subscription.sent = {replica.log().end_offset(), message.last_epoch};
    subscription.read_from = subscription.sent.end;
  }
  has_data(subscription);
  has_news(subscription);
  count(subscription, message.durable, message.end, message.log_start);
}

bool Leader::hear(const Unsubscribe& message) {
  forget(message.subscription);
  return true;
}

bool Leader::hear(const Ack& message) {
  for (const Ack::Progress& progress : message.progress) {
    const auto at = subscriptions_.find(progress.subscription);
    if (at == subscriptions_.end()) continue;  // it has ended here meanwhile
    Subscription& subscription = *at->second;
    const bool is_sane =
        progress.durable >= 0 && progress.durable <= progress.end && progress.end <= subscription.sent.end;
    if (!is_sane) return false;
    count(subscription, progress.durable, progress.end, progress.log_start);
  }
  return true;
}

void Leader::count(Subscription& subscription, int64_t durable, int64_t log_end, int64_t log_start) {
  Replica& replica = subscription.replica;
  CHECK(replica.role() == Role::kLeader && replica.term() == subscription.term, "a subscription outlives its term");
  if (planted(kBugs["high-watermark-from-positions"])) durable = log_end;
  replica.acknowledged(broker_, durable, broker_epoch_);
  hooks_.progressed(
      replica,
      {.broker = broker_, .broker_epoch = broker_epoch_, .durable = durable, .end = log_end, .log_start = log_start});
}

bool Leader::hear(const Credit& message) {
  if (!window_.give_back(message.bytes)) return false;
  changed_.notify_all();
  return true;
}

// --- The end of a subscription.

// It does not lead here: another core of this broker may.
void Leader::refuse_missing(const Subscribe& message, const Replica* replica) {
  const int32_t core = replica == nullptr ? hooks_.core_of(topic_of(message), message.partition) : -1;
  if (core < 0 || core == core_.id()) {
    return refuse(message.subscription, EndReason::kNotLeader, hooks_.leader_of(topic_of(message), message.partition),
                  -1);
  }
  answers_.emplace_back(End{.subscription = message.subscription, .reason = EndReason::kOtherCore, .core_hint = core});
  changed_.notify_all();
}

void Leader::refuse(int32_t id, EndReason reason, int32_t leader_hint, int64_t log_start, std::string message) {
  answers_.emplace_back(End{.subscription = id,
                            .reason = reason,
                            .leader_hint = leader_hint,
                            .log_start = log_start,
                            .message = std::move(message)});
  changed_.notify_all();
}

void Leader::end(Subscription& subscription, EndReason reason, int64_t log_start) {
  const Partition& log = subscription.replica.log();
  const int32_t hint = reason == EndReason::kNotLeader ? hooks_.leader_of(log.topic_id(), log.partition()) : -1;
  const int32_t id = subscription.id;
  forget(id);
  refuse(id, reason, hint, log_start);
}

void Leader::forget(int32_t id) {
  const auto at = subscriptions_.find(id);
  if (at == subscriptions_.end()) return;
  if (at->second->ready) read_is_over(*at->second);
  subscriptions_.erase(at);
  order_.remove(id);
  news_.erase(id);
}

void Leader::has_data(Subscription& subscription) {
  if (!subscription.is_reading) order_.add(subscription.id);
  changed_.notify_all();
}

void Leader::has_news(Subscription& subscription) {
  news_.insert(subscription.id);
  changed_.notify_all();
}

// --- What is sent.

void Leader::fill(Outgoing& out) {
  fill_data(out);
  fill_news(out);
  // Last: what was found on the way may have ended a subscription.
  for (; !answers_.empty(); answers_.pop_front()) say(answers_.front(), out);
}

void Leader::fill_data(Outgoing& out) {
  while (out.bytes < kSendBytesMax) {
    const auto turn = order_.next();
    if (!turn) return;
    const uint64_t before = out.bytes;
    switch (send_data(*subscriptions_.at(turn->subscription), turn->bytes_max, out)) {
      case Step::kSent:
        order_.sent(turn->subscription, static_cast<int64_t>(out.bytes - before));
        break;
      case Step::kIdle:
        order_.idle(turn->subscription);
        break;
      case Step::kHeldBack:
        return;  // its turn comes when the window has room
      case Step::kEnded:
        break;
    }
  }
}

Leader::Step Leader::send_data(Subscription& subscription, int64_t bytes_max, Outgoing& out) {
  const int32_t id = subscription.id;
  if (is_close(subscription)) {
    if (planted(kBugs["caught-up-is-durable"])) count(subscription, subscription.sent.end, subscription.sent.end, 0);
    end(subscription, EndReason::kCaughtUp);
    return Step::kEnded;
  }
  if (!subscription.ready && !read_next(subscription, bytes_max)) {
    return subscriptions_.contains(id) ? Step::kIdle : Step::kEnded;
  }
  if (!window_.takes(subscription.ready->size_bytes)) {
    // What is in memory is read again: kept, it would hold the chunks of all that wait.
    if (!subscription.is_reading) subscription.ready.reset();
    return Step::kHeldBack;
  }
  ReadResult read = std::move(*std::exchange(subscription.ready, std::nullopt));
  if (subscription.is_reading) read_is_over(subscription);
  if (read.base_offset < subscription.sent.end) {
    end(subscription, EndReason::kOutOfRange, read.base_offset);
    return Step::kEnded;
  }
  add_data_frame(subscription, std::move(read), out);
  return Step::kSent;
}

// Fills `ready`, from memory. False: there is nothing, or a disk is asked, or the subscription has ended.
bool Leader::read_next(Subscription& subscription, int64_t bytes_max) {
  Partition& log = subscription.replica.log();
  if (subscription.read_from >= log.end_offset()) return false;
  const storage::ReadRequest request{.offset = subscription.read_from,
                                     .max_bytes = static_cast<uint32_t>(std::min<int64_t>(bytes_max, kDataBytesMax)),
                                     .limit_offset = log.end_offset()};
  auto read = log.try_read(request);
  if (!read && is_too_far(subscription.replica, subscription.read_from)) {
    end(subscription, EndReason::kFarBehind);
    return false;
  }
  if (!read) {
    start_read(subscription, request);
    return false;
  }
  if (!*read) {
    read_failed(subscription, read->error());
    return false;
  }
  subscription.read_from = std::max(subscription.read_from, (*read)->size_bytes > 0 ? 0 : (*read)->next_offset);
  if ((*read)->size_bytes == 0) return false;
  subscription.ready = std::move(**read);
  return true;
}

void Leader::read_failed(Subscription& subscription, Errc error) {
  Partition& log = subscription.replica.log();
  switch (error) {
    case Errc::kNoMemory:
      return start_read(
          subscription,
          {.offset = subscription.read_from, .max_bytes = kDataBytesMax, .limit_offset = log.end_offset()});
    case Errc::kOutOfRange:  // the log begins later by now
      scope_.spawn_job(end_out_of_range(Partition::Use(log), subscription.id));
      return;
    default:
      return end(subscription, EndReason::kDamaged);
  }
}

Task<void> Leader::end_out_of_range(Partition::Use use, int32_t id) {
  const int64_t first = co_await first_offset(use.partition());
  const auto at = subscriptions_.find(id);
  if (at != subscriptions_.end()) end(*at->second, EndReason::kOutOfRange, first);
}

void Leader::start_read(Subscription& subscription, const storage::ReadRequest& request) {
  subscription.is_reading = true;
  if (reads_ == kReadsMax) return waiting_reads_.push_back(subscription.id);
  ++reads_;
  scope_.spawn_job(read(Partition::Use(subscription.replica.log()), subscription.id, request));
}

Task<void> Leader::read(Partition::Use use, int32_t id, storage::ReadRequest request) {
  Result<ReadResult> result = co_await use.partition().read(request);
  while (!result && result.error() == Errc::kNoMemory && subscriptions_.contains(id)) {
    co_await core_.sleep(kMemoryRetry);
    result = co_await use.partition().read(request);
  }
  const auto at = subscriptions_.find(id);
  if (at == subscriptions_.end()) {
    --reads_;
    co_return;
  }
  Subscription& subscription = *at->second;
  if (result && result->size_bytes > 0) {
    subscription.ready = std::move(*result);
    order_.add(id);
    changed_.notify_all();
    co_return;
  }
  read_is_over(subscription);
  if (result) {
    subscription.read_from = std::max(subscription.read_from, result->next_offset);
    has_data(subscription);
  } else {
    read_failed(subscription, result.error());
  }
}

// What was read has been sent, or is wanted no more: the next one may read.
void Leader::read_is_over(Subscription& subscription) {
  CHECK(subscription.is_reading && reads_ > 0);
  subscription.is_reading = false;
  --reads_;
  while (!waiting_reads_.empty() && reads_ < kReadsMax) {
    const auto at = subscriptions_.find(waiting_reads_.front());
    waiting_reads_.pop_front();
    if (at == subscriptions_.end()) continue;
    start_read(*at->second, {.offset = at->second->read_from,
                             .max_bytes = kDataBytesMax,
                             .limit_offset = at->second->replica.log().end_offset()});
  }
}

void Leader::add_data_frame(Subscription& subscription, ReadResult read, Outgoing& out) {
  Replica& replica = subscription.replica;
  const storage::EpochCache& epochs = replica.log().epochs();
  const int32_t last_epoch = epochs.epoch_for(read.next_offset - 1);
  CHECK(last_epoch >= subscription.sent.last_epoch && read.next_offset > subscription.sent.end,
        "epoch {} behind {}, offset {} behind {}", last_epoch, subscription.sent.last_epoch, read.next_offset,
        subscription.sent.end);
  Data data{.subscription = subscription.id,
            .leader_epoch = subscription.term.leader_epoch,
            .prev_next_offset = subscription.sent.end,
            .prev_epoch = subscription.sent.last_epoch,
            .high_watermark = replica.high_watermark(),
            .log_start = replica.log().log_start_offset()};
  for (const storage::EpochEntry& entry : epochs.entries()) {
    if (entry.epoch <= subscription.sent.last_epoch || entry.epoch > last_epoch) continue;
    data.epochs.push_back({entry.epoch, entry.start_offset});
  }
  if (subscription.hashed_bytes >= kHashEveryBytes) {
    data.rolling_hash = static_cast<int64_t>(subscription.hash.value());
    subscription.hashed_bytes = 0;
  }
  reactor::RecycledVector<net::kafka::Bytes> pieces;
  for (const storage::LeasedBytes& piece : read.pieces) {
    pieces.push_back(piece.bytes);
    subscription.hash.add(piece.bytes);
  }
  data.batches.pieces = pieces;
  say(data, out);
  subscription.hashed_bytes += read.size_bytes;
  subscription.sent = {read.next_offset, last_epoch};
  subscription.read_from = read.next_offset;
  subscription.told_high_watermark = data.high_watermark;
  subscription.told_log_start = data.log_start;
  window_.spend(read.size_bytes);
  out.bytes += read.size_bytes;
  out.reads.push_back(std::move(read));
}

// Of those whose DATA did not say it already.
void Leader::fill_news(Outgoing& out) {
  for (size_t count = 0; !news_.empty() && count < kNewsPerSend; ++count) {
    Subscription& subscription = *subscriptions_.at(*news_.begin());
    news_.erase(news_.begin());
    const HighWatermark news{.subscription = subscription.id,
                             .high_watermark = subscription.replica.high_watermark(),
                             .log_start = subscription.replica.log().log_start_offset()};
    if (news.high_watermark == subscription.told_high_watermark && news.log_start == subscription.told_log_start) {
      continue;
    }
    subscription.told_high_watermark = news.high_watermark;
    subscription.told_log_start = news.log_start;
    say(news, out);
  }
}

}  // namespace posthaste::replication::stream
