// Three members of the quorum in one simulated world, each a real store with the quorum's driver on it, which talk over
// real connections to each other's listeners: they elect, commit, fail over and catch up, also under faults of machines
// and links.
#include "replication/peers/quorum_transport.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "replication/peers/testing/fake_peer.h"
#include "replication/peers/testing/quorum_host.h"

namespace posthaste::replication::peers {
namespace {

using namespace std::chrono_literals;
using quorum::NodeId;
using quorum::Offset;
using reactor::Core;
using reactor::Duration;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::Random;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;

constexpr size_t kMembers = 3;

struct Slot {
  quorum::ReplicaKey key;
  std::string cluster_id = "c";
  Host* host = nullptr;
  Core* core = nullptr;
  QuorumHost* member = nullptr;  // while it runs
};

class QuorumTransportTest : public ::testing::Test {
 protected:
  void begin(uint64_t seed = 1, const WorldOptions& options = {}) {
    world_ = std::make_unique<World>(seed, options);
    judge_ = {};
    slots_ = std::vector<Slot>(kMembers);
    std::vector<quorum::ReplicaKey> keys;
    for (size_t i = 0; i < kMembers; ++i) {
      Slot& slot = slots_[i];
      slot.key = {.id = static_cast<NodeId>(i) + 1, .directory = {.high = 1, .low = i + 1}};
      keys.push_back(slot.key);
      slot.host = &world_->add_host({.cores = 1, .pool_bytes_per_core = size_t{16} << 20}, ip_of(slot.key.id),
                                    [this, &slot](Core& core) { return run(*this, slot, core); });
    }
    voters_ = quorum::VoterSet(keys);
  }
  void start_all() {
    for (Slot& slot : slots_) slot.host->start();
  }
  void TearDown() override {
    for (Slot& slot : slots_) kill(slot);
  }
  void kill(Slot& slot) {
    if (slot.host == nullptr || !slot.host->running()) return;
    slot.member = nullptr;
    slot.host->kill();
  }
  bool until(const std::function<bool()>& done, Duration limit = 20s) { return world_->run_until(done, limit); }

  // Who leads and has committed in its epoch.
  Slot* leader() {
    Slot* found = nullptr;
    for (Slot& slot : slots_) {
      if (slot.member == nullptr || !slot.member->machine().has_committed_in_epoch()) continue;
      if (found == nullptr || slot.member->machine().epoch() > found->member->machine().epoch()) found = &slot;
    }
    return found;
  }
  void on(Slot& slot, std::function<void(QuorumHost&)> work) {
    slot.core->scope().spawn_job(run_work(slot, std::move(work)));
    slot.host->wake(0);
  }
  void append(Slot& slot, int count) {
    on(slot, [count](QuorumHost& member) { member.append(count); });
  }
  // Everybody who runs has committed, and read, all that the leader has.
  bool all_agree() {
    Slot* const leads = leader();
    if (leads == nullptr) return false;
    const Offset end = leads->member->machine().log().end_offset();
    return std::ranges::all_of(slots_, [&](const Slot& slot) {
      if (slot.member == nullptr) return true;
      return slot.member->machine().high_watermark() == end && slot.member->applied() == end &&
             slot.member->chain() == leads->member->chain();
    });
  }
  // Of all members, for a failed test.
  std::string states() const {
    std::string text = "\n";
    for (const Slot& slot : slots_) {
      if (slot.member == nullptr) continue;
      const quorum::Quorum& machine = slot.member->machine();
      const QuorumTransportStats& stats = slot.member->transport().stats();
      text += fmt::format(
          "{}: role {} epoch {} leader {} end {} committed {}; sent {} received {} repeated {} dropped {} unanswered "
          "{} refused {}\n",
          slot.key.id, static_cast<int>(machine.role()), machine.epoch(), machine.leader(), machine.log().end_offset(),
          machine.high_watermark(), stats.sent, stats.received, stats.repeated, stats.dropped, stats.unanswered,
          stats.refused);
    }
    return text + world_->log_tail();
  }
  size_t running() const {
    return static_cast<size_t>(std::ranges::count_if(slots_, [](const Slot& one) { return one.member != nullptr; }));
  }

