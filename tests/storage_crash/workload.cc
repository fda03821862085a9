#include "tests/storage_crash/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <list>
#include <numeric>
#include <set>

#include "reactor/mail.h"
#include "reactor/testing/job_on.h"
#include "storage/batch/record_batch_builder.h"
#include "tests/storage_crash/life_host.h"

namespace posthaste::storage_crash {

using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using storage::Engine;
using storage::EngineHost;
using storage::Partition;
using storage::TopicId;

namespace {

constexpr uint64_t kPartitionsPerCoreMax = 3;
constexpr uint64_t kLargeBatchBytes = kTailBytes / 2 - 1024;  // a batch may have half of the tail
constexpr int64_t kProducers = 2;                             // per partition; producer id 0 stands for "none"
// Until when an append must be answered, whatever the journal's size: all that a store this small can hold takes a slow
// disk of the simulator less.
constexpr reactor::Duration kAnswerWithin = std::chrono::seconds(20);

// A record without headers ends in a zero, like what is lost: these end in something else.
const std::array kLastByte{storage::HeaderToWrite{.key = "last", .value = storage::bytes_of("byte")}};

storage::LogConfig tiny_log(std::mt19937_64& random) {
  storage::LogConfig config;
  config.segment_bytes = 4096 * (2 + below(random, 6));
  config.retention.retention_bytes = below(random, 2) == 0 ? -1 : static_cast<int64_t>(4096 * (4 + below(random, 12)));
  return config;
}

TopicId topic_id(uint64_t number) {
  TopicId id{};
  for (size_t i = 0; i < sizeof(number); ++i) id[i] = static_cast<std::byte>(number >> (8 * i));
  id[15] = std::byte{1};
  return id;
}

// What one core does in one life.
class Driver {
 public:
  Driver(Core& core, Workload& work, Engine& engine) : core_(core), work_(work), engine_(engine), scope_(core) {}

  Task<void> run() {
    engine_.for_each([this](Partition& partition) {
      partition.set_config(tiny_log(work_.random));
      const auto known = work_.model.find(partition.topic_id());
      if (known == work_.model.end()) return work_.fail("recovery shows a partition that nobody created");
      adopt_one(known->second, partition.log_start_offset(), partition.end_offset());
    });
    while (work_.steps_left > 0 && !work_.failure) {
      while (work_.paused) co_await core_.sleep(std::chrono::milliseconds(1));
      --work_.steps_left;
      co_await step();
      // Time passes now and then, so that commits, write-back and idle frontiers get their turn.
      if (below(work_.random, 4) == 0) {
        co_await core_.sleep(reactor::Duration(std::chrono::microseconds(below(work_.random, 8000))));
      } else if (below(work_.random, 2) == 0) {
        co_await core_.yield();
      }
    }
    co_await scope_.join();
    // The stop would hide what waits for what.
    while (work_.large && !work_.failure && std::ranges::any_of(acks_, [](const Ack& ack) { return !ack.over; })) {
      check_answers();
      co_await core_.sleep(std::chrono::milliseconds(10));
    }
  }

 private:
  struct Ack : storage::OffsetWaiter {
    Workload* work = nullptr;
    reactor::Instant since;
    TopicId id{};
    bool over = false;
  };

  // Liveness: the disk always works, so every append is answered soon.
  void check_answers() {
    for (const Ack& ack : acks_) {
      if (ack.over || core_.now() - ack.since < kAnswerWithin) continue;
      return work_.fail(fmt::format("core {}: an append is not answered: {}", core_.id(), engine_.describe_room()));
    }
  }

  Task<void> step() {
    std::erase_if(acks_, [](const Ack& ack) { return ack.over; });
    check_answers();
    const uint64_t dice = below(work_.random, 100);
    if (engine_.partition_count() == 0 || (dice < 4 && engine_.partition_count() < kPartitionsPerCoreMax)) {
      co_await create();
      co_return;
    }
    Partition* partition = pick();
    if (partition == nullptr) co_return;
    if (dice < 74) {
      co_await append(*partition);
    } else if (dice < 79) {
      partition->roll();
    } else if (dice < 84) {
      start(*partition, truncate(*partition));
    } else if (dice < 89) {
      start(*partition, set_log_start(*partition));
    } else if (dice < 92) {
      start(*partition, retain(*partition));
    } else if (dice < 98) {
      co_await read_back(*partition);
    } else {
      start(*partition, remove(*partition));
    }
  }

  // A partition on which nothing slow is under way.
  Partition* pick() {
    std::vector<Partition*> idle;
    engine_.for_each([&](Partition& partition) {
      if (!busy_.contains(partition.topic_id())) idle.push_back(&partition);
    });
    return idle.empty() ? nullptr : idle[below(work_.random, idle.size())];
  }

