// The coordinator under random clients, a random log and random changes of leadership, from a seed. Clients behave like
// real ones (join, sync, heartbeat, commit, leave, crash, come back) but at any moment; the log confirms late, fails,
// or is lost with the coordinator. A model on the side knows what was promised and checks every answer against it.
#include <gtest/gtest.h>

#include <random>

#include "broker/groups/coordinator.h"
#include "broker/groups/testing/coordinator_driver.h"

namespace posthaste::broker {
namespace {

constexpr int kGroups = 2;
constexpr int kClients = 6;
constexpr int kSteps = 1'500;
constexpr uint64_t kSeeds = 60;

// One client, as far as it knows.
struct Client {
  std::string group;
  std::optional<std::string> instance_id;
  bool wants_known_id = true;
  std::string member_id;
  int32_t generation = -1;
  bool leads = false;
  bool owns = false;  // has an assignment of this generation
  std::vector<std::string> members;
  std::optional<RequestToken> join;
  std::optional<RequestToken> sync;
  std::optional<RequestToken> leave;
  std::map<RequestToken, int64_t> commits;  // token -> offset
};

// What must be the same for every member of a generation.
struct Generation {
  std::string leader;
  std::string protocol;
  int leaders_told = 0;  // members that were given the member list, by distinct member id
  std::set<std::string> lists_given_to;
};

struct Model {
  // By (group, incarnation of the coordinator, generation): a generation that was not stored may be used anew by the
  // next coordinator, as in Kafka.
  std::map<std::tuple<std::string, int, int32_t>, Generation> generations;
  std::map<std::string, int32_t> newest;         // generation by group, within this incarnation
  std::map<std::string, int32_t> newest_stored;  // generation by group, confirmed in the log
  std::map<std::string, int64_t> acked;          // offset by group
  std::map<std::string, int64_t> next_offset;    // the next offset that a client commits
  int incarnation = 0;
  size_t joins = 0, syncs = 0, commits = 0, failures = 0, failovers = 0;
};

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : random_(seed), driver_(config()) {
    driver_.confirm_at_once = false;
    for (int i = 0; i < kClients; ++i) {
      Client client;
      client.group = "g" + std::to_string(i % kGroups);
      if (i % 3 == 2) client.instance_id = "static-" + std::to_string(i);
      client.wants_known_id = i % 2 == 0;
      clients_.push_back(client);
    }
  }

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      one_step();
      check();
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << "step " << step;
        return;
      }
    }
    settle();
  }

  const Model& model() const { return model_; }
  // Everything that happened, in order: equal for equal seeds.
  const std::string& trace() const { return trace_; }

 private:
  static GroupConfig config() {
    GroupConfig config;
    config.initial_rebalance_delay_ms = 100;
    config.min_session_timeout_ms = 1;
    config.offsets_retention_check_interval_ms = 20'000;
    config.max_group_size = 5;
    return config;
  }

  uint64_t below(uint64_t n) { return random_() % n; }

  void one_step() {
    switch (below(12)) {
      case 0:
        return driver_.advance(static_cast<int64_t>(below(400)));
      case 1:
        return driver_.advance(static_cast<int64_t>(below(5)));
      case 2:
      case 3:
      case 4:
        if (!driver_.in_flight.empty()) confirm();
        return;
      case 5:
        if (below(8) == 0 && !driver_.in_flight.empty()) {
          driver_.fail_one(below(2) == 0 ? reactor::Errc::kTimedOut : reactor::Errc::kStopping);
          ++model_.failures;
        }
        return;
      case 6:
        if (below(40) == 0) fail_over();
        return;
      default:
        return act(clients_[below(clients_.size())]);
    }
  }

  void confirm() {
    for (const GroupLogRecord& record : driver_.in_flight.front().records) {
      const auto key = decode_group_key(record.key);
      const auto* group = std::get_if<GroupMetadataKey>(&*key);
      if (group == nullptr) continue;
      const int32_t generation = record.value ? decode_group_value(*record.value)->generation : 0;
      if (record.value) {
        EXPECT_GE(generation, model_.newest_stored[group->group]) << "a stored generation went back";
      }
      model_.newest_stored[group->group] = generation;
      if (!record.value) model_.newest.erase(group->group);
    }
    driver_.confirm_one();
  }

  void fail_over() {
    driver_.fail_over();
    ++model_.incarnation;
    ++model_.failovers;
    model_.newest = model_.newest_stored;
    // What was acked is there at once; what was not may not appear later.
    for (const auto& [group, offset] : model_.acked) EXPECT_EQ(stored_offset(group), offset);
  }

  int64_t stored_offset(const std::string& group) {
    return driver_.coordinator.fetch_offsets({group, {{{"t", {0}}}}, false}).topics[0].partitions[0].offset;
  }

  void act(Client& client) {
    if (client.join || client.sync || client.leave) {
      if (below(30) == 0) client = reborn(client);  // it crashes while it waits
      return;
    }
    switch (below(12)) {
      case 0:
        return crash_or_leave(client);
      case 1:
      case 2:
      case 3:
        return commit(client);
      case 4:
      case 5:
        return beat(client);
      case 6:
        if (client.generation >= 0 && below(4) != 0) return;
        return join(client);
      default:
        if (client.generation < 0) return join(client);
        if (!client.owns) return sync(client);
        return beat(client);
    }
  }

  static Client reborn(const Client& old) {
    Client fresh;
    fresh.group = old.group;
    fresh.instance_id = old.instance_id;
    fresh.wants_known_id = old.wants_known_id;
    return fresh;
  }

  void crash_or_leave(Client& client) {
    if (below(2) == 0 || client.member_id.empty()) {
      client = reborn(client);
      return;
    }
    client.leave = driver_.leave({client.group, {{client.member_id, client.instance_id}}});
  }

  void join(Client& client) {
    JoinRequest request;
    request.group_id = client.group;
    request.member_id = client.member_id;
    request.group_instance_id = client.instance_id;
    request.client_id = "c";
    request.protocol_type = "consumer";
    request.protocols = {{"range", "r"}, {"sticky", "s"}};
    if (below(4) == 0) std::ranges::reverse(request.protocols);
    request.session_timeout_ms = static_cast<int32_t>(300 + below(300));
    request.rebalance_timeout_ms = static_cast<int32_t>(200 + below(600));
    request.require_known_member_id = client.wants_known_id;
    request.supports_skipping_assignment = below(2) == 0;
    client.owns = false;
    client.generation = -1;
    client.join = driver_.join(std::move(request));
  }

  void sync(Client& client) {
    SyncRequest request;
    request.group_id = client.group;
    request.generation_id = client.generation;
    request.member_id = client.member_id;
    request.group_instance_id = client.instance_id;
    if (client.leads) {
      // Each member is assigned its own name and the generation: a member that gets another's can notice it.
      for (const std::string& member : client.members) {
        request.assignments.push_back({member, std::to_string(client.generation)});
      }
    }
    client.sync = driver_.sync(request);
  }

  void beat(Client& client) {
    if (client.generation < 0) return;
    const RequestToken token =
        driver_.heartbeat({client.group, client.generation, client.member_id, client.instance_id});
    react(client, driver_.answer<HeartbeatResponse>(token).error);
  }

  void commit(Client& client) {
    if (!client.owns) return;
    OffsetCommitRequest request;
    request.group_id = client.group;
    request.generation_id = client.generation;
    request.member_id = client.member_id;
    request.group_instance_id = client.instance_id;
    const int64_t offset = model_.next_offset[client.group]++;
    request.topics = {{"t", {{0, offset, -1, std::nullopt}}}};
    const RequestToken token = driver_.commit(request);
    commits_[token] = {client.group, offset};
    client.commits[token] = offset;
  }

  // What a client does on an error, as librdkafka and the Java client do.
  void react(Client& client, ErrorCode error) {
    switch (error) {
      case ErrorCode::kNone:
      case ErrorCode::kCoordinatorNotAvailable:
      case ErrorCode::kCoordinatorLoadInProgress:
      case ErrorCode::kNotCoordinator:
        return;
      case ErrorCode::kRebalanceInProgress:
        client.generation = -1;
        client.owns = false;
        return;
      case ErrorCode::kUnknownMemberId:
      case ErrorCode::kIllegalGeneration:
      case ErrorCode::kFencedInstanceId:
      case ErrorCode::kGroupMaxSizeReached:
        client = reborn(client);
        return;
      default:
        ADD_FAILURE() << "no client expects " << net::kafka::to_string(error);
    }
  }

  void check() {
    EXPECT_EQ(driver_.memory.held(), driver_.coordinator.bytes());
    for (; seen_ < driver_.next_token; ++seen_) unanswered_.insert(seen_);
    std::vector<RequestToken> done;
    for (const RequestToken token : unanswered_) {
      if (driver_.answered(token)) done.push_back(token);
    }
    for (const RequestToken token : done) {
      unanswered_.erase(token);
      trace_ += std::to_string(token) + ":" + std::to_string(driver_.answers.at(token).response.index()) + ",";
      answered(token);
    }
    EXPECT_GE(unanswered_.size(), driver_.coordinator.waiting_count());
    EXPECT_EQ(unanswered_.size(), driver_.coordinator.waiting_count()) << "a request is neither answered nor held";
  }

  void answered(RequestToken token) {
    const GroupResponse& response = driver_.answers.at(token).response;
    if (const auto* done = std::get_if<OffsetCommitResponse>(&response)) return commit_answered(token, *done);
    for (Client& client : clients_) {
      if (client.join == token) {
        client.join.reset();
        return join_answered(client, std::get<JoinResponse>(response));
      }
      if (client.sync == token) {
        client.sync.reset();
        return sync_answered(client, std::get<SyncResponse>(response), token);
      }
      if (client.leave == token) {
        client = reborn(client);
        return;
      }
    }
    // The client that asked is gone; the answer must still be consistent.
    if (const auto* joined = std::get_if<JoinResponse>(&response)) check_generation(*joined);
  }

  void commit_answered(RequestToken token, const OffsetCommitResponse& response) {
    const auto [group, offset] = commits_.at(token);
    if (response.topics[0].partitions[0].error == ErrorCode::kNone) {
      ++model_.commits;
      EXPECT_NE(driver_.answers.at(token).waited_for, kNoPersist);
      EXPECT_GT(offset, model_.acked.contains(group) ? model_.acked[group] : -1)
          << "commits of one log keep their order";
      model_.acked[group] = offset;
      EXPECT_GE(stored_offset(group), offset);
    }
    for (Client& client : clients_) {
      if (client.commits.erase(token) > 0) return react(client, response.topics[0].partitions[0].error);
    }
  }

  void join_answered(Client& client, const JoinResponse& response) {
    if (response.error == ErrorCode::kMemberIdRequired) {
      client.member_id = response.member_id;
      return;
    }
    if (response.error != ErrorCode::kNone) return react(client, response.error);
    ++model_.joins;
    client.member_id = response.member_id;
    client.generation = response.generation_id;
    client.leads = response.leader_id == response.member_id;
    client.owns = false;
    client.members.clear();
    for (const JoinResponse::Member& member : response.members) client.members.push_back(member.member_id);
    if (client.leads) EXPECT_TRUE(std::ranges::count(client.members, client.member_id) == 1);
    check_generation_of(client.group, response);
  }

  void check_generation(const JoinResponse& response) {
    if (response.error != ErrorCode::kNone) return;
    // Which group it was is in no response; the member lists of its leader are checked where the client is known.
    EXPECT_GT(response.generation_id, 0);
    EXPECT_FALSE(response.leader_id.empty());
  }

  void check_generation_of(const std::string& group, const JoinResponse& response) {
    int32_t& newest = model_.newest[group];
    EXPECT_GE(response.generation_id, newest) << group;
    newest = std::max(newest, response.generation_id);
    Generation& known = model_.generations[{group, model_.incarnation, response.generation_id}];
    if (known.protocol.empty()) known.protocol = *response.protocol_name;
    EXPECT_EQ(known.protocol, *response.protocol_name);
    if (!response.members.empty() && !response.skip_assignment) {
      // One leader per generation. A static member may return as leader under another id; its answer then says to skip
      // the assignment.
      known.lists_given_to.insert(response.member_id);
      EXPECT_EQ(known.lists_given_to.size(), 1U) << group << " generation " << response.generation_id;
    }
  }

  void sync_answered(Client& client, const SyncResponse& response, RequestToken token) {
    if (response.error != ErrorCode::kNone) return react(client, response.error);
    ++model_.syncs;
    client.owns = true;
    if (!response.assignment.empty()) EXPECT_EQ(response.assignment, std::to_string(client.generation));
    // A member owns partitions only by a generation that the log holds.
    EXPECT_GE(model_.newest_stored[client.group], client.generation) << "token " << token;
  }

  // After the storm: the log works, clients are patient. Everything must be answered and the groups become stable.
  void settle() {
    for (int round = 0; round < 150; ++round) {
      while (!driver_.in_flight.empty()) confirm();
      check();
      for (Client& client : clients_) {
        if (client.join || client.sync || client.leave) continue;
        if (client.generation < 0) {
          join(client);
        } else if (!client.owns) {
          sync(client);
        } else {
          beat(client);
        }
        while (!driver_.in_flight.empty()) confirm();
        check();
      }
      driver_.advance(20);
      check();
    }
    for (int g = 0; g < kGroups; ++g) {
      const DescribedGroup group = driver_.coordinator.describe("g" + std::to_string(g));
      EXPECT_EQ(group.state, "Stable") << group.group_id;
      EXPECT_EQ(group.members.size(), size_t{kClients / kGroups}) << group.group_id;
    }
    driver_.resign();
    check();
    EXPECT_TRUE(unanswered_.empty());
  }

  std::mt19937_64 random_;
  GroupTestDriver driver_;
  std::vector<Client> clients_;
  Model model_;
  std::map<RequestToken, std::pair<std::string, int64_t>> commits_;
  std::set<RequestToken> unanswered_;
  RequestToken seen_ = 1;
  std::string trace_;
};

TEST(GroupRandom, EveryPromiseHoldsOnEverySeed) {
  Model sum;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    RandomRun run(seed);
    run.run();
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    sum.joins += run.model().joins;
    sum.syncs += run.model().syncs;
    sum.commits += run.model().commits;
    sum.failures += run.model().failures;
    sum.failovers += run.model().failovers;
  }
  // The storm did happen.
  EXPECT_GT(sum.joins, 2'000U);
  EXPECT_GT(sum.syncs, 1'000U);
  EXPECT_GT(sum.commits, 400U);
  EXPECT_GT(sum.failures, 100U);
  EXPECT_GT(sum.failovers, 50U);
}

TEST(GroupRandom, TheSameSeedDoesTheSame) {
  RandomRun first(7);
  RandomRun second(7);
  RandomRun other(8);
  first.run();
  second.run();
  other.run();
  EXPECT_EQ(first.trace(), second.trace());
  EXPECT_NE(first.trace(), other.trace());
}

}  // namespace
}  // namespace posthaste::broker
