// A member on a real store of one simulated machine, for unit tests of the driver: its peers are what the test says,
// and its user notes what it is told.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "reactor/check.h"
#include "reactor/simulated/world.h"
#include "replication/quorum/driver.h"
#include "replication/quorum/log_scan.h"
#include "replication/quorum/testing/file_snapshots.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/batch/record_reader.h"
#include "storage/engine.h"

namespace posthaste::replication::quorum::testing {

inline ReplicaKey key(NodeId id) { return {.id = id, .directory = {.low = static_cast<uint64_t>(id) + 100}}; }

inline storage::Bytes batch_of(std::string_view text, Offset base_offset = 0, Epoch epoch = 0) {
  storage::RecordBatchBuilder builder({.base_offset = base_offset, .leader_epoch = epoch});
  builder.add({.timestamp = 1, .value = storage::bytes_of(text)});
  return builder.finish();
}

struct NotingTransport final : Transport {
  struct Sent {
    NodeId to = kNobody;
    PeerMessage message;
  };
  void send(NodeId to, PeerMessage message) override { sent.push_back({to, std::move(message)}); }
  // The last message of this kind, if any.
  template <class T>
  const T* last() const {
    for (auto at = sent.rbegin(); at != sent.rend(); ++at) {
      if (const T* found = std::get_if<T>(&at->message.message)) return found;
    }
    return nullptr;
  }
  std::vector<Sent> sent;
};

struct NotingUser final : LogUser {
  void committed(Offset offset) override {
    EXPECT_GT(offset, high_watermark);
    high_watermark = offset;
  }
  void role_changed(const RoleChanged& changed) override { role = changed; }
  void snapshot_installed(SnapshotId id) override { installed.push_back(id); }
  void failed(reactor::Errc error) override { failure = error; }
  Offset high_watermark = 0;
  RoleChanged role;
  std::vector<SnapshotId> installed;
  std::optional<reactor::Errc> failure;
};

struct Member {
  Member(reactor::Core& core, storage::Engine& in, storage::Partition& its_log, const DriverOptions& options)
      : engine(in),
        log(its_log),
        snapshots(core, options.folder),
        driver({.engine = in, .log = its_log, .snapshots = snapshots, .transport = transport, .user = user}, options) {}
  storage::Engine& engine;
  storage::Partition& log;
  NotingTransport transport;
  NotingUser user;
  FileSnapshots snapshots;
  Driver driver;
};

class DriverTest : public ::testing::Test {
 protected:
  using Body = std::function<reactor::Task<void>(reactor::Core&, Member&)>;

  DriverTest() {
    engine_options_.data_directory = "/data";
    engine_options_.journal_file_bytes = uint64_t{256} << 10;
    engine_options_.commit_bytes_max = uint32_t{64} << 10;
    options_ = {.self = key(1), .folder = "/data", .first_voters = VoterSet({key(1)})};
  }

  // One life of the machine: `body` once the driver has started.
  void start(Body body) {
    body_ = std::move(body);
    host_.set_program([this](reactor::Core& core) { return life(*this, core); });
    host_.start();
    ASSERT_TRUE(world_.run_until([this] { return !host_.running(); }, std::chrono::seconds(600))) << world_.log_tail();
    host_.crash_after_operations(0);
  }
  // The same, which must start and end in order.
  void run(Body body) {
    start(std::move(body));
    ASSERT_EQ(host_.state(), reactor::simulated::HostState::kStopped) << world_.log_tail();
    ASSERT_EQ(problem_, "");
  }
  // A start that must be refused, and why.
  std::string refusal() {
    start([](reactor::Core&, Member&) -> reactor::Task<void> {
      ADD_FAILURE() << "it was not refused";
      co_return;
    });
    return problem_;
  }

  static reactor::Task<void> life(DriverTest& test, reactor::Core& core) {
    test.problem_.clear();
    storage::EngineHost engine_host(test.engine_options_, 1);
    const auto recovered = co_await engine_host.recover(core);
    CHECK(recovered.has_value(), "{}", engine_host.error_text());
    const auto engine = co_await engine_host.open(core);
    CHECK(engine.has_value());
    storage::Partition* log = (*engine)->find(storage::TopicId{}, 0);
    if (log == nullptr) log = *co_await (*engine)->create_partition({.topic_name = "quorum"});
    {
      Member member(core, **engine, *log, test.options_);
      if (co_await member.driver.start(test.problem_)) co_await test.body_(core, member);
      co_await member.driver.stop();
    }
    co_await (*engine)->close();
    CHECK((co_await engine_host.close(core)).has_value());
  }

  // Until it holds, for two seconds.
  static reactor::Task<void> until(reactor::Core& core, std::function<bool()> holds) {
    const reactor::Instant end = core.now() + std::chrono::seconds(2);
    while (!holds() && core.now() < end) co_await core.sleep(std::chrono::microseconds(100));
    EXPECT_TRUE(holds());
  }
  static reactor::Task<void> leads(reactor::Core& core, Member& member) {
    co_await until(core, [&] { return member.driver.quorum().has_committed_in_epoch(); });
  }
  static reactor::Task<Driver::Appended> append(reactor::Core& core, Member& member, std::string_view text) {
    return member.driver.append(batch_of(text), core.now() + std::chrono::seconds(1));
  }
  // All values of the log's data batches, in order.
  static reactor::Task<std::vector<std::string>> values(Member& member) {
    std::vector<std::string> found;
    const Offset end = member.log.end_offset();
    for (Offset offset = member.log.log_start_offset(); offset < end;) {
      const auto read = co_await member.log.read({.offset = offset, .limit_offset = end});
      CHECK(read.has_value());
      const storage::Bytes bytes = storage::joined(*read);
      storage::BatchCursor cursor(bytes);
      while (auto batch = cursor.next()) {
        if (batch->is_control()) continue;
        CHECK(storage::walk_records(*batch, [&](const storage::RecordView& record) {
                found.emplace_back(storage::text_of(*record.value));
              }).has_value());
      }
      offset = read->next_offset;
    }
    co_return found;
  }

  reactor::simulated::World world_{5};
  storage::EngineOptions engine_options_;
  DriverOptions options_;
  reactor::simulated::Host& host_ =
      world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{16} << 20}, "10.0.0.1", {});
  Body body_;
  std::string problem_;
};

}  // namespace posthaste::replication::quorum::testing
