// Two brokers in the simulator for tests of the stream: each a host with a store of its own and two logs, of which most
// tests use the first, the first broker with a listener for followers, the other one with a stream to it. The test says
// who leads.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>

#include "reactor/scope.h"
#include "reactor/simulated/world.h"
#include "replication/stream/follower_stream.h"
#include "replication/stream/leader_stream.h"
#include "storage/batch/record_batch_builder.h"

namespace posthaste::replication::stream {

inline constexpr int32_t kLeaderId = 1;
inline constexpr int32_t kFollowerId = 2;
inline constexpr int64_t kFollowerEpoch = 200;

class StreamFixture : public testing::Test {
 protected:
  struct Broker final : LeaderHooks {
    LocalBroker us;
    reactor::simulated::Host* host = nullptr;
    reactor::Core* core = nullptr;
    storage::Engine* engine = nullptr;
    StreamShared* shared = nullptr;
    Replica* replica = nullptr;           // while it lives
    Replica* second = nullptr;            // of the other log
    FollowerStream* following = nullptr;  // the follower's
    LeaderStream* serving = nullptr;      // the leader's, while there is a connection
    std::vector<FollowerProgress> progress;
    uint64_t tail_bytes_max = 24 << 20;
    std::function<reactor::Task<void>(reactor::Socket)> accepts;  // instead of a LeaderStream, if set

    Replica* find(const storage::TopicId&, int32_t partition) override { return partition == 0 ? replica : second; }
    int32_t leader_of(const storage::TopicId&, int32_t) override { return kLeaderId; }
    int32_t core_of(const storage::TopicId&, int32_t) override { return 0; }
    void progressed(Replica&, const FollowerProgress& told) override { progress.push_back(told); }
  };

