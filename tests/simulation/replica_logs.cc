#include "tests/simulation/replica_logs.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "broker/broker_core.h"
#include "reactor/scope.h"
#include "storage/batch/record_batch.h"

namespace posthaste::simulation {

using reactor::CoreId;
using reactor::Errc;
using reactor::Task;
using storage::Partition;
using namespace std::chrono_literals;

namespace {

constexpr uint32_t kBytesPerRead = 256 << 10;
constexpr reactor::Duration kRoomRetry = 20ms;  // a broker whose memory is small has none to read into now and then

ReplicaLog positions_of(const Partition& partition) {
  ReplicaLog log{.topic = partition.topic_name(), .partition = partition.partition(), .uid = partition.uid()};
  const auto latest = partition.epochs().latest();
  log.state = {.leader_epoch = latest ? latest->epoch : 0,
               .leads = true,
               .log_start = partition.log_start_offset(),
               .durable = partition.durable_offset(),
               .end = partition.end_offset(),
               .high_watermark = partition.high_watermark()};
  return log;
}

std::vector<std::byte> bytes_of(const storage::ReadResult& read) {
  std::vector<std::byte> bytes;
  for (const auto& piece : read.pieces) bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
  return bytes;
}

// False: these are no batches.
bool add_batches(std::span<const std::byte> bytes, ReplicaLog& log) {
  while (!bytes.empty()) {
    const auto batch = storage::RecordBatchView::parse(bytes);
    if (!batch) return false;
    const auto covered = batch->bytes().subspan(storage::kBatchCrcCoverageStart);
    const uint64_t hash = XXH3_64bits(covered.data(), covered.size());
    // The log may begin inside a batch.
    log.records.push_back({std::max(batch->base_offset(), log.state.log_start), batch->leader_epoch(), hash});
    bytes = bytes.subspan(batch->size_bytes());
  }
  return true;
}

Task<void> read_log(broker::BrokerCore& core, Partition::Use use, std::shared_ptr<ReplicaLogs> into) {
  ReplicaLog log = positions_of(use.partition());
  int64_t next = log.state.log_start;
  while (next < log.state.end) {
    auto read =
        co_await use.partition().read({.offset = next, .max_bytes = kBytesPerRead, .limit_offset = log.state.end});
    if (!read && read.error() == Errc::kNoMemory) {
      co_await core.core().sleep(kRoomRetry);
      continue;
    }
    if (!read && read.error() == Errc::kOutOfRange && use.partition().log_start_offset() > next) {
      // Retention, or a new snapshot of the metadata, has taken it meanwhile.
      log = positions_of(use.partition());
      next = log.state.log_start;
      continue;
    }
    if (!read || !add_batches(bytes_of(*read), log) || read->next_offset <= next) {
      into->unreadable = fmt::format("{}-{}: offset {} cannot be read: {}", log.topic, log.partition, next,
                                     read ? "no whole batches" : to_string(read.error()));
      co_return;
    }
    next = read->next_offset;
  }
  into->logs.push_back(std::move(log));
}

Task<void> read_core(broker::BrokerCore& core, std::shared_ptr<ReplicaLogs> into) {
  std::vector<Partition::Use> uses;
  core.engine().for_each([&](Partition& partition) { uses.emplace_back(partition); });
  for (Partition::Use& use : uses) co_await read_log(core, std::move(use), into);
  --into->cores_left;
}

}  // namespace

std::shared_ptr<ReplicaLogs> read_replica_logs(reactor::simulated::World& world, BrokerWithClients& broker,
                                               reactor::Duration patience) {
  reactor::simulated::Host& host = broker.host();
  const auto serves = [&] { return host.running() && broker.broker().stage() == broker::Stage::kServing; };
  if (!serves()) return nullptr;
  auto logs = std::make_shared<ReplicaLogs>();
  const uint32_t life = host.life();
  logs->cores_left = broker.cores();
  for (CoreId core = 0; core < broker.cores(); ++core) {
    broker::BrokerCore& there = broker.broker().on(core);
    host.core(core).scope().spawn(read_core(there, logs));
    host.wake(core);
  }
  const auto over = [&] { return logs->cores_left == 0 || !host.running() || host.life() != life; };
  world.run_until(over, patience);
  return logs->cores_left == 0 ? logs : nullptr;
}

LogJudge::Key LogJudge::key_of(const ReplicaLog& log) { return {log.topic, log.partition, log.uid}; }

rig::ReplicaChecker& LogJudge::checker_of(const ReplicaLog& log) { return checkers_[key_of(log)]; }

void LogJudge::note(const ReplicaLog& log, const rig::ReplicaChecker& checker) {
  records_seen_ += log.records.size();
  if (violation_ || !checker.violated()) return;
  violation_ = fmt::format("log of {}-{}: {}", log.topic, log.partition, *checker.violated());
}

void LogJudge::look_for_all(const ReplicaLogs& logs) {
  for (const auto& [key, checker] : checkers_) {
    const bool there = std::ranges::any_of(logs.logs, [&](const ReplicaLog& log) { return key_of(log) == key; });
    if (there || violation_) continue;
    violation_ = fmt::format("log of {}-{} (uid {}) is gone, which had {} committed", std::get<0>(key),
                             std::get<1>(key), std::get<2>(key), checker.committed_end());
  }
}

void LogJudge::judge(const ReplicaLogs& logs) {
  if (logs.unreadable && !violation_) violation_ = logs.unreadable;
  look_for_all(logs);
  for (const ReplicaLog& log : logs.logs) {
    rig::ReplicaState state = log.state;
    state.log = log.records;
    checker_of(log).observe(state);
    note(log, checker_of(log));
  }
}

void LogJudge::judge_at_end(const ReplicaLogs& logs) {
  judge(logs);
  for (const ReplicaLog& log : logs.logs) {
    rig::ReplicaState state = log.state;
    state.log = log.records;
    checker_of(log).converged({&state, 1});
    note(log, checker_of(log));
  }
}

}  // namespace posthaste::simulation