  ModelPartition& model_of(const Partition& partition) { return work_.model.at(partition.topic_id()); }

  // Runs beside the other steps. The partition is busy from now on, not only once the task runs.
  void start(Partition& partition, Task<void> task) {
    busy_.insert(partition.topic_id());
    scope_.spawn(std::move(task));
  }

  Task<void> create() {
    const TopicId id = topic_id(work_.next_id++);
    ModelPartition& expected = work_.model[id];
    expected.topic_name = fmt::format("t{}", work_.next_id);
    // Half of the new ones take the name, and so the folder, of one that was deleted, on whichever core that was.
    if (!work_.free_names.empty() && below(work_.random, 2) == 0) {
      expected.topic_name = std::move(work_.free_names.back());
      work_.free_names.pop_back();
    }
    storage::PartitionSpec spec{.topic_id = id, .topic_name = expected.topic_name, .config = tiny_log(work_.random)};
    auto created = co_await engine_.create_partition(std::move(spec));
    if (!created && created.error() == Errc::kNoSpace) {
      ++work_.refused_on_full_disk;
      work_.model.erase(id);
    } else if (!created) {
      work_.fail(fmt::format("create: {}", to_string(created.error())));
    } else {
      expected.life = Life::kAlive;
    }
  }

  storage::Bytes make_batch(ModelPartition& expected, int64_t producer, const Partition& partition) {
    storage::BatchToWrite header;
    if (producer > 0) {
      header.producer_id = producer;
      header.producer_epoch = 0;
      header.base_sequence = next_sequence(expected, producer);
    }
    // Where the first segment is the only one it is known where the log ends in its file.
    if (partition.segment_count() == 1 && below(work_.random, 6) == 0) {
      return make_batch_to_boundary(header, partition.size_bytes());
    }
    storage::RecordBatchBuilder builder(header);
    const uint64_t kind = below(work_.random, 10);
    uint64_t size = kind == 0  ? below(work_.random, 9000)
                    : kind < 4 ? below(work_.random, 1200)
                               : below(work_.random, 120);
    if (work_.large && below(work_.large->random, 3) == 0) size = below(work_.large->random, kLargeBatchBytes);
    const uint64_t records = 1 + below(work_.random, 3);
    for (uint64_t i = 0; i < records; ++i) {
      const std::string value = fmt::format("{}:", work_.next_id++) +
                                std::string(size / records, static_cast<char>('a' + work_.next_id % 26));
      builder.add({.timestamp = kWallClockMs, .key = {}, .value = storage::bytes_of(value), .headers = kLastByte});
    }
    return builder.finish();
  }

  // One record, as long as it takes for the log to end at a block's boundary, or a byte before or behind it.
  storage::Bytes make_batch_to_boundary(const storage::BatchToWrite& header, uint64_t position) {
    constexpr uint64_t kLeast = 128;  // more than a batch needs besides the value
    uint64_t wanted = 2 * storage::kBlock - 1 + below(work_.random, 3) - position % storage::kBlock;
    if (wanted >= storage::kBlock + kLeast) wanted -= storage::kBlock;
    const std::string value = fmt::format("{}:", work_.next_id++);
    uint64_t filler = 0;
    for (int tries = 0;; ++tries) {
      storage::RecordBatchBuilder builder(header);
      const std::string padded = value + std::string(filler, 'z');
      builder.add({.timestamp = kWallClockMs, .key = {}, .value = storage::bytes_of(padded), .headers = kLastByte});
      storage::Bytes batch = builder.finish();
      // Lengths are varints: a try may miss by a byte or two.
      if (batch.size() == wanted || tries == 3 || filler + wanted < batch.size()) return batch;
      filler += wanted - batch.size();
    }
  }

  static int32_t next_sequence(const ModelPartition& expected, int64_t producer) {
    for (auto batch = expected.batches.rbegin(); batch != expected.batches.rend(); ++batch) {
      if (batch->producer_id != producer) continue;
      return storage::sequence_after(batch->sequence, static_cast<int32_t>(batch->next_offset - batch->base_offset));
    }
    return 0;
  }

  // Sequences restart at 0 once the model forgot a producer's batches, and an engine may rightly remember more: so a
  // producer is used only while its last batch is above the log start.
  int64_t choose_producer(const ModelPartition& expected) {
    const auto producer = static_cast<int64_t>(below(work_.random, kProducers + 1));
    if (producer == 0 || expected.log_start_asked > 0 || expected.cut) return 0;
    return producer;
  }

