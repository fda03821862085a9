#include "tests/rig/toy_replica.h"

#include <algorithm>

namespace posthaste::rig {

using reactor::Core;
using reactor::Socket;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kPollEvery = 100ms;
constexpr reactor::Duration kPollPatience = 700ms;
constexpr reactor::Duration kRetry = 50ms;
constexpr reactor::Duration kClientPatience = 5s;
constexpr reactor::Duration kProducePatience = 2s;
constexpr int64_t kRecordsPerRead = 50;

}  // namespace

ToyReplica::ToyReplica(Core& core, ToyCluster& cluster, uint32_t id)
    : core_(core),
      cluster_(cluster),
      id_(id),
      incarnation_(core.random() | 1),
      log_(core),
      changed_(core),
      heard_(core) {
  cluster_.lives(id_, *this);
}

ToyReplica::~ToyReplica() { cluster_.gone(id_); }

ReplicaState ToyReplica::state() const {
  if (!ready_) return {.replica = id_};
  return {.replica = id_,
          .leader_epoch = assignment_.term,
          .leads = leads(),
          .durable = log_.durable(),
          .end = log_.end(),
          .high_watermark = high_watermark_,
          .log = log_.records()};
}

Task<void> ToyReplica::run() {
  co_await log_.open();
  ready_ = true;
  auto listener = co_await Socket::listen(core_, "0.0.0.0:7000", nullptr);
  CHECK(listener.has_value());
  reactor::TaskScope scope(core_);
  scope.spawn(accept_loop(*listener));
  scope.spawn(log_.flush_loop());
  scope.spawn(flushed_loop());
  scope.spawn(poll_loop());
  scope.spawn(follow_loop());
  co_await scope.join();
}

// --- Role.

bool ToyReplica::leads() const {
  return ready_ && assignment_.term >= 0 && assignment_.leader == id_ && assignment_.leader_incarnation == incarnation_;
}

Task<void> ToyReplica::poll_loop() {
  for (;;) {
    auto socket = co_await Socket::connect(core_, kCoordinatorAddress);
    if (socket) {
      ToyConnection connection(core_, *socket, kPollPatience);
      co_await poll_on(connection);
      co_await connection.close();
    }
    co_await core_.sleep(kRetry);
  }
}

Task<void> ToyReplica::poll_on(ToyConnection& connection) {
  for (;;) {
    if (!co_await connection.send({ToyKind::kPoll, {id_, incarnation_}})) co_return;
    const auto answer = co_await connection.receive();
    if (!answer) co_return;
    assigned(*answer);
    if (cluster_.has(ToyBug::kWallClockPatience)) {
      const auto due = core_.wall_now().value + kPollEvery / 1ms;
      while (core_.wall_now().value < due) co_await core_.sleep(kPollEvery / 4);
    } else {
      co_await core_.sleep(kPollEvery);
    }
    connection.patient_again();
  }
}

void ToyReplica::assigned(const ToyMessage& message) {
  Assignment next{
      message.term(0), static_cast<uint32_t>(message.number(1)), static_cast<uint64_t>(message.number(2)), {}};
  for (uint32_t i = 0; i < cluster_.size(); ++i) {
    if ((message.number(3) >> i & 1) != 0) next.members.insert(i);
  }
  const bool same = next.term == assignment_.term && next.leader_incarnation == assignment_.leader_incarnation;
  if (next.term >= assignment_.term && !same) become(std::move(next));
}

// Everything of the role before ends here: waiters get an answer, streams see another term, and nothing that was sent
// in it counts.
void ToyReplica::become(Assignment next) {
  CHECK(next.term >= assignment_.term, "from term {} back to {}", assignment_.term, next.term);
  if (!cluster_.has(ToyBug::kWaitersSurviveDemotion)) {
    for (Waiter* waiter : waiters_) waiter->failed = true;
    waiters_.clear();
  }
  if (!cluster_.has(ToyBug::kStaleProgress)) progress_.clear();
  assignment_ = std::move(next);
  if (leads()) commit();
  changed_.notify_all();
}

void ToyReplica::raise_high_watermark(int64_t to) {
  if (to <= high_watermark_) return;
  high_watermark_ = to;
  std::erase_if(waiters_, [&](Waiter* waiter) { return waiter->committed = waiter->offset < high_watermark_; });
  changed_.notify_all();
}

void ToyReplica::commit() {
  int64_t all = cluster_.has(ToyBug::kOwnDurableLeftOut) ? log_.end() : log_.durable();
  for (const uint32_t member : assignment_.members) {
    if (member != id_) all = std::min(all, progress_[member]);
  }
  raise_high_watermark(all);
}

// --- Clients.

ToyMessage ToyReplica::refusal() const {
  return {ToyKind::kRefused, {static_cast<uint64_t>(assignment_.term), assignment_.leader}};
}

Task<void> ToyReplica::accept_loop(Socket listener) {
  for (;;) {
    auto socket = co_await listener.accept(nullptr);
    if (socket) core_.scope().spawn(serve(*socket));
  }
}

Task<void> ToyReplica::serve(Socket socket) {
  ToyConnection connection(core_, socket, kClientPatience);
  bool goes_on = true;
  while (goes_on) {
    auto message = co_await connection.receive();
    if (!message) break;
    if (message->kind == ToyKind::kProduce) {
      goes_on = co_await serve_produce(connection, static_cast<uint64_t>(message->number(0)));
    } else if (message->kind == ToyKind::kRead) {
      goes_on = co_await serve_read(connection, message->number(0));
    } else {
      if (message->kind == ToyKind::kSubscribe) co_await lead_stream(connection, std::move(*message));
      goes_on = false;
    }
  }
  co_await connection.close();
}

Task<bool> ToyReplica::serve_produce(ToyConnection& connection, uint64_t payload) {
  if (!leads()) co_return co_await connection.send(refusal());
  Waiter waiter{.offset = log_.end()};
  log_.append({waiter.offset, assignment_.term, payload});
  waiters_.push_back(&waiter);
  commit();  // of a cluster of one
  const reactor::Instant deadline = core_.now() + kProducePatience;
  while (!waiter.committed && !waiter.failed && core_.now() < deadline) (void)co_await changed_.wait_until(deadline);
  std::erase(waiters_, &waiter);
  if (!waiter.committed) co_return co_await connection.send(refusal());
  co_return co_await connection.send({ToyKind::kAcknowledged, {static_cast<uint64_t>(waiter.offset)}});
}

Task<bool> ToyReplica::serve_read(ToyConnection& connection, int64_t offset) {
  ToyMessage answer{ToyKind::kReadAnswer, {static_cast<uint64_t>(high_watermark_)}};
  const int64_t to = std::min({high_watermark_, log_.end(), offset + kRecordsPerRead});
  for (int64_t at = std::max<int64_t>(offset, 0); at < to; ++at) {
    answer.numbers.push_back(static_cast<uint64_t>(at));
    answer.numbers.push_back(log_.records()[static_cast<size_t>(at)].payload_hash);
  }
  co_return co_await connection.send(std::move(answer));
}

Task<void> run_toy_replica(Core& core, ToyCluster& cluster, uint32_t replica) {
  ToyReplica self(core, cluster, replica);
  co_await self.run();
}

}  // namespace posthaste::rig
