// The listener between brokers, with a member of the quorum that answers what the test says.
#include "replication/peers/peer_listener.h"

#include <gtest/gtest.h>

#include "net/client_connection.h"
#include "net/kafka/api_versions.h"
#include "net/kafka/broker_apis.h"
#include "net/kafka/metadata.h"
#include "reactor/simulated/world.h"

namespace posthaste::replication::peers {
namespace {

using namespace std::chrono_literals;
namespace kafka = net::kafka;
using kafka::ErrorCode;
using net::ClientConnection;
using reactor::Core;
using reactor::CoreId;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::World;

constexpr quorum::ReplicaKey kUs{.id = 1, .directory = {.low = 1}};
constexpr quorum::ReplicaKey kPeer{.id = 2, .directory = {.low = 2}};
constexpr const char* kAddress = "10.0.0.1:9093";

struct SilentMember final : QuorumMember {
  void received(quorum::NodeId /*from*/, quorum::PeerMessage /*message*/) override { ++messages; }
  void connection_lost(quorum::NodeId /*peer*/, bool /*is_refused*/) override {}
  size_t messages = 0;
};

class PeerListenerTest : public ::testing::Test {
 protected:
  void start(CoreId cores = 1) {
    server_ = &world_.add_host({.cores = cores, .pool_bytes_per_core = size_t{2} << 20}, "10.0.0.1",
                               [this](Core& core) { return run_server(*this, core); });
    server_->start();
    ASSERT_TRUE(world_.run_until([this] { return listener_ != nullptr; }, 1s));
  }
  // Runs a peer on a machine of its own until it returns.
  void run(std::function<Task<void>(Core&, ClientConnection&)> peer) {
    auto program = [peer = std::move(peer)](Core& core) -> Task<void> { return run_peer(core, peer); };
    Host& host = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20},
                                 "10.0.1." + std::to_string(++peers_), program);
    host.start();
    EXPECT_TRUE(world_.run_until([&] { return !host.running(); }, 60s)) << world_.log_tail();
  }
  static Task<std::pair<ErrorCode, std::string>> describe(ClientConnection& peer, int8_t endpoints, int16_t version) {
    const auto answer = co_await peer.call(kafka::DescribeClusterRequest{.endpoint_type = endpoints}, version);
    CHECK(answer.has_value());
    co_return std::pair(answer->message.error_code, std::string(answer->message.cluster_id));
  }
  static wire::FetchRequest fetch_from(quorum::Offset end) {
    const quorum::FetchRequest fetch{.epoch = 5, .replica = kPeer, .end = {end, 4}};
    static const QuorumIdentity kThem{.cluster_id = "c", .self = kPeer};
    return to_wire(fetch, kThem, 500ms);
  }
  static Task<void> fetch(ClientConnection& peer, quorum::Offset end, std::vector<ErrorCode>& answers) {
    const wire::FetchRequest request = fetch_from(end);
    const auto answer = co_await peer.call(request, wire::kFetchVersion);
    answers.push_back(answer ? answer->message.error_code : ErrorCode::kNetworkException);
  }

  World world_{3};
  Host* server_ = nullptr;
  SilentMember member_;
  QuorumDesk* desk_ = nullptr;
  PeerListener* listener_ = nullptr;

 private:
  static Task<void> run_server(PeerListenerTest& self, Core& core) {
    if (core.id() != 0) co_return co_await core.until_stopping();
    const QuorumIdentity us{.cluster_id = "c", .self = kUs};
    QuorumDesk desk(core, us, self.member_, 1500ms);
    PeerListener listener(core, {.cluster_id = "c"}, desk);
    CHECK((co_await listener.acceptor().listen({.address = kAddress})).has_value());
    listener.begin();
    self.desk_ = &desk;
    self.listener_ = &listener;
    co_await core.until_stopping();
    co_await listener.stop();
    EXPECT_EQ(desk.waiting(), 0U);
    EXPECT_EQ(listener.stats().open, 0U);
    self.listener_ = nullptr;
  }
  static Task<void> run_peer(Core& core, const std::function<Task<void>(Core&, ClientConnection&)>& body) {
    ClientConnection peer(core, "peer");
    EXPECT_TRUE((co_await peer.connect(kAddress)).has_value());
    co_await body(core, peer);
    co_await peer.close();
  }
  int peers_ = 0;
};

