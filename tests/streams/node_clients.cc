// What a broker of the tests' cluster does for clients: takes records as leader and acknowledges what is below the high
// watermark, serves what is below it to anybody, and as leader deletes the oldest records now and then.
#include "reactor/scope.h"
#include "storage/engine.h"
#include "tests/streams/node.h"

namespace posthaste::streams {

using reactor::Result;
using reactor::Socket;
using reactor::Task;
using rig::ToyConnection;
using rig::ToyKind;
using rig::ToyMessage;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kClientPatience = 5s;
constexpr reactor::Duration kProducePatience = 2s;
constexpr uint32_t kReadBytes = 20'000;

struct Waiter : storage::OffsetWaiter {
  reactor::Event told;
  bool is_safe = false;
  explicit Waiter(reactor::Core& core) : told(core) {
    done = [](storage::OffsetWaiter& self, Result<void> outcome) {
      static_cast<Waiter&>(self).is_safe = outcome.has_value();
      static_cast<Waiter&>(self).told.set();
    };
  }
};

}  // namespace

ToyMessage Node::refusal(uint32_t partition) const {
  const std::optional<Assignment>& known = partitions_[partition].assignment;
  return {ToyKind::kRefused, {known ? known->leader : 0}};
}

Task<void> Node::accept_clients(Socket listener) {
  for (;;) {
    auto socket = co_await listener.accept(nullptr);
    if (socket) tasks_.spawn_job(serve(*socket));
  }
}

Task<void> Node::serve(Socket socket) {
  ToyConnection connection(core_, socket, kClientPatience);
  while (const auto message = co_await connection.receive()) {
    const auto partition = static_cast<uint32_t>(message->number(1));
    if (partition >= partitions_.size() || partitions_[partition].replica == nullptr) break;
    ToyMessage answer = message->kind == ToyKind::kProduce
                            ? co_await produce(static_cast<uint64_t>(message->number(0)), partition)
                            : co_await read(partition, message->number(0));
    if (!co_await connection.send(std::move(answer))) break;
  }
  co_await connection.close();
}

Task<ToyMessage> Node::produce(uint64_t payload, uint32_t number) {
  replication::Replica& replica = *partitions_[number].replica;
  storage::Bytes batch = batch_of(payload);
  const auto appended = replica.append(batch, {.leader_epoch = replica.term().leader_epoch}, core_.wall_now());
  if (!appended) co_return refusal(number);
  Waiter waiter(core_);
  waiter.offset = appended->last_offset + 1;
  replica.wait_high_watermark(waiter);
  (void)co_await waiter.told.wait_until(core_.now() + kProducePatience);
  if (!waiter.is_safe) co_return refusal(number);
  co_return ToyMessage{ToyKind::kAcknowledged, {static_cast<uint64_t>(appended->base_offset)}};
}

Task<ToyMessage> Node::read(uint32_t number, int64_t offset) {
  const replication::Replica& replica = *partitions_[number].replica;
  storage::Partition& log = partitions_[number].replica->log();
  const int64_t high_watermark = replica.high_watermark();
  ToyMessage answer{ToyKind::kReadAnswer, {static_cast<uint64_t>(high_watermark)}};
  const int64_t from = std::max(offset, log.log_start_offset());
  if (from >= high_watermark) co_return answer;
  const auto result = co_await log.read({.offset = from, .max_bytes = kReadBytes, .limit_offset = high_watermark});
  if (!result) co_return answer;
  storage::Bytes bytes;
  for (const auto& piece : result->pieces) bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
  storage::BatchCursor cursor(bytes);
  while (const auto batch = cursor.next()) {
    answer.numbers.push_back(static_cast<uint64_t>(batch->base_offset()));
    answer.numbers.push_back(hash_of(batch->bytes()));
    answer.numbers.push_back(static_cast<uint64_t>(batch->next_offset()));
  }
  co_return answer;
}

// To where a batch begins: what the judge knows a batch by stays.
Task<void> Node::delete_now_and_then() {
  for (;;) {
    co_await core_.sleep(500ms + std::chrono::milliseconds(core_.random() % 3000));
    if (!cluster_.deletes || cluster_.load_over) continue;
    Partition& partition = partitions_[core_.random() % partitions_.size()];
    if (partition.replica == nullptr || partition.replica->role() != replication::Role::kLeader) continue;
    const int64_t high_watermark = partition.replica->high_watermark();
    int64_t start = -1;
    for (const rig::ReplicaRecord& record : partition.view.records) {
      if (record.offset < high_watermark && core_.random() % 4 != 0) start = record.offset;
    }
    if (start >= 0) (void)co_await partition.replica->log().set_log_start(start);
  }
}

}  // namespace posthaste::streams
