// A server in the simulator whose handler does what a test says, and the clients that the test runs against it.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>

#include "net/client_connection.h"
#include "net/connection.h"
#include "net/kafka/api_versions.h"
#include "net/kafka/fetch.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"
#include "net/kafka/produce.h"
#include "net/kafka/topics.h"
#include "net/listener.h"
#include "reactor/simulated/world.h"

namespace posthaste::net {

using kafka::ApiKey;
using kafka::MetadataRequest;
using kafka::ProduceRequest;
using kafka::ProduceResponse;
using reactor::Core;
using reactor::CoreId;
using reactor::Duration;
using reactor::Result;
using reactor::Task;
using reactor::simulated::Host;
using reactor::simulated::HostState;
using reactor::simulated::World;
using namespace std::chrono_literals;

inline constexpr const char* kServerIp = "10.0.0.1";
inline constexpr const char* kServerAddress = "10.0.0.1:9092";
inline constexpr int16_t kProduceVersion = 9;
inline constexpr int16_t kMetadataVersion = 8;

// Answers Produce with its timeout as base offset, when the test lets it; Metadata at once; Heartbeat, Fetch and
// CreateTopics when the connection ends, without their frames.
class TestHandler final : public RequestHandler {
 public:
  explicit TestHandler(Core& core) : core_(core) {}

  Task<Response> handle(ConnectionContext& context, Request& request) override {
    ++started;
    switch (request.header.api) {
      case ApiKey::kProduce:
        return produce(request);
      case ApiKey::kHeartbeat:
      case ApiKey::kFetch:
      case ApiKey::kCreateTopics:
        return wait_for_close(context, request);
      case ApiKey::kApiVersions:
        return nothing();
      default:
        return metadata(request);
    }
  }
  void release(int32_t id) { released_ids_.push_back(id); }
  bool waits_for_readers() const override { return readers_hold_memory; }

  bool hold = false;        // Produce waits for release(id); id is the request's timeout_ms
  size_t answer_bytes = 0;  // of the records' echo in Metadata's cluster id
  bool readers_hold_memory = false;
  int started = 0;
  int closed_waits = 0;
  size_t record_bytes = 0;
  uint64_t record_sum = 0;