TEST_F(PeerListenerTest, TheHandshakeTellsWhatIsServedAndTheCluster) {
  start();
  run([](Core&, ClientConnection& peer) -> Task<void> {
    const kafka::ApiVersionsRequest request{.client_software_name = "a", .client_software_version = "1"};
    const auto versions = co_await peer.call(request, 3);
    EXPECT_TRUE(versions.has_value());
    EXPECT_EQ(missing_api(versions->message, wire::kQuorumApis), std::nullopt);
    EXPECT_EQ(versions->message.api_keys.size(), kafka::kBrokerApis.size());
    EXPECT_EQ(co_await describe(peer, kafka::kControllerEndpoints, 1), std::pair(ErrorCode::kNone, std::string("c")));
    // As Kafka's controllers answer who takes them for brokers.
    const std::string none;
    EXPECT_EQ(co_await describe(peer, kafka::kBrokerEndpoints, 0), std::pair(ErrorCode::kInvalidRequest, none));
    EXPECT_EQ(co_await describe(peer, kafka::kBrokerEndpoints, 1), std::pair(ErrorCode::kMismatchedEndpointType, none));
    EXPECT_EQ(co_await describe(peer, 3, 1), std::pair(ErrorCode::kUnsupportedEndpointType, none));
  });
}

TEST_F(PeerListenerTest, WhoAsksAgainOnTheSameConnectionHasNotToWaitForTheFirstAnswer) {
  start();
  run([this](Core& core, ClientConnection& peer) -> Task<void> {
    std::vector<ErrorCode> answers;
    core.scope().spawn_job(fetch(peer, 10, answers));
    co_await core.sleep(50ms);
    EXPECT_EQ(desk_->waiting(), 1U);
    core.scope().spawn_job(fetch(peer, 11, answers));
    co_await core.sleep(50ms);
    EXPECT_EQ(answers, std::vector{ErrorCode::kRequestTimedOut}) << "the first one, at once";
    EXPECT_EQ(desk_->waiting(), 1U);
    EXPECT_EQ(member_.messages, 2U);
    co_await core.sleep(2s);
    EXPECT_EQ(answers.size(), 2U);
  });
}

TEST_F(PeerListenerTest, ARequestWhoseConnectionHasEndedWaitsNoLonger) {
  start();
  run([this](Core& core, ClientConnection&) -> Task<void> {
    std::vector<ErrorCode> answers;
    ClientConnection another(core, "peer");
    EXPECT_TRUE((co_await another.connect(kAddress)).has_value());
    core.scope().spawn_job(fetch(another, 10, answers));
    co_await core.sleep(50ms);
    EXPECT_EQ(desk_->waiting(), 1U);
    co_await another.close();
    co_await core.sleep(50ms);
    EXPECT_EQ(desk_->waiting(), 0U);
    EXPECT_EQ(listener_->stats().open, 1U);
  });
}

TEST_F(PeerListenerTest, AStopDoesNotWaitForTheMember) {
  start();
  run([this](Core& core, ClientConnection& peer) -> Task<void> {
    std::vector<ErrorCode> answers;
    core.scope().spawn_job(fetch(peer, 10, answers));
    co_await core.sleep(50ms);
    server_->stop();
    co_await core.sleep(50ms);
    EXPECT_FALSE(server_->running());
    EXPECT_EQ(answers, std::vector{ErrorCode::kRequestTimedOut});
  });
}

// The desk belongs to one core.
TEST_F(PeerListenerTest, AllConnectionsStayOnOneCore) {
  start(3);
  run([this](Core& core, ClientConnection&) -> Task<void> {
    std::vector<std::unique_ptr<ClientConnection>> others;
    for (int i = 0; i < 5; ++i) {
      others.push_back(std::make_unique<ClientConnection>(core, "peer"));
      EXPECT_TRUE((co_await others.back()->connect(kAddress)).has_value());
      (void)co_await describe(*others.back(), kafka::kControllerEndpoints, 1);
    }
    EXPECT_EQ(listener_->acceptor().open_on(0), 6U);
    for (auto& other : others) co_await other->close();
  });
  server_->stop();
  EXPECT_TRUE(world_.run_until([this] { return !server_->running(); }, 1s));
}

TEST_F(PeerListenerTest, AFrameThatNoBrokerSendsEndsItsConnection) {
  start();
  run([](Core& core, ClientConnection& peer) -> Task<void> {
    const std::array<std::byte, 8> length{std::byte{0}, std::byte{1}, std::byte{0}, std::byte{1}};
    EXPECT_TRUE((co_await peer.send_raw({length.begin(), length.end()})).has_value());
    EXPECT_TRUE(co_await peer.wait_ended(core.now() + 1s));
  });
  EXPECT_EQ(listener_->stats().closed_for(net::CloseReason::kFrameTooLarge), 1U);
}

}  // namespace
}  // namespace posthaste::replication::peers
