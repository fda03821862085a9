// A host with a connection to a broker and the broker that it is to (fake_peer.h), in a simulated world; what the owner
// is told and what became of each request is written down. Not for the product.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "reactor/simulated/world.h"
#include "replication/peers/peer_connection.h"
#include "replication/peers/testing/fake_peer.h"

namespace posthaste::replication::peers {

// What became of a request.
struct Outcome {
  size_t request = 0;  // as ask() numbers them
  std::optional<NoAnswer> none;
  int32_t epoch = -1;  // of the answer
  reactor::Duration took{};
};

class PeerFixture : public testing::Test, protected PeerOwner {
 protected:
  using Duration = reactor::Duration;

  // Two machines; the broker's runs unless `is_up` is false.
  void begin(bool is_up = true, const reactor::simulated::WorldOptions& world = {}, uint64_t seed = 7) {
    world_ = std::make_unique<reactor::simulated::World>(seed, world);
    server_ = &world_->add_host({.cores = 1}, "10.0.0.1", fake_.program());
    client_ = &world_->add_host({.cores = 1}, "10.0.0.2", [this](reactor::Core& core) { return run(*this, core); });
    server_->start();
    if (!is_up) server_->kill();
    client_->start();
  }
  void TearDown() override {
    if (world_ != nullptr) world_->host(1).kill();
  }
  bool until(const std::function<bool()>& done, Duration limit = std::chrono::seconds(20)) {
    return world_->run_until(done, limit);
  }
  bool connect() {
    return until([this] { return connection_ != nullptr && connection_->is_connected(); });
  }
  // So many requests at once.
  void ask(size_t count, Duration timeout = std::chrono::seconds(1), size_t padding = 0) {
    for (size_t i = 0; i < count; ++i) core_->scope().spawn_job(ask_one(*this, asked_++, timeout, padding));
    client_->wake(0);
  }
  bool all_heard() const { return outcomes_.size() == asked_; }
  size_t outcomes_with(std::optional<NoAnswer> none) const {
    return static_cast<size_t>(std::ranges::count(outcomes_, none, &Outcome::none));
  }
  std::vector<LossKind> kinds() const {
    std::vector<LossKind> kinds;
    for (const Loss& loss : losses_) kinds.push_back(loss.kind);
    return kinds;
  }
  // The client's program closes its connection and ends.
  void stop() {
    client_->stop();
    ASSERT_TRUE(until([this] { return !client_->running(); }, std::chrono::milliseconds(10))) << world_->log_tail();
    EXPECT_TRUE(all_heard());
    EXPECT_EQ(connects_, losses_of_connections_ + (was_connected_ ? 1U : 0U));
  }

  // Before another world.
  void forget() {
    losses_.clear();
    lost_at_.clear();
    outcomes_.clear();
    asked_ = connects_ = losses_of_connections_ = 0;
    was_connected_ = false;
  }

  FakePeer fake_;
  Peer peer_{.broker = 1, .address = "10.0.0.1:9092"};
  PeerOptions options_{.client_id = "test", .cluster_id = "c", .apis = {{net::kafka::ApiKey::kVote, kVoteVersion}}};
  std::unique_ptr<reactor::simulated::World> world_;
  reactor::simulated::Host* server_ = nullptr;
  reactor::simulated::Host* client_ = nullptr;
  reactor::Core* core_ = nullptr;
  PeerConnection* connection_ = nullptr;
  std::vector<Loss> losses_;
  std::vector<Outcome> outcomes_;
  size_t asked_ = 0;
  size_t connects_ = 0;
  size_t losses_of_connections_ = 0;
  bool was_connected_ = false;  // as the owner knows
  std::vector<reactor::Instant> lost_at_;
  size_t outcomes_before_loss_ = 0;  // heard when the owner was told

 private:
  void connected(PeerConnection& connection) override {
    EXPECT_TRUE(connection.is_connected());
    EXPECT_FALSE(was_connected_);
    was_connected_ = true;
    ++connects_;
  }
  void lost(PeerConnection& connection, const Loss& loss) override {
    EXPECT_FALSE(connection.is_connected());
    losses_.push_back(loss);
    lost_at_.push_back(core_->fresh_now());
    outcomes_before_loss_ = outcomes_.size();
    if (was_connected_) ++losses_of_connections_;
    was_connected_ = false;
  }
  static reactor::Task<void> run(PeerFixture& self, reactor::Core& core) {
    PeerConnection connection(core, self.peer_, self.options_, self);
    self.core_ = &core;
    self.connection_ = &connection;
    connection.start();
    co_await core.until_stopping();
    co_await connection.close();
    self.connection_ = nullptr;
  }
  static reactor::Task<void> ask_one(PeerFixture& self, size_t number, Duration timeout, size_t padding) {
    const reactor::Instant begin = self.core_->fresh_now();
    const std::string text(padding, 'x');
    Outcome outcome{.request = number};
    {
      const net::kafka::VoteRequest request{.cluster_id = text};
      const auto answer = co_await self.connection_->call(request, timeout);
      if (answer) {
        EXPECT_EQ(answer->message.topics.size(), 1U);
        outcome.epoch = answer->message.topics.front().partitions.front().leader_epoch;
      } else {
        outcome.none = answer.error();
      }
    }
    outcome.took = self.core_->fresh_now() - begin;
    self.outcomes_.push_back(outcome);
  }
};

}  // namespace posthaste::replication::peers