  // `options`: of the world, that is of network and disks.
  void begin(const reactor::simulated::WorldOptions& options = {}, std::string followers_cluster = "c") {
    using reactor::Core;
    world_ = std::make_unique<reactor::simulated::World>(7, options);
    leader_.us = {.cluster_id = "c", .broker = kLeaderId, .broker_epoch = 100};
    follower_.us = {.cluster_id = std::move(followers_cluster), .broker = kFollowerId, .broker_epoch = kFollowerEpoch};
    leader_.host = &world_->add_host({.cores = 1, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1",
                                     [this](Core& core) { return run(*this, leader_, core, true); });
    follower_.host = &world_->add_host({.cores = 1, .pool_bytes_per_core = kPoolBytes}, "10.0.0.2",
                                       [this](Core& core) { return run(*this, follower_, core, false); });
    leader_.host->start();
    follower_.host->start();
    ASSERT_TRUE(until([&] { return leader_.replica != nullptr && follower_.replica != nullptr; }));
  }
  void TearDown() override {
    if (world_ == nullptr) return;
    for (Broker* const broker : {&leader_, &follower_}) {
      broker->host->kill();
      broker->replica = nullptr;
      broker->progress.clear();
    }
  }

  bool until(const std::function<bool()>& done, reactor::Duration limit = std::chrono::seconds(20)) {
    return world_->run_until(done, limit);
  }
  // A job on the broker's core, to its end.
  void on(Broker& broker, std::function<reactor::Task<void>()> work) {
    bool is_done = false;
    broker.core->scope().spawn_job(run_work(std::move(work), is_done));
    broker.host->wake(0);
    ASSERT_TRUE(until([&] { return is_done; })) << world_->log_tail();
  }
  void step(Broker& broker, const std::function<void()>& work) {
    on(broker, [&work]() -> reactor::Task<void> {
      work();
      co_return;
    });
  }
  // One batch of `records` with values of `value_bytes` each.
  static storage::Bytes batch_of(int records, size_t value_bytes, storage::BatchToWrite header = {}) {
    const storage::Bytes value(value_bytes, std::byte{'v'});
    storage::RecordBatchBuilder builder(header);
    for (int i = 0; i < records; ++i) builder.add({.timestamp = 1, .value = value});
    return builder.finish();
  }
  void append(Broker& broker, int32_t epoch, int records = 1, size_t value_bytes = 10) {
    step(broker, [&] {
      storage::Bytes batch = batch_of(records, value_bytes);
      ASSERT_TRUE(broker.replica->append(batch, {.leader_epoch = epoch}, kNow).has_value());
    });
  }
  // As if another leader had sent it.
  void append_as_of(Broker& broker, int32_t epoch, int records = 1) {
    step(broker, [&] {
      storage::Partition& log = broker.replica->log();
      const storage::Bytes batch = batch_of(records, 10, {.base_offset = log.end_offset(), .leader_epoch = epoch});
      ASSERT_TRUE(log.append_replicated(batch, kNow).has_value());
    });
    ASSERT_TRUE(until([&] { return durable(broker) == end(broker); }));
  }
  void lead(int32_t epoch, bool counts_follower = true) {
    step(leader_, [&] {
      InSyncSet in_sync;
      if (counts_follower) in_sync.others.push_back({.broker = kFollowerId, .broker_epoch = kFollowerEpoch});
      leader_.replica->become_leader({.leader_epoch = epoch, .broker_epoch = 100}, std::move(in_sync));
    });
  }
  void follow(int32_t epoch, bool is_recovering = false) {
    on(follower_, [&]() -> reactor::Task<void> {
      co_await follower_.following->follower().unfollow(*follower_.replica);
      follower_.replica->become_follower({.leader_epoch = epoch, .broker_epoch = 100});
      follower_.following->follower().follow(*follower_.replica, is_recovering);
    });
  }
  static int64_t end(const Broker& broker) { return broker.replica->log().end_offset(); }
  static int64_t durable(const Broker& broker) { return broker.replica->log().durable_offset(); }
  bool is_copied() const {
    return end(leader_) == end(follower_) && leader_.replica->high_watermark() == end(leader_) &&
           follower_.replica->high_watermark() == end(leader_);
  }
  FollowerStats stats() const { return follower_.following->follower().stats(); }
  // All bytes of a log.
  storage::Bytes bytes_of(Broker& broker) {
    storage::Bytes bytes;
    on(broker, [&]() -> reactor::Task<void> {
      storage::Partition& log = broker.replica->log();
      for (int64_t at = log.log_start_offset(); at < log.end_offset();) {
        const auto read = co_await log.read({.offset = at, .limit_offset = log.end_offset()});
        CHECK(read.has_value());
        const storage::Bytes more = storage::joined(*read);
        bytes.insert(bytes.end(), more.begin(), more.end());
        at = read->next_offset;
      }
    });
    return bytes;
  }

  static constexpr reactor::WallMillis kNow{1'700'000'000'000};
  static constexpr size_t kPoolBytes = 96 << 20;
  StreamTimes times_;
  CatchUpLimits catch_up_;
  size_t large_frame_memory_bytes_ = kLargeFrameMemoryBytes;
  std::unique_ptr<reactor::simulated::World> world_;
  Broker leader_;
  Broker follower_;

 private:
  static reactor::Task<void> run_work(std::function<reactor::Task<void>()> work, bool& is_done) {
    co_await work();
    is_done = true;
  }
  static reactor::Task<void> serve(StreamFixture& self, Broker& broker, reactor::Socket socket) {
    LeaderStream stream(*broker.shared, socket, broker.us, broker);
    broker.serving = &stream;
    co_await stream.run();
    if (broker.serving == &stream) broker.serving = nullptr;
  }
  static reactor::Task<void> run(StreamFixture& self, Broker& broker, reactor::Core& core, bool listens) {
    storage::EngineHost store({.data_directory = "/data",
                               .journal_file_bytes = 8 << 20,
                               .journal_files = 8,
                               .tail_bytes_max = broker.tail_bytes_max},
                              1);
    CHECK((co_await store.recover(core)).has_value());
    broker.engine = *co_await store.open(core);
    std::array<storage::Partition*, 2> logs{};
    for (int32_t i = 0; i < 2; ++i) {
      storage::Partition*& log = logs[static_cast<size_t>(i)];
      log = broker.engine->find(storage::TopicId{}, i);
      if (log == nullptr) log = *co_await broker.engine->create_partition({.topic_name = "t", .partition = i});
    }
    StreamShared shared(core, self.times_, self.catch_up_, self.large_frame_memory_bytes_);
    broker.shared = &shared;
    broker.core = &core;
    broker.second = &Replica::of(*logs[1]);
    broker.replica = &Replica::of(*logs[0]);
    reactor::TaskScope serving(core);  // behind the store, so that what a kill leaves is thrown away before it
    if (listens) {
      auto listener = co_await reactor::Socket::listen(core, "0.0.0.0:9000", nullptr);
      CHECK(listener.has_value());
      for (;;) {
        auto socket = co_await listener->accept(nullptr);
        if (socket) serving.spawn_job(broker.accepts ? broker.accepts(*socket) : serve(self, broker, *socket));
      }
    }
    FollowerStream following(shared, *broker.engine, broker.us, {.broker = kLeaderId, .address = "10.0.0.1:9000"});
    broker.following = &following;
    co_await following.run();
  }
};

}  // namespace posthaste::replication::stream
