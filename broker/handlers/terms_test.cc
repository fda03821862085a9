// A partition whose replica is held back by others, or is not the leader that a request assumes, against a whole
// broker.
#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/log_admin.h"
#include "net/kafka/offsets.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using replication::Replica;

class TermsTest : public BrokerTest {
 protected:
  // Runs in a client's turn, on the core of partition 0 of topic "t".
  void at_replica(const std::function<void(Replica&)>& work) {
    for (reactor::CoreId core = 0; core < kCores; ++core) {
      const reactor::RunningAs as(broker_->core(core));
      shared_->on(core).engine().for_each([&](storage::Partition& partition) {
        if (partition.topic_name() == "t" && partition.partition() == 0) work(Replica::of(partition));
      });
      broker_->wake(core);  // it may sleep, and has news to pass on
    }
  }
  // An in-sync replica acknowledges nothing; or this one is alone again.
  void hold(bool held) {
    at_replica([held](Replica& replica) {
      replication::InSyncSet in_sync;
      if (held) in_sync.others.push_back({.broker = 99});
      replica.set_in_sync(std::move(in_sync));
    });
  }
  void resign() {
    at_replica([](Replica& replica) { replica.resign(); });
  }
  // The replica is ahead of what the cores know.
  void begin_next_term() {
    at_replica([](Replica& replica) {
      replica.become_leader({.leader_epoch = replica.term().leader_epoch + 1, .broker_epoch = 1}, {});
    });
  }

  void with_topic(std::function<Task<void>(Client&)> test) {
    start();
    run([test = std::move(test)](Client& client) -> Task<void> {
      EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"first"}))).error, ErrorCode::kNone);
      co_await test(client);
    });
    stop();
  }
};

// A request that waits for its answer on a connection of its own.
template <class Answer>
class Waiting {
 public:
  Waiting(Core& core, std::function<Task<Answer>(Client&)> ask) : client_(core), scope_(core) {
    scope_.spawn(wait(*this, core, std::move(ask)));
  }
  Task<void> join() { co_await scope_.join(); }
  const std::optional<Answer>& answer() const { return answer_; }
  reactor::Instant answered_at() const { return answered_at_; }

 private:
  static Task<void> wait(Waiting& self, Core& core, std::function<Task<Answer>(Client&)> ask) {
    co_await self.client_.connect();
    self.answer_ = co_await ask(self.client_);
    self.answered_at_ = core.now();
    co_await self.client_.close();
  }
  Client client_;
  std::optional<Answer> answer_;
  reactor::Instant answered_at_;
  reactor::TaskScope scope_;
};

// Records that were durable here before the wait began count when the other replicas have them too.
TEST_F(TermsTest, ALongPollIsAnsweredWhenWhatItWaitsForIsSafe) {
  with_topic([this](Client& client) -> Task<void> {
    hold(true);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"held"}), 1)).error, ErrorCode::kNone);
    }
    EXPECT_EQ((co_await client.fetch("t", 0, 1)).values.size(), 0U) << "on one disk only";
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 1);
    Waiting<Fetched> poll(client.core(), [](Client& reader) { return reader.fetch("t", 0, 1, 20'000, 150); });
    co_await client.core().sleep(1s);
    EXPECT_FALSE(poll.answer());
    const reactor::Instant safe_at = client.core().now();
    hold(false);
    co_await poll.join();
    EXPECT_EQ(poll.answer()->values.size(), 3U);
    EXPECT_LT(poll.answered_at() - safe_at, 1s);
  });
}