  std::unique_ptr<World> world_;
  std::vector<Slot> slots_;
  quorum::VoterSet voters_;
  QuorumJudge judge_;

 private:
  static std::string ip_of(NodeId id) { return "10.0.0." + std::to_string(id); }
  static Task<void> run(QuorumTransportTest& self, Slot& slot, Core& core) {
    slot.core = &core;
    QuorumTransportOptions options{.client_id = "member", .us = {.cluster_id = slot.cluster_id, .self = slot.key}};
    for (const quorum::ReplicaKey& voter : self.voters_) {
      options.quorum.bootstrap.push_back(voter.id);
      if (voter.id != slot.key.id) options.others.push_back({.broker = voter.id, .address = ip_of(voter.id) + ":9093"});
    }
    co_await run_quorum_host(core, ip_of(slot.key.id) + ":9093", options, self.voters_, self.judge_, slot.member);
  }
  static Task<void> run_work(Slot& slot, std::function<void(QuorumHost&)> work) {
    if (slot.member != nullptr) work(*slot.member);
    co_return;
  }
};

struct NotingMember final : QuorumMember {
  void received(NodeId /*from*/, quorum::PeerMessage message) override {
    messages.push_back(std::move(message.message));
  }
  void connection_lost(NodeId /*peer*/, bool is_refused) override { is_refused ? ++refusals : ++losses; }
  std::vector<quorum::Message> messages;
  size_t refusals = 0;
  size_t losses = 0;
};

// A fetch that waits for news holds up nothing else, and is not sent again while it waits.
TEST(QuorumTransport, AFetchThatWaitsHoldsUpNothingAndIsSentOnce) {
  World world(1);
  FakePeer fake;
  for (const RequiredApi& api : wire::kQuorumApis) {
    fake.lists.push_back({.api_key = api.key, .min_version = api.version, .max_version = api.version});
  }
  fake.answer = [](const FakePeer::Request& request) -> std::optional<FakePeer::Bytes> {
    if (request.api == net::kafka::ApiKey::kFetch) return std::nullopt;
    const auto answer = to_wire(quorum::VoteResponse{.epoch = 5, .asked_epoch = 5, .is_granted = true});
    return net::kafka::encode_response(answer, wire::kVoteVersion, request.correlation_id).flatten();
  };
  Host& server = world.add_host({.cores = 1}, "10.0.0.1", fake.program());
  NotingMember member;
  QuorumTransportStats stats;
  Host& client = world.add_host({.cores = 1}, "10.0.0.2", [&](Core& core) -> Task<void> {
    const quorum::ReplicaKey self{.id = 2, .directory = {.low = 2}};
    QuorumTransport transport(core,
                              {.client_id = "member",
                               .us = {.cluster_id = "c", .self = self},
                               .others = {{.broker = 1, .address = "10.0.0.1:9092"}}},
                              member);
    transport.start();
    quorum::FetchRequest fetch{.epoch = 5, .replica = self, .end = {10, 4}};
    transport.send(1, {fetch, {}});
    EXPECT_EQ(transport.stats().dropped, 1U) << "there is no connection yet";
    co_await core.sleep(100ms);
    EXPECT_TRUE(transport.is_connected(1));
    for (int i = 0; i < 5; ++i) transport.send(1, {fetch, {}});
    co_await core.sleep(100ms);
    transport.send(1, {fetch, {}});
    fetch.end.offset = 11;
    transport.send(1, {fetch, {}});
    transport.send(
        1, {quorum::VoteRequest{.epoch = 5, .candidate = self, .voter = {.id = 1, .directory = {.low = 1}}}, {}});
    transport.send(7, {fetch, {}});
    co_await core.sleep(100ms);
    EXPECT_EQ(member.messages.size(), 1U) << "the vote";
    co_await core.sleep(5s);
    stats = transport.stats();
    transport.send(1, {fetch, {}});
    co_await core.sleep(10ms);
    EXPECT_EQ(transport.stats().sent, stats.sent + 1) << "what was lost may be asked for again";
    server.kill();
    co_await core.sleep(100ms);
    co_await transport.close();
  });
  server.start();
  client.start();
  ASSERT_TRUE(world.run_until([&] { return !client.running(); }, 60s)) << world.log_tail();
  EXPECT_EQ(stats.sent, 3U);
  EXPECT_EQ(stats.repeated, 5U);
  EXPECT_EQ(stats.dropped, 2U);
  EXPECT_EQ(stats.unanswered, 2U);
  EXPECT_EQ(fake.requests, 4U);
  EXPECT_EQ(member.losses, 2U) << "once for both connections: silence, and the end of the process";
  EXPECT_GE(member.refusals, 1U);
}

TEST_F(QuorumTransportTest, MembersElectAndCommitOverTheirConnections) {
  begin();
  start_all();
  ASSERT_TRUE(until([this] { return leader() != nullptr; })) << world_->log_tail();
  for (int i = 0; i < 10; ++i) {
    append(*leader(), 30);
    world_->run_for(20ms);
  }
  ASSERT_TRUE(until([this] { return judge_.acknowledged.size() == 300 && all_agree(); }, 2s)) << world_->log_tail();
  judge_.all_acknowledged_is_there();
  for (Slot& slot : slots_) {
    const QuorumTransportStats& stats = slot.member->transport().stats();
    EXPECT_EQ(stats.refused, 0U);
    EXPECT_EQ(slot.member->transport().desk().stats().refused, 0U);
    EXPECT_GT(stats.received, 0U);
    EXPECT_EQ(slot.member->listener().stats().open, 4U) << "two connections of each other member";
    EXPECT_EQ(slot.member->listener().stats().cut_off(), 0U);
  }
  for (Slot& slot : slots_) slot.host->stop();
  ASSERT_TRUE(until(
      [this] { return !slots_[0].host->running() && !slots_[1].host->running() && !slots_[2].host->running(); }, 1s))
      << "nothing waits for a time-out";
  EXPECT_EQ(world_->network().open_endpoints(), 0U);
}

// The machine of a process that is gone refuses connections: so the others need not wait for a time-out.
TEST_F(QuorumTransportTest, AKilledLeaderIsReplacedInAFractionOfASecond) {
  std::vector<Duration> took;
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    begin(seed);
    start_all();
    ASSERT_TRUE(until([this] { return leader() != nullptr; }));
    world_->run_for(3s);
    ASSERT_TRUE(all_agree());
    Slot& killed = *leader();
    const Duration before = world_->elapsed();
    kill(killed);
    ASSERT_TRUE(until([this] { return leader() != nullptr; })) << world_->log_tail();
    took.push_back(world_->elapsed() - before);
    killed.host->start();
    ASSERT_TRUE(until([this] { return running() == 3 && all_agree(); }, 5s)) << world_->log_tail();
    TearDown();
  }
  std::ranges::sort(took);
  EXPECT_LT(took[took.size() / 2], 150ms);
  EXPECT_LT(took.back(), 2500ms);
}

// Its directory is another one: nobody takes it for the voter that it was, and it gets the snapshot and the log.
TEST_F(QuorumTransportTest, AMemberWithANewDiskIsNoVoterAndFetchesASnapshotInPieces) {
  begin();
  start_all();
  ASSERT_TRUE(until([this] { return leader() != nullptr; }));
  append(*leader(), 50);
  ASSERT_TRUE(until([this] { return judge_.acknowledged.size() == 50 && all_agree(); })) << states();
  on(*leader(), [](QuorumHost& member) { member.write_snapshot(); });
  ASSERT_TRUE(until([this] { return leader()->member->snapshots().kept().has_value(); }, 1s));
  // The log begins behind it, so that it is needed.
  ASSERT_TRUE(until([this] { return leader()->member->machine().log().start_offset() > 50; }, 5s)) << states();
  Slot& leads = *leader();
  Slot& wiped = leads.key.id == 1 ? slots_[1] : slots_[0];
  kill(wiped);
  wiped.host->disk() = reactor::simulated::Disk();
  wiped.key.directory = {.high = 2, .low = 7};
  append(leads, 10);
  wiped.host->start();
  ASSERT_TRUE(until([&] { return wiped.member != nullptr && leader() == &leads && all_agree(); }))
      << world_->log_tail();
  ASSERT_TRUE(wiped.member->snapshots().kept().has_value()) << states();
  EXPECT_GT(wiped.member->snapshots().kept()->id.offset, 50);
  EXPECT_FALSE(wiped.member->machine().is_voter());
  // The others would have to stand with its vote: it is asked, and says that it is not meant.
  kill(leads);
  Slot& other = *std::ranges::find_if(
      slots_, [&](Slot& one) { return one.key.id != leads.key.id && one.key.id != wiped.key.id; });
  world_->run_for(5s);
  EXPECT_EQ(leader(), nullptr);
  EXPECT_GT(other.member->transport().stats().refused, 0U);
  EXPECT_GT(wiped.member->transport().desk().stats().refused, 0U);
  leads.host->start();
  ASSERT_TRUE(until([this] { return running() == 3 && all_agree(); })) << world_->log_tail();
}

TEST_F(QuorumTransportTest, AMemberOfAnotherClusterIsHeardByNobody) {
  begin();
  slots_[2].cluster_id = "d";
  start_all();
  ASSERT_TRUE(until([this] { return leader() != nullptr; }));
  append(*leader(), 10);
  world_->run_for(10s);
  EXPECT_EQ(slots_[2].member->machine().high_watermark(), 0);
  EXPECT_EQ(slots_[2].member->transport().desk().stats().requests, 0U);
  EXPECT_EQ(leader()->member->machine().high_watermark(), leader()->member->machine().log().end_offset());
  EXPECT_FALSE(slots_[0].member->transport().is_connected(3));
  EXPECT_TRUE(slots_[0].member->transport().is_connected(2));
  EXPECT_NE(world_->log_tail(4000).find("it is of cluster c, this broker of d; check its address and the data folders"),
            std::string::npos);
}

TEST_F(QuorumTransportTest, UnderFaultsNothingThatIsCommittedIsLostAndAllAgreeWhenTheyEnd) {
  uint64_t elections = 0;
  uint64_t records = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    begin(seed, WorldOptions::swarm(seed));
    start_all();
    Random random(seed);
    const auto any = [&]() -> Slot& { return slots_[random.below(kMembers)]; };
    auto& network = world_->network();
    for (int i = 0; i < 120; ++i) {
      world_->run_for(Duration(random.between(1'000'000, 150'000'000)));
      if (Slot* const leads = leader()) append(*leads, static_cast<int>(random.below(5)));
      Slot& one = any();
      Slot& two = any();
      const uint64_t fault = random.below(40);
      if (fault == 0 && &one != &two) network.block(*one.host, *two.host);
      if (fault == 1 && &one != &two) network.clog(*one.host, *two.host, 1s);
      if (fault == 2) network.reset_connections(*one.host);
      if (fault == 3 && &one != &two) network.forget_connections(*one.host, *two.host);
      if (fault == 4) kill(one);
      if (fault == 5 && one.host->running()) one.host->pause_machine(2s);
      if (fault == 6 && leader() != nullptr) on(*leader(), [](QuorumHost& member) { member.write_snapshot(); });
      if (fault > 35) network.heal();
      if (fault > 30 && !one.host->running()) one.host->start();
    }
    network.heal();
    for (Slot& slot : slots_) {
      if (!slot.host->running()) slot.host->start();
    }
    ASSERT_TRUE(until([this] { return running() == 3 && leader() != nullptr; }, 15s)) << "seed " << seed << states();
    append(*leader(), 1);
    ASSERT_TRUE(until([this] { return all_agree(); }, 15s)) << "seed " << seed << states();
    judge_.all_acknowledged_is_there();
    elections += judge_.leaders.size();
    records += judge_.acknowledged.size();
    TearDown();
    if (HasFailure()) break;
  }
  EXPECT_GT(elections, 50U);
  EXPECT_GT(records, 2000U);
}

}  // namespace
}  // namespace posthaste::replication::peers
