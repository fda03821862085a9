// The coordinators of a core over a log whose high watermark is held back by hand: terms of a coordinator (loaded up
// to the high watermark, served from then on, ended by a newer term). The rules of groups have tests of their own.
#include "broker/groups/group_service.h"

#include <gtest/gtest.h>

#include <functional>

#include "reactor/check.h"
#include "reactor/simulated/world.h"

namespace posthaste::broker {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Task;
using reactor::simulated::HostState;
using replication::Replica;

constexpr storage::TopicId kTopic = {std::byte{9}};

OffsetCommitRequest commit_of(int64_t offset) {
  OffsetCommitRequest request;
  request.group_id = "g";
  request.topics = {{"t", {{0, offset, 5, "note"}}}};
  return request;
}

int64_t committed(const GroupPartition& partition) {
  OffsetFetchRequest request;
  request.group_id = "g";
  const OffsetFetchResponse response = partition.coordinator().fetch_offsets(request);
  return response.topics.empty() ? -1 : response.topics[0].partitions[0].offset;
}

// Beside it another one, which acknowledges nothing.
const replication::InSyncSet kHeldBack{.others = {{.broker = 2}}};

// As a core does when it learns of a term.
void lead(GroupService& service, storage::Engine& engine, storage::Partition& log, int32_t epoch,
          replication::InSyncSet in_sync) {
  Replica::of(log).become_leader({.leader_epoch = epoch}, std::move(in_sync));
  service.lead(0, engine, log, epoch);
}

class GroupServiceTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<void>(Core&, storage::Engine&, storage::Partition&, GroupService&)>;

  void run(Body body) {
    body_ = std::move(body);
    options_.data_directory = "/data";
    host_ = &world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{64} << 20}, "10.0.0.1", {});
    host_->set_program([this](Core& core) { return life(*this, core); });
    host_->start();
    ASSERT_TRUE(world_.run_until([this] { return !host_->running(); }, 600s)) << world_.log_tail();
    ASSERT_EQ(host_->state(), HostState::kStopped) << world_.log_tail();
  }

  static Task<void> life(GroupServiceTest& test, Core& core) {
    storage::EngineHost engine_host(test.options_, 1);
    CHECK(co_await engine_host.recover(core), "recovery");
    const auto engine = co_await engine_host.open(core);
    CHECK(engine, "open");
    const auto partition =
        co_await (*engine)->create_partition({.topic_id = kTopic, .topic_name = "__consumer_offsets"});
    CHECK(partition, "create");
    {
      GroupService service(core, {}, uint64_t{16} << 20, [&test](RequestToken token, GroupResponse response) {
        const auto* commit = std::get_if<OffsetCommitResponse>(&response);
        CHECK(commit != nullptr && !test.answers_.contains(token), "answer {}", token);
        test.answers_[token] = commit->topics[0].partitions[0].error;
      });
      co_await test.body_(core, **engine, **partition, service);
      co_await service.stop();
    }
    co_await (*engine)->close();
    CHECK(co_await engine_host.close(core), "close");
  }

  reactor::simulated::World world_{9};
  storage::EngineOptions options_;
  reactor::simulated::Host* host_ = nullptr;
  Body body_;
  std::map<RequestToken, ErrorCode> answers_;
};

TEST_F(GroupServiceTest, ANewerTermEndsTheOneBeforeAndServesOnceAllOfItIsSafe) {
  run([this](Core& core, storage::Engine& engine, storage::Partition& log, GroupService& service) -> Task<void> {
    lead(service, engine, log, 3, {});
    GroupPartition& partition = *service.find(0);
    co_await core.sleep(1s);
    EXPECT_TRUE(partition.coordinator().active());
    partition.submit(1, commit_of(10));
    co_await core.sleep(1s);
    EXPECT_EQ(answers_.at(1), ErrorCode::kNone);
    EXPECT_EQ(committed(partition), 10);

    // A commit that others do not have yet when the term ends.
    Replica::of(log).set_in_sync(kHeldBack);
    partition.submit(2, commit_of(20));
    co_await core.sleep(1s);
    EXPECT_FALSE(answers_.contains(2));
    lead(service, engine, log, 4, kHeldBack);
    EXPECT_EQ(answers_.at(2), ErrorCode::kNotCoordinator);
    partition.submit(3, commit_of(30));
    EXPECT_EQ(answers_.at(3), ErrorCode::kCoordinatorLoadInProgress);
    co_await core.sleep(10s);
    EXPECT_FALSE(partition.coordinator().active()) << "served before the high watermark reached its term";
    Replica::of(log).acknowledged(2, log.end_offset());
    co_await core.sleep(1s);
    EXPECT_TRUE(partition.coordinator().active());
    EXPECT_EQ(committed(partition), 20);

    // The same term, or an older one, changes nothing.
    service.lead(0, engine, log, 4);
    service.lead(0, engine, log, 3);
    EXPECT_TRUE(partition.coordinator().active());
    Replica::of(log).set_in_sync({});
    partition.submit(4, commit_of(40));
    co_await core.sleep(1s);
    EXPECT_EQ(answers_.at(4), ErrorCode::kNone);
    EXPECT_EQ(committed(partition), 40);
  });
}

TEST_F(GroupServiceTest, WhoResignedAnswersNothingAndMayLeadAgain) {
  run([this](Core& core, storage::Engine& engine, storage::Partition& log, GroupService& service) -> Task<void> {
    lead(service, engine, log, 1, {});
    GroupPartition& partition = *service.find(0);
    partition.resign();  // before it has loaded
    co_await core.sleep(1s);
    EXPECT_FALSE(partition.coordinator().active());
    partition.submit(1, commit_of(10));
    EXPECT_EQ(answers_.at(1), ErrorCode::kNotCoordinator);
    lead(service, engine, log, 2, {});
    co_await core.sleep(1s);
    partition.submit(2, commit_of(20));
    co_await core.sleep(1s);
    EXPECT_EQ(answers_.at(2), ErrorCode::kNone);
    partition.resign();
    EXPECT_EQ(committed(partition), -1);
    lead(service, engine, log, 3, {});
    co_await core.sleep(1s);
    EXPECT_EQ(committed(partition), 20);
  });
}

}  // namespace
}  // namespace posthaste::broker