TEST_F(TermsTest, WhoWaitsForALeaderHearsThatItIsNone) {
  with_topic([this](Client& client) -> Task<void> {
    hold(true);
    Waiting<Produced> produce(client.core(),
                              [](Client& producer) { return producer.produce("t", 0, make_batch({"held"})); });
    Waiting<Fetched> poll(client.core(), [](Client& reader) { return reader.fetch("t", 0, 1, 20'000); });
    co_await client.core().sleep(1s);
    EXPECT_FALSE(produce.answer());
    EXPECT_FALSE(poll.answer());
    const reactor::Instant ended_at = client.core().now();
    resign();
    co_await produce.join();
    co_await poll.join();
    EXPECT_EQ(produce.answer()->error, ErrorCode::kNotLeaderOrFollower);
    EXPECT_EQ(poll.answer()->error, ErrorCode::kNotLeaderOrFollower);
    EXPECT_LT(std::max(produce.answered_at(), poll.answered_at()) - ended_at, 1s);
  });
}

// Every request that only a leader answers.
TEST_F(TermsTest, WhatIsNoLeaderServesNothing) {
  with_topic([this](Client& client) -> Task<void> {
    const auto refuses = [&](std::string_view what) -> Task<void> {
      SCOPED_TRACE(what);
      EXPECT_EQ((co_await client.produce("t", 0, make_batch({"v"}))).error, ErrorCode::kNotLeaderOrFollower);
      EXPECT_EQ((co_await client.fetch("t", 0, 0)).error, ErrorCode::kNotLeaderOrFollower);
      EXPECT_EQ((co_await client.list_offset("t", 0, -1)).error_code, ErrorCode::kNotLeaderOrFollower);
      kafka::OffsetForLeaderEpochRequest epoch{.replica_id = -1};
      epoch.topics.push_back({.topic = "t"});
      epoch.topics[0].partitions.push_back({.partition = 0, .current_leader_epoch = -1, .leader_epoch = 0});
      EXPECT_EQ((co_await client.call(epoch, 4)).message.topics.at(0).partitions.at(0).error_code,
                ErrorCode::kNotLeaderOrFollower);
      kafka::DeleteRecordsRequest records{.timeout_ms = 1000};
      records.topics.push_back({.name = "t"});
      records.topics[0].partitions.push_back({.partition_index = 0, .offset = 1});
      EXPECT_EQ((co_await client.call(records, 2)).message.topics.at(0).partitions.at(0).error_code,
                ErrorCode::kNotLeaderOrFollower);
    };
    begin_next_term();
    co_await refuses("a later term");
    resign();
    co_await refuses("none");
  });
}

// A reader that names its epoch gets an error when the epoch is over; a producer never does.
TEST_F(TermsTest, AReaderOfAnEarlierEpochIsToldSo) {
  with_topic([this](Client& client) -> Task<void> {
    kafka::FetchRequest fetch = Client::fetch_request("t", 0, 0);
    int32_t epoch = -1;
    at_replica([&](Replica& replica) { epoch = replica.term().leader_epoch; });
    fetch.topics[0].partitions[0].current_leader_epoch = epoch;
    const auto error = [&]() -> Task<ErrorCode> {
      const auto answer = co_await client.call(fetch, 11);
      co_return answer.message.responses.at(0).partitions.at(0).error_code;
    };
    EXPECT_EQ(co_await error(), ErrorCode::kNone);
    begin_next_term();
    EXPECT_EQ(co_await error(), ErrorCode::kFencedLeaderEpoch);
  });
}

TEST_F(TermsTest, OnlyALeaderDecidesWhatRetentionRemoves) {
  options_.retention_check_interval = 200ms;
  start();
  run([this](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"retention.ms", "3000"}, {"segment.ms", "1000"}}),
              ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"first"}))).error, ErrorCode::kNone);
    int64_t log_start = -1;
    const auto look = [&log_start](Replica& replica) { log_start = replica.log().log_start_offset(); };
    replication::Term term;
    at_replica([&](Replica& replica) {
      term = replica.term();
      replica.become_follower({.leader_epoch = term.leader_epoch + 1, .broker_epoch = 99});
    });
    co_await client.core().sleep(10s);
    at_replica(look);
    EXPECT_EQ(log_start, 0);
    at_replica([&](Replica& replica) { replica.become_leader({.leader_epoch = term.leader_epoch + 2}, {}); });
    co_await client.core().sleep(10s);
    at_replica(look);
    EXPECT_EQ(log_start, 1);
  });
  stop();
}

// A new leader does not know the high watermark of the time before it yet.
TEST_F(TermsTest, TheEndIsToldWhenItIsKnown) {
  with_topic([this](Client& client) -> Task<void> {
    hold(true);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({"held"}), 1)).error, ErrorCode::kNone);
    at_replica([](Replica& replica) {
      const replication::Term term = replica.term();
      replica.resign();
      replica.become_leader(term, {.others = {{.broker = 99}}});
    });
    for (const int64_t time : {int64_t{-1}, int64_t{-3}, int64_t{0}}) {
      const auto unknown = co_await client.list_offset("t", 0, time);
      EXPECT_EQ(unknown.error_code, ErrorCode::kOffsetNotAvailable) << time;
    }
    EXPECT_EQ((co_await client.list_offset("t", 0, -2)).error_code, ErrorCode::kNone) << "the start is known";
    const Fetched beyond = co_await client.fetch("t", 0, 2);
    EXPECT_EQ(beyond.error, ErrorCode::kNone);
    EXPECT_TRUE(beyond.values.empty());
    hold(false);
    EXPECT_EQ((co_await client.list_offset("t", 0, -1)).offset, 2);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