  Task<void> append(Partition& partition) {
    ModelPartition& expected = model_of(partition);
    const TopicId id = partition.topic_id();
    const int64_t producer = choose_producer(expected);
    storage::Bytes bytes = make_batch(expected, producer, partition);
    if (below(work_.random, 40) == 0) ++epoch_;
    const int32_t last_epoch = partition.epochs().latest() ? partition.epochs().latest()->epoch : 0;
    const storage::AppendOptions options{.leader_epoch = std::max(epoch_, last_epoch), .from_client = true};
    auto appended = partition.append(bytes, options, {kWallClockMs});
    const bool no_room = !appended && (appended.error() == Errc::kNoMemory || appended.error() == Errc::kNoSpace);
    if (no_room) {
      if (appended.error() == Errc::kNoSpace) ++work_.refused_on_full_disk;
      co_await engine_.wait_for_room();
      co_return;
    }
    if (!appended) {
      work_.fail(fmt::format("append to {}: {}", expected.topic_name, to_string(appended.error())));
      co_return;
    }
    ++work_.appends;
    if (appended->duplicate || appended->base_offset != expected.end) {
      work_.fail(
          fmt::format("append to {} at {} instead of {}", expected.topic_name, appended->base_offset, expected.end));
      co_return;
    }
    const auto view = storage::RecordBatchView::parse(bytes);
    expected.batches.push_back({appended->base_offset, appended->last_offset + 1, std::string(storage::text_of(bytes)),
                                producer == 0 ? -1 : producer, view->base_sequence()});
    expected.end = appended->last_offset + 1;
    // It lags behind, as with replicas elsewhere.
    set_high_watermark(partition, std::midpoint(partition.high_watermark(), partition.durable_offset()));
    Ack& ack = acks_.emplace_back();
    ack.work = &work_;
    ack.since = core_.now();
    ack.id = id;
    ack.offset = expected.end;
    ack.done = [](storage::OffsetWaiter& waiter, Result<void> result) {
      auto& self = static_cast<Ack&>(waiter);
      self.over = true;
      const auto found = self.work->model.find(self.id);
      if (result && found != self.work->model.end()) found->second.acked = std::max(found->second.acked, self.offset);
    };
    partition.wait_durable(ack);
  }

  Task<void> truncate(Partition& partition) {
    ModelPartition& expected = model_of(partition);
    const TopicId id = partition.topic_id();
    if (expected.end == expected.log_start_asked) {
      busy_.erase(id);
      co_return;
    }
    const auto range = static_cast<uint64_t>(expected.end - expected.log_start_asked);
    const int64_t wanted = expected.end - static_cast<int64_t>(below(work_.random, std::min<uint64_t>(range, 12) + 1));
    int64_t cut = expected.log_start_asked;
    for (const ModelBatch& batch : expected.batches) {
      if (batch.next_offset <= wanted) cut = std::max(cut, batch.next_offset);
    }
    expected.cut = cut;
    auto done = co_await partition.truncate(wanted);
    expected.cut.reset();
    busy_.erase(id);
    ++work_.truncations;
    if (!done) {
      work_.fail(fmt::format("truncate {} to {}: {}", expected.topic_name, wanted, to_string(done.error())));
      co_return;
    }
    if (partition.end_offset() != cut) {
      work_.fail(fmt::format("truncated {} to {}, ends at {} instead of {}", expected.topic_name, wanted,
                             partition.end_offset(), cut));
    }
    cut_model(expected, cut);
    expected.acked = cut;
  }

  void set_high_watermark(Partition& partition, int64_t offset) {
    partition.set_high_watermark(offset);
    ModelPartition& expected = model_of(partition);
    expected.high_watermark = std::max(expected.high_watermark, offset);
  }

  Task<void> set_log_start(Partition& partition) {
    ModelPartition& expected = model_of(partition);
    const TopicId id = partition.topic_id();
    set_high_watermark(partition, partition.durable_offset());
    const int64_t most = partition.high_watermark();
    const int64_t least = partition.log_start_offset();
    if (most <= least) {
      busy_.erase(id);
      co_return;
    }
    const int64_t wanted = least + 1 + static_cast<int64_t>(below(work_.random, static_cast<uint64_t>(most - least)));
    expected.log_start_asked = wanted;
    auto done = co_await partition.set_log_start(wanted);
    busy_.erase(id);
    if (!done)
      work_.fail(fmt::format("log start of {} to {}: {}", expected.topic_name, wanted, to_string(done.error())));
    expected.log_start_acked = std::max(expected.log_start_acked, wanted);
    forget_deleted(expected);
  }

