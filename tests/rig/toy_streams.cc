// Leader and followers of the toy: a follower subscribes with the epochs of its log, cuts it to where the two agree,
// takes records and says how far it has made them durable.
#include <algorithm>

#include "tests/rig/toy_replica.h"

namespace posthaste::rig {

using reactor::Socket;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kHeartbeat = 300ms;
constexpr reactor::Duration kStreamPatience = 1200ms;  // several heartbeats
constexpr reactor::Duration kRetry = 50ms;
constexpr size_t kRecordsPerMessage = 40;

}  // namespace

// What the disk has made durable here may be what was missing.
Task<void> ToyReplica::flushed_loop() {
  for (;;) {
    co_await log_.changed().wait();
    if (leads()) commit();
    changed_.notify_all();
  }
}

// --- The leader's side.

// An epoch has one leader, which appends only: two logs are equal up to the lesser of their ends of an epoch that both
// have.
int64_t ToyReplica::agreed_end(const ToyMessage& subscription) const {
  int64_t agreed = 0;
  for (size_t i = 3; i + 1 < subscription.numbers.size(); i += 2) {
    const int32_t epoch = subscription.term(i);
    const int64_t ours = log_.end_of_epoch(epoch);
    if (ours == log_.end_of_epoch(epoch - 1)) continue;  // none of it here
    agreed = std::max(agreed, std::min(ours, subscription.number(i + 1)));
  }
  return agreed;
}

Task<void> ToyReplica::lead_stream(ToyConnection& connection, ToyMessage subscription) {
  const auto follower = static_cast<uint32_t>(subscription.number(0));
  const int32_t term = subscription.term(1);
  if (!leads_in(term)) {
    co_await connection.send(refusal());
    co_return;
  }
  int64_t next = agreed_end(subscription);
  if (cluster_.has(ToyBug::kNoTruncation) || cluster_.has(ToyBug::kTruncateToHighWatermark)) {
    next = std::min(subscription.number(2), log_.end());
  }
  if (!co_await connection.send({ToyKind::kStart, {static_cast<uint64_t>(next)}})) co_return;
  reactor::TaskScope sender(core_);
  sender.spawn(send_records(connection, term, next));
  while (const auto progress = co_await connection.receive()) {
    if (!leads_in(term) || progress->kind != ToyKind::kProgress) break;
    progress_came(*progress, follower);
  }
  co_await connection.cut();
  changed_.notify_all();
  co_await sender.join();
}

void ToyReplica::progress_came(const ToyMessage& progress, uint32_t follower) {
  const int64_t durable = progress.number(0);
  const int64_t end = progress.number(1);
  int64_t& known = progress_[follower];
  known = std::max(known, cluster_.has(ToyBug::kPositionsForDurable) ? end : durable);
  commit();
}

Task<void> ToyReplica::send_records(ToyConnection& connection, int32_t term, int64_t next) {
  for (;;) {
    if (!leads_in(term)) break;
    const auto log = log_.records().subspan(static_cast<size_t>(std::min(next, log_.end())));
    ToyMessage message{ToyKind::kRecords, {static_cast<uint64_t>(high_watermark_)}};
    for (const ReplicaRecord& record : log.first(std::min(log.size(), kRecordsPerMessage))) {
      message.numbers.insert(message.numbers.end(), {static_cast<uint64_t>(record.offset),
                                                     static_cast<uint64_t>(record.epoch), record.payload_hash});
      ++next;
    }
    const int64_t told = high_watermark_;
    if (!co_await connection.send(std::move(message))) break;
    const reactor::Instant deadline = core_.now() + kHeartbeat;
    while (leads_in(term) && next >= log_.end() && told == high_watermark_ && core_.now() < deadline) {
      if (!co_await changed_.wait_until(deadline)) break;
    }
  }
  co_await connection.cut();
}

// --- The follower's side.

Task<void> ToyReplica::follow_loop() {
  for (;;) {
    const int32_t term = assignment_.term;
    if (term >= 0 && follows_in(term)) {
      auto socket = co_await Socket::connect(core_, toy_ip(assignment_.leader) + kToyPort);
      if (socket) {
        ToyConnection connection(core_, *socket, kStreamPatience);
        co_await follow(connection, term);
        co_await connection.close();
      }
    }
    (void)co_await changed_.wait_until(core_.now() + kRetry);
  }
}

ToyMessage ToyReplica::subscription(int32_t term) const {
  int64_t end = log_.end();
  if (cluster_.has(ToyBug::kTruncateToHighWatermark)) end = std::min(end, high_watermark_);
  ToyMessage message{ToyKind::kSubscribe, {id_, static_cast<uint64_t>(term), static_cast<uint64_t>(end)}};
  const auto log = log_.records();
  for (size_t i = 0; i < log.size(); ++i) {
    if (i + 1 < log.size() && log[i + 1].epoch == log[i].epoch) continue;
    message.numbers.push_back(static_cast<uint64_t>(log[i].epoch));
    message.numbers.push_back(i + 1);
  }
  return message;
}

Task<void> ToyReplica::follow(ToyConnection& connection, int32_t term) {
  if (!follows_in(term) || !co_await connection.send(subscription(term))) co_return;
  const auto start = co_await connection.receive();
  if (!start || start->kind != ToyKind::kStart || !follows_in(term)) co_return;
  log_.truncate(start->number(0));
  high_watermark_ = std::min(high_watermark_, log_.end());
  reactor::Event over(core_);
  reactor::TaskScope teller(core_);
  teller.spawn(send_progress(connection, term, over));
  co_await receive_records(connection, term);
  over.set();
  co_await connection.cut();
  heard_.notify_all();
  changed_.notify_all();
  co_await teller.join();
}

Task<void> ToyReplica::receive_records(ToyConnection& connection, int32_t term) {
  while (const auto message = co_await connection.receive()) {
    if (!follows_in(term) || message->kind != ToyKind::kRecords) co_return;
    records_came(*message);
    heard_.set();
    changed_.notify_all();
  }
}

void ToyReplica::records_came(const ToyMessage& message) {
  for (size_t i = 1; i + 2 < message.numbers.size(); i += 3) {
    log_.append({message.number(i), message.term(i + 1), message.numbers[i + 2]});
  }
  raise_high_watermark(std::min(message.number(0), log_.end()));
}

// After each word of the leader, and when more is durable.
Task<void> ToyReplica::send_progress(ToyConnection& connection, int32_t term, const reactor::Event& over) {
  int64_t told_durable = -1;
  int64_t told_end = -1;
  while (!over.is_set() && follows_in(term)) {
    if (heard_.is_set() || told_durable != log_.durable() || told_end != log_.end()) {
      heard_.reset();
      told_durable = log_.durable();
      told_end = log_.end();
      ToyMessage progress{ToyKind::kProgress, {static_cast<uint64_t>(told_durable), static_cast<uint64_t>(told_end)}};
      if (!co_await connection.send(std::move(progress))) break;
      continue;
    }
    (void)co_await changed_.wait_until(core_.now() + kHeartbeat);
  }
  co_await connection.cut();
}

}  // namespace posthaste::rig