 private:
  Task<Response> produce(Request& request) {
    const auto body = kafka::decode<ProduceRequest>(request.body, request.header.version);
    if (!body) co_return Response::closing(CloseReason::kBodyCorrupt);
    for (const auto& topic : body->topic_data) {
      for (const auto& partition : topic.partition_data) {
        record_bytes += partition.records.whole.size();
        for (const std::byte byte : partition.records.whole) record_sum += static_cast<uint64_t>(byte);
      }
    }
    while (hold && std::ranges::find(released_ids_, body->timeout_ms) == released_ids_.end()) {
      co_await core_.sleep(1ms);  // the test releases from outside this host: nothing would wake it
    }
    if (body->acks == 0) co_return Response::none();
    ProduceResponse message;
    message.responses.push_back({.name = "t"});
    message.responses[0].partition_responses.push_back({.base_offset = body->timeout_ms});
    Response response;
    response.frame = kafka::encode_response(message, request.header.version, request.header.correlation_id);
    co_return response;
  }
  static Task<Response> nothing() { co_return Response::none(); }
  Task<Response> metadata(Request& request) {
    const std::string filler(std::min<size_t>(answer_bytes, 30'000), 'x');
    kafka::MetadataResponse message;
    message.cluster_id = "cluster";
    for (size_t bytes = 0; bytes < answer_bytes; bytes += filler.size()) {
      message.brokers.push_back({.node_id = 1, .host = filler, .port = 1});
    }
    Response response;
    response.frame = kafka::encode_response(message, request.header.version, request.header.correlation_id);
    co_return response;
  }
  Task<Response> wait_for_close(ConnectionContext& context, Request& request) {
    request.release();
    struct Watcher : CloseWatcher {
      explicit Watcher(Core& core) : told(core) {
        on_close = [](CloseWatcher& self) { static_cast<Watcher&>(self).told.set(); };
      }
      reactor::Event told;
    };
    Watcher watcher(core_);
    context.watch(watcher);
    co_await watcher.told.wait();
    ++closed_waits;
    co_return Response::none();
  }

  Core& core_;
  std::vector<int32_t> released_ids_;
};

// A server on its own simulated host, and the clients that a test runs on another host.
class ConnectionTest : public ::testing::Test {
 protected:
  struct PerCore {
    TestHandler* handler = nullptr;
    ConnectionSet* connections = nullptr;
  };

  void start_server(CoreId cores = 1) {
    server_cores_.resize(cores);
    server_ = &world_.add_host({.cores = cores, .pool_bytes_per_core = size_t{8} << 20}, kServerIp,
                               [this](Core& core) { return run_server(core); });
    server_->start();
    ASSERT_TRUE(world_.run_until([this] { return listening_; }, 10s));
  }
  Task<void> run_server(Core& core) {
    TestHandler handler(core);
    ConnectionSet connections(core, handler, limits_, *served_);
    server_cores_[core.id()] = {&handler, &connections};
    if (core.id() == 0) {
      Acceptor acceptor(core, accept_limits_,
                        [this](Core& on) -> ConnectionSet& { return *server_cores_[on.id()].connections; });
      acceptor_ = &acceptor;
      EXPECT_TRUE((co_await acceptor.listen({.address = kServerAddress})).has_value());
      acceptor.begin();
      listening_ = true;
      co_await core.until_stopping();
      co_await acceptor.stop();
      acceptor_stopped_ = true;
    } else {
      while (!acceptor_stopped_) co_await core.sleep(1ms);  // it drains the connections of all cores
    }
  }
  // Runs `client` on a host of its own until it returns.
  void run_client(std::function<Task<void>(Core&)> client, Duration limit = 120s) {
    Host& host = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{8} << 20},
                                 fmt::format("10.0.1.{}", ++clients_), std::move(client));
    host.start();
    EXPECT_TRUE(world_.run_until([&] { return host.state() == HostState::kStopped; }, limit)) << world_.log_tail();
  }
  // Sends `bytes`, expects that the server closes for `reason` and that another connection is not affected.
  void expect_refused(std::vector<std::byte> bytes, CloseReason reason) {
    start_server();
    run_client([&](Core& core) -> Task<void> {
      ClientConnection good(core, "good");
      EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
      ClientConnection bad(core, "bad");
      EXPECT_TRUE((co_await bad.connect(kServerAddress)).has_value());
      EXPECT_TRUE((co_await bad.send_raw(bytes)).has_value());
      EXPECT_TRUE(co_await bad.wait_ended(core.now() + 5s));
      const auto answer = co_await good.call(MetadataRequest{}, kMetadataVersion);
      EXPECT_TRUE(answer.has_value());
      co_await bad.close();
      co_await good.close();
    });
    EXPECT_EQ(stats().closed_for(reason), 1U) << to_string(reason);
  }

  TestHandler& handler() { return *server_cores_[0].handler; }
  NetStats& stats() { return server_cores_[0].connections->stats(); }

  World world_{7};
  ConnectionLimits limits_;
  const kafka::ServedApis* served_ = &kafka::kServedToClients;
  AcceptLimits accept_limits_;
  Host* server_ = nullptr;
  Acceptor* acceptor_ = nullptr;
  std::vector<PerCore> server_cores_;
  bool listening_ = false;
  bool acceptor_stopped_ = false;
  int clients_ = 0;
};

inline ProduceRequest produce_request(int32_t id, kafka::Bytes records = {}) {
  ProduceRequest request;
  request.acks = 1;
  request.timeout_ms = id;
  request.topic_data.push_back({.name = "t"});
  request.topic_data[0].partition_data.push_back({.index = 0, .records = {.whole = records}});
  return request;
}

inline std::vector<std::byte> frame_of(std::initializer_list<uint8_t> content) {
  std::vector<std::byte> frame(4);
  frame[3] = static_cast<std::byte>(content.size());
  for (const uint8_t byte : content) frame.push_back(static_cast<std::byte>(byte));
  return frame;
}

// Calls Produce and notes when its answer came.
inline Task<void> call_produce(ClientConnection& client, int32_t id, std::vector<int64_t>& answers) {
  const ProduceRequest request = produce_request(id);
  const auto answer = co_await client.call(request, kProduceVersion);
  EXPECT_TRUE(answer.has_value());
  if (answer) answers.push_back(answer->message.responses[0].partition_responses[0].base_offset);
}

}  // namespace posthaste::net