  Task<void> retain(Partition& partition) {
    ModelPartition& expected = model_of(partition);
    const TopicId id = partition.topic_id();
    set_high_watermark(partition, partition.durable_offset());
    expected.log_start_asked = std::max(expected.log_start_asked, partition.high_watermark());
    auto done = co_await partition.apply_retention({kWallClockMs});
    busy_.erase(id);
    if (!done) work_.fail(fmt::format("retention of {}: {}", expected.topic_name, to_string(done.error())));
    expected.log_start_acked = expected.log_start_asked = partition.log_start_offset();
    forget_deleted(expected);
  }

  static void forget_deleted(ModelPartition& expected) {
    while (!expected.batches.empty() && expected.batches.front().next_offset <= expected.log_start_acked) {
      expected.batches.pop_front();
    }
  }

  Task<void> remove(Partition& partition) {
    ModelPartition& expected = model_of(partition);
    const TopicId id = partition.topic_id();
    expected.life = Life::kDeleting;
    auto done = co_await engine_.delete_partition(partition);
    busy_.erase(id);
    if (!done) work_.fail(fmt::format("delete: {}", to_string(done.error())));
    expected.life = Life::kDeleted;
    work_.free_names.push_back(expected.topic_name);
  }

  // Any batch of the log, read while the store lives, is the one that was appended.
  Task<void> read_back(Partition& partition) {
    ModelPartition& expected = model_of(partition);
    const TopicId id = partition.topic_id();
    if (partition.end_offset() == partition.log_start_offset()) co_return;
    busy_.insert(id);
    const auto range = static_cast<uint64_t>(partition.end_offset() - partition.log_start_offset());
    const int64_t offset = partition.log_start_offset() + static_cast<int64_t>(below(work_.random, range));
    auto read = co_await partition.read({.offset = offset,
                                         .max_bytes = static_cast<uint32_t>(1 + below(work_.random, 20'000)),
                                         .limit_offset = partition.end_offset()});
    busy_.erase(id);
    if (!read) {
      if (read.error() != Errc::kNoMemory)
        work_.fail(fmt::format("read of {} at {}: {}", expected.topic_name, offset, to_string(read.error())));
      co_return;
    }
    std::string found;
    for (const auto& piece : read->pieces) found += storage::text_of(piece.bytes);
    std::string wanted;
    for (const ModelBatch& batch : expected.batches) {
      if (batch.next_offset > offset && batch.next_offset <= read->next_offset) wanted += batch.bytes;
    }
    if (found != wanted || found.empty()) {
      work_.fail(fmt::format("read of {} at {}: {} bytes instead of {}, or other ones", expected.topic_name, offset,
                             found.size(), wanted.size()));
    }
  }

  Core& core_;
  Workload& work_;
  Engine& engine_;
  reactor::TaskScope scope_;
  std::list<Ack> acks_;
  std::set<TopicId> busy_;
  int32_t epoch_ = 0;
};

Task<void> drive(Core& there, Workload& work, EngineHost& host) {
  auto engine = co_await host.open(there);
  if (!engine) {
    work.fail(fmt::format("open on core {}: {}", there.id(), to_string(engine.error())));
    co_return;
  }
  Driver driver(there, work, **engine);
  co_await driver.run();
  co_await (*engine)->close();
}

Task<void> run_life(Core& core, Workload& work, std::shared_ptr<EngineHost> host) {
  if (core.id() != 0) {
    co_await core.until_stopping();
    co_return;
  }
  auto report = co_await host->recover(core);
  if (!report) {
    work.fail(fmt::format("recovery: {} {}", to_string(report.error()), host->error_text()));
    co_return;
  }
  work.recovered = true;
  // From here on what was recovered is promised, also what had not been acknowledged before a SIGKILL.
  std::set<TopicId> there;
  host->take_placement().for_each([&there](const storage::Placement::Key& key, CoreId) { there.insert(key.topic_id); });
  std::erase_if(work.model, [&](const auto& entry) {
    if (!there.contains(entry.first) && entry.second.life == Life::kAlive)
      work.fail(fmt::format("{}: acked creation, and it is gone", entry.second.topic_name));
    return !there.contains(entry.first);
  });
  reactor::TaskScope scope(core);
  for (CoreId to = 0; to < core.core_count(); ++to) {
    scope.spawn(reactor::job_on(core, to, [&work, &host](Core& there) { return drive(there, work, *host); }));
  }
  co_await scope.join();
  auto closed = co_await host->close(core);
  if (!closed) work.fail(fmt::format("close: {}", to_string(closed.error())));
  work.closed = true;
}

}  // namespace

reactor::Program Workload::program() {
  return [this](Core& core) { return run_life(core, *this, host_for(core, options, host_)); };
}

}  // namespace posthaste::storage_crash
