// Connections in the simulator: order, memory, limits and hostile bytes, on a server whose handler does what a test
// says.
#include "net/connection.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>

#include "net/client_connection.h"
#include "net/kafka/api_versions.h"
#include "net/kafka/fetch.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"
#include "net/kafka/produce.h"
#include "net/kafka/topics.h"
#include "net/listener.h"
#include "reactor/simulated/world.h"

namespace posthaste::net {
namespace {

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

constexpr const char* kServerIp = "10.0.0.1";
constexpr const char* kServerAddress = "10.0.0.1:9092";
constexpr int16_t kProduceVersion = 9;
constexpr int16_t kMetadataVersion = 8;

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

// A server on its own simulated host, and whatever clients a test runs on another.
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
    ConnectionSet connections(core, handler, limits_);
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
  // Sends `bytes`, expects the server to close for `reason`, and that a neighbour noticed nothing.
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
  AcceptLimits accept_limits_;
  Host* server_ = nullptr;
  Acceptor* acceptor_ = nullptr;
  std::vector<PerCore> server_cores_;
  bool listening_ = false;
  bool acceptor_stopped_ = false;
  int clients_ = 0;
};

ProduceRequest produce_request(int32_t id, kafka::Bytes records = {}) {
  ProduceRequest request;
  request.acks = 1;
  request.timeout_ms = id;
  request.topic_data.push_back({.name = "t"});
  request.topic_data[0].partition_data.push_back({.index = 0, .records = {.whole = records}});
  return request;
}

std::vector<std::byte> frame_of(std::initializer_list<uint8_t> content) {
  std::vector<std::byte> frame(4);
  frame[3] = static_cast<std::byte>(content.size());
  for (const uint8_t byte : content) frame.push_back(static_cast<std::byte>(byte));
  return frame;
}

// Calls Produce and notes when its answer came.
Task<void> call_produce(ClientConnection& client, int32_t id, std::vector<int64_t>& answers) {
  const ProduceRequest request = produce_request(id);
  const auto answer = co_await client.call(request, kProduceVersion);
  EXPECT_TRUE(answer.has_value());
  if (answer) answers.push_back(answer->message.responses[0].partition_responses[0].base_offset);
}

TEST_F(ConnectionTest, AnswersARequest) {
  start_server();
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    const auto answer = co_await client.call(MetadataRequest{}, kMetadataVersion);
    EXPECT_TRUE(answer.has_value());
    if (answer) EXPECT_EQ(answer->message.cluster_id, "cluster");
    co_await client.close();
  });
  world_.run_for(1s);
  EXPECT_EQ(stats().requests, 1U);
  EXPECT_EQ(stats().closed_for(CloseReason::kPeerClosed), 1U);
  EXPECT_EQ(stats().open, 0U);
}

TEST_F(ConnectionTest, Pitfall16ProduceFollowsProduceAndAnswersKeepTheirOrder) {
  start_server();
  handler().hold = true;
  std::vector<int64_t> answers;
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    reactor::TaskScope scope(core);
    for (const int32_t id : {1, 2, 3}) scope.spawn(call_produce(client, id, answers));
    co_await core.sleep(100ms);
    EXPECT_EQ(handler().started, 3);
    handler().release(3);
    handler().release(2);
    co_await core.sleep(100ms);
    EXPECT_TRUE(answers.empty()) << "an answer overtook an earlier one";
    handler().release(1);
    co_await scope.join();
    co_await client.close();
  });
  EXPECT_EQ(answers, (std::vector<int64_t>{1, 2, 3}));
}

// A peer that has finished sending may still read; whether it does is not known before something is sent to it.
TEST_F(ConnectionTest, WhatWasAskedBeforeTheEndOfTheStreamIsAnswered) {
  start_server();
  handler().hold = true;
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    const ProduceRequest request = produce_request(1);
    EXPECT_TRUE(
        (co_await client.send_raw(kafka::encode_request(request, kProduceVersion, 1, "c").flatten())).has_value());
    co_await core.sleep(100ms);
    EXPECT_EQ(handler().started, 1);
    co_await client.close();
  });
  world_.run_for(1s);
  EXPECT_EQ(stats().open, 1U) << "a request of it is at work";
  EXPECT_EQ(stats().bytes_out, 0U);
  handler().release(1);
  world_.run_for(1s);
  EXPECT_GT(stats().bytes_out, 0U);
  EXPECT_EQ(stats().open, 0U);
  EXPECT_EQ(stats().closed_for(CloseReason::kPeerClosed), 1U);
}

TEST_F(ConnectionTest, OtherRequestsWaitForEarlierAnswers) {
  start_server();
  handler().hold = true;
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    reactor::TaskScope scope(core);
    std::vector<int64_t> answers;
    bool metadata_answered = false;
    auto ask = [&]() -> Task<void> {
      EXPECT_TRUE((co_await client.call(MetadataRequest{}, kMetadataVersion)).has_value());
      metadata_answered = true;
      EXPECT_EQ(answers.size(), 1U);
    };
    scope.spawn(call_produce(client, 1, answers));
    scope.spawn(ask());
    scope.spawn(call_produce(client, 2, answers));
    co_await core.sleep(100ms);
    EXPECT_EQ(handler().started, 1);
    handler().release(1);
    co_await core.sleep(100ms);
    EXPECT_TRUE(metadata_answered);
    EXPECT_EQ(handler().started, 3);
    handler().release(2);
    co_await scope.join();
    co_await client.close();
  });
}

// Order of api_table.h: of two requests on one connection, the first of which is not answered.
TEST_F(ConnectionTest, WhatMayStartBesideWhat) {
  start_server();
  handler().hold = true;
  int32_t id = 0;
  const auto produce = [&] { return kafka::encode_request(produce_request(id), kProduceVersion, 1, "c").flatten(); };
  const auto fetch = [] { return kafka::encode_request(kafka::FetchRequest{}, 12, 1, "c").flatten(); };
  const auto heartbeat = [] { return kafka::encode_request(kafka::HeartbeatRequest{}, 4, 1, "c").flatten(); };
  run_client([&](Core& core) -> Task<void> {
    const auto started_of = [&](std::vector<std::byte> first, const std::vector<std::byte>& second) -> Task<int> {
      handler().started = 0;
      ClientConnection client(core, "client");
      EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
      first.insert(first.end(), second.begin(), second.end());
      EXPECT_TRUE((co_await client.send_raw(first)).has_value());
      co_await core.sleep(100ms);
      const int started = handler().started;
      co_await client.close();
      handler().release(id++);
      co_await core.sleep(100ms);
      co_return started;
    };
    EXPECT_EQ(co_await started_of(produce(), produce()), 2);
    EXPECT_EQ(co_await started_of(produce(), fetch()), 1);
    EXPECT_EQ(co_await started_of(produce(), heartbeat()), 1);
    EXPECT_EQ(co_await started_of(fetch(), produce()), 2);
    EXPECT_EQ(co_await started_of(fetch(), fetch()), 1);
    EXPECT_EQ(co_await started_of(fetch(), heartbeat()), 1);
    EXPECT_EQ(co_await started_of(heartbeat(), produce()), 1);
    EXPECT_EQ(co_await started_of(heartbeat(), fetch()), 1);
  });
}

TEST_F(ConnectionTest, LargeBodiesArriveWhole) {
  start_server();
  std::vector<std::byte> records(1'000'000);
  uint64_t sum = 0;
  for (size_t i = 0; i < records.size(); ++i) {
    records[i] = static_cast<std::byte>(i * 31 % 251);
    sum += i * 31 % 251;
  }
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    const ProduceRequest request = produce_request(5, records);
    EXPECT_TRUE((co_await client.call(request, kProduceVersion)).has_value());
    co_await client.close();
  });
  EXPECT_EQ(handler().record_bytes, records.size());
  EXPECT_EQ(handler().record_sum, sum);
}

TEST_F(ConnectionTest, FramesArriveInAnyPieces) {
  start_server();
  std::vector<std::byte> stream;
  constexpr int kRequests = 5;
  for (int i = 0; i < kRequests; ++i) {
    const auto frame = kafka::encode_request(MetadataRequest{}, kMetadataVersion, i, "c").flatten();
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  run_client([&](Core& core) -> Task<void> {
    for (const size_t piece : {size_t{1}, size_t{3}, size_t{7}, stream.size()}) {
      ClientConnection client(core, "client");
      EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
      const int before = handler().started;
      for (size_t at = 0; at < stream.size(); at += piece) {
        const size_t end = std::min(stream.size(), at + piece);
        EXPECT_TRUE((co_await client.send_raw(
                         {stream.begin() + static_cast<ptrdiff_t>(at), stream.begin() + static_cast<ptrdiff_t>(end)}))
                        .has_value());
        co_await core.sleep(1ms);
      }
      co_await core.sleep(1s);
      EXPECT_EQ(handler().started - before, kRequests) << piece;
      co_await client.close();
    }
  });
}

TEST_F(ConnectionTest, NoAnswerForAcksZero) {
  start_server();
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    ProduceRequest request = produce_request(1);
    request.acks = 0;
    EXPECT_TRUE((co_await client.send_only(request, kProduceVersion)).has_value());
    // The next answer is that of the next request: nothing came for the first.
    EXPECT_TRUE((co_await client.call(MetadataRequest{}, kMetadataVersion)).has_value());
    co_await client.close();
  });
  EXPECT_EQ(handler().started, 2);
}

TEST_F(ConnectionTest, Pitfall31NegativeLengthCloses) {
  expect_refused({std::byte{0xff}, std::byte{0xff}, std::byte{0xff}, std::byte{0xfe}},
                 CloseReason::kFrameLengthInvalid);
}
TEST_F(ConnectionTest, Pitfall31LengthBelowAHeaderCloses) {
  expect_refused(frame_of({0, 3, 0}), CloseReason::kFrameLengthInvalid);
}
TEST_F(ConnectionTest, Pitfall31LengthAboveTheLimitCloses) {
  limits_.frame_bytes_max = 100'000;
  expect_refused({std::byte{0}, std::byte{2}, std::byte{0}, std::byte{0}}, CloseReason::kFrameTooLarge);
}
TEST_F(ConnectionTest, Pitfall31LengthAboveMemoryCloses) {
  expect_refused({std::byte{0x04}, std::byte{0}, std::byte{0}, std::byte{0}}, CloseReason::kFrameTooLarge);
}
TEST_F(ConnectionTest, Pitfall07UnknownApiCloses) {
  expect_refused(frame_of({0x7f, 0, 0, 0, 0, 0, 0, 1, 0, 0}), CloseReason::kUnknownApi);
}
TEST_F(ConnectionTest, Pitfall07UnknownVersionCloses) {
  expect_refused(frame_of({0, 3, 0, 99, 0, 0, 0, 1, 0, 0}), CloseReason::kUnsupportedVersion);
}
TEST_F(ConnectionTest, BrokenHeaderCloses) {
  expect_refused(frame_of({0, 3, 0, 8, 0, 0, 0, 1, 0xff, 0xf0}), CloseReason::kHeaderCorrupt);
}
TEST_F(ConnectionTest, HttpCloses) {
  const std::string_view text = "GET / HTTP/1.1\r\nHost: broker\r\n\r\n";
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  expect_refused({bytes.begin(), bytes.end()}, CloseReason::kFrameTooLarge);
}
TEST_F(ConnectionTest, StalledBodyCloses) {
  limits_.patience = {2s, size_t{64} << 10};
  expect_refused({std::byte{0}, std::byte{0}, std::byte{1}, std::byte{0}, std::byte{0}}, CloseReason::kSlowSender);
}
TEST_F(ConnectionTest, SilenceCloses) {
  limits_.idle_timeout = 2s;
  start_server();
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    for (int i = 0; i < 5; ++i) {
      co_await core.sleep(1500ms);
      EXPECT_TRUE((co_await client.call(MetadataRequest{}, kMetadataVersion)).has_value()) << "it was not silent";
    }
    EXPECT_FALSE(co_await client.wait_ended(core.now() + 1500ms));
    EXPECT_TRUE(co_await client.wait_ended(core.now() + 1500ms));
    co_await client.close();
  });
  EXPECT_EQ(stats().closed_for(CloseReason::kIdle), 1U);
}

TEST_F(ConnectionTest, UnknownVersionOfApiVersionsReachesTheHandler) {
  start_server();
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await client.send_raw(frame_of({0, 18, 0, 99, 0, 0, 0, 1, 0, 0}))).has_value());
    co_await core.sleep(1s);
    co_await client.close();
  });
  EXPECT_EQ(handler().started, 1);
}

TEST_F(ConnectionTest, AFrameWaitsForMemoryUntilAnotherIsAnswered) {
  limits_.request_memory_bytes = size_t{1} << 20;
  start_server();
  handler().hold = true;
  std::vector<std::byte> records(600'000, std::byte{1});
  run_client([&](Core& core) -> Task<void> {
    ClientConnection first(core, "first");
    ClientConnection second(core, "second");
    EXPECT_TRUE((co_await first.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await second.connect(kServerAddress)).has_value());
    reactor::TaskScope scope(core);
    auto send = [&](ClientConnection& client, int32_t id) -> Task<void> {
      const ProduceRequest request = produce_request(id, records);
      EXPECT_TRUE((co_await client.call(request, kProduceVersion)).has_value());
    };
    scope.spawn(send(first, 1));
    co_await core.sleep(1s);
    scope.spawn(send(second, 2));
    co_await core.sleep(1s);
    EXPECT_EQ(handler().started, 1) << "the second frame's memory was not there";
    handler().release(1);
    handler().release(2);
    co_await scope.join();
    EXPECT_EQ(handler().started, 2);
    co_await first.close();
    co_await second.close();
  });
}

// Tiny frames lie in their connection and small ones have a pool of their own: neither waits behind large ones.
TEST_F(ConnectionTest, SmallFramesDoNotWaitForLargeOnes) {
  limits_.request_memory_bytes = size_t{1} << 20;
  start_server();
  handler().hold = true;
  const std::vector<std::byte> large(600'000, std::byte{1});
  const std::vector<std::byte> small(10'000, std::byte{1});
  run_client([&](Core& core) -> Task<void> {
    ClientConnection first(core, "first");
    ClientConnection second(core, "second");
    ClientConnection third(core, "third");
    for (ClientConnection* client : {&first, &second, &third}) {
      EXPECT_TRUE((co_await client->connect(kServerAddress)).has_value());
    }
    reactor::TaskScope scope(core);
    auto send = [&](ClientConnection& client, int32_t id, const std::vector<std::byte>& records) -> Task<void> {
      const ProduceRequest request = produce_request(id, records);
      EXPECT_TRUE((co_await client.call(request, kProduceVersion)).has_value());
    };
    scope.spawn(send(first, 1, large));
    scope.spawn(send(second, 2, large));  // waits for the first one's memory
    co_await core.sleep(1s);
    EXPECT_EQ(handler().started, 1);
    scope.spawn(send(third, 3, small));
    co_await core.sleep(1s);
    EXPECT_EQ(handler().started, 2);
    EXPECT_EQ(stats().waited_for_memory, 1U);
    for (const int32_t id : {1, 2, 3}) handler().release(id);
    co_await scope.join();
    for (ClientConnection* client : {&first, &second, &third}) co_await client->close();
  });
}

// A frame that comes after a request that must be answered first takes no memory that others need meanwhile.
TEST_F(ConnectionTest, AFrameThatCannotStartHoldsNoMemory) {
  limits_.small_request_memory_bytes = size_t{64} << 10;
  start_server();
  const std::vector<std::byte> most_of_it(60'000, std::byte{1});
  run_client([&](Core& core) -> Task<void> {
    ClientConnection stuck(core, "stuck");
    ClientConnection good(core, "good");
    EXPECT_TRUE((co_await stuck.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
    auto bytes = kafka::encode_request(kafka::HeartbeatRequest{}, 3, 1, "c").flatten();  // answered at the end only
    const auto behind = kafka::encode_request(produce_request(1, most_of_it), kProduceVersion, 2, "c").flatten();
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    reactor::TaskScope scope(core);
    auto send = [&]() -> Task<void> { std::ignore = co_await stuck.send_raw(bytes); };
    scope.spawn(send());
    co_await core.sleep(1s);
    const ProduceRequest request = produce_request(2, most_of_it);
    EXPECT_TRUE((co_await good.call(request, kProduceVersion)).has_value());
    EXPECT_EQ(stats().waited_for_memory, 0U);
    co_await stuck.close();
    co_await scope.join();
    co_await good.close();
  });
}

// The same behind a long poll, which is no barrier: what may not overtake it waits outside.
TEST_F(ConnectionTest, AFrameBehindALongPollHoldsNoMemory) {
  limits_.small_request_memory_bytes = size_t{64} << 10;
  start_server();
  run_client([&](Core& core) -> Task<void> {
    ClientConnection stuck(core, "stuck");
    ClientConnection good(core, "good");
    EXPECT_TRUE((co_await stuck.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
    auto bytes = kafka::encode_request(kafka::FetchRequest{}, 12, 1, "c").flatten();
    const std::string name(200, 'n');
    MetadataRequest many;
    many.topics.emplace();
    for (int i = 0; i < 300; ++i) many.topics->push_back({.name = name});
    const auto behind = kafka::encode_request(many, kMetadataVersion, 2, "c").flatten();
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    reactor::TaskScope scope(core);
    auto send = [&]() -> Task<void> { std::ignore = co_await stuck.send_raw(bytes); };
    scope.spawn(send());
    co_await core.sleep(1s);
    EXPECT_EQ(handler().started, 1);
    EXPECT_TRUE((co_await good.call(many, kMetadataVersion)).has_value());
    EXPECT_EQ(stats().waited_for_memory, 0U);
    co_await stuck.close();
    co_await scope.join();
    co_await good.close();
  });
}

TEST_F(ConnectionTest, ARequestThatWaitsForOthersHoldsNoFrame) {
  limits_.small_request_memory_bytes = size_t{64} << 10;
  limits_.request_memory_bytes = size_t{1} << 20;
  start_server();
  for (const size_t bytes : {size_t{300}, size_t{60'000}, size_t{600'000}}) {
    run_client([&](Core& core) -> Task<void> {
      ClientConnection waiting(core, "waiting");
      ClientConnection good(core, "good");
      EXPECT_TRUE((co_await waiting.connect(kServerAddress)).has_value());
      EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
      const std::string name(200, 'n');
      kafka::FetchRequest poll;
      for (size_t i = 0; i < bytes / name.size(); ++i) poll.topics.push_back({.topic = name});
      reactor::TaskScope scope(core);
      const auto frame = kafka::encode_request(poll, 12, 1, "c").flatten();
      auto send = [&]() -> Task<void> { std::ignore = co_await waiting.send_raw(frame); };
      scope.spawn(send());
      co_await core.sleep(1s);
      const std::vector<std::byte> records(bytes, std::byte{1});
      const ProduceRequest request = produce_request(2, records);
      EXPECT_TRUE((co_await good.call(request, kProduceVersion)).has_value());
      EXPECT_EQ(stats().waited_for_memory, 0U) << bytes;
      co_await waiting.close();
      co_await scope.join();
      co_await good.close();
    });
  }
}

// What large requests of a kind that takes turns keep while they wait is bounded, and the others of their kind wait
// without a frame. Tiny ones and other kinds pass.
TEST_F(ConnectionTest, LargeRequestsThatTakeTurnsAreTakenInFewAtATime) {
  start_server();
  kafka::CreateTopicsRequest large;
  const std::string name(200, 'n');
  for (int i = 0; i < 300; ++i) large.topics.push_back({.name = name});
  run_client([&](Core& core) -> Task<void> {
    constexpr int kMany = 10;
    std::vector<std::unique_ptr<ClientConnection>> waiting;
    const auto frame = kafka::encode_request(large, 5, 1, "c").flatten();
    reactor::TaskScope scope(core);
    auto send = [&](ClientConnection& client) -> Task<void> { std::ignore = co_await client.send_raw(frame); };
    for (int i = 0; i < kMany; ++i) {
      waiting.push_back(std::make_unique<ClientConnection>(core, "waiting"));
      EXPECT_TRUE((co_await waiting.back()->connect(kServerAddress)).has_value());
      scope.spawn(send(*waiting.back()));
    }
    co_await core.sleep(1s);
    EXPECT_EQ(handler().started, static_cast<int>(kLargeTurnsAtOnce));
    ClientConnection good(core, "good");
    EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await good.call(MetadataRequest{}, kMetadataVersion)).has_value());
    const auto tiny = kafka::encode_request(kafka::CreateTopicsRequest{}, 5, 1, "c").flatten();
    EXPECT_TRUE((co_await good.send_raw(tiny)).has_value());
    co_await core.sleep(1s);
    EXPECT_EQ(handler().started, static_cast<int>(kLargeTurnsAtOnce) + 2);
    for (auto& one : waiting) {
      co_await one->close();
      co_await core.sleep(100ms);
    }
    EXPECT_EQ(handler().started, kMany + 2) << "each had its turn";
    co_await scope.join();
    co_await good.close();
  });
}

// Patience with a slow body is long; it ends early when somebody waits for the memory that the body holds.
TEST_F(ConnectionTest, ASlowSenderIsCutOffEarlyOnlyWhenItsMemoryIsWanted) {
  limits_.request_memory_bytes = size_t{1} << 20;
  limits_.patience = {60s, size_t{1} << 20};
  limits_.pressed_patience = {2s, size_t{1} << 20};
  start_server();
  const std::vector<std::byte> large(600'000, std::byte{1});
  run_client([&](Core& core) -> Task<void> {
    ClientConnection slow(core, "slow");
    ClientConnection good(core, "good");
    EXPECT_TRUE((co_await slow.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
    auto frame = kafka::encode_request(produce_request(1, large), kProduceVersion, 1, "c").flatten();
    frame.resize(frame.size() / 2);
    EXPECT_TRUE((co_await slow.send_raw(frame)).has_value());
    EXPECT_FALSE(co_await slow.wait_ended(core.now() + 20s)) << "nobody wanted the memory";
    const reactor::Instant begin = core.now();
    const ProduceRequest request = produce_request(2, large);
    EXPECT_TRUE((co_await good.call(request, kProduceVersion)).has_value());
    EXPECT_LT(core.now() - begin, 3s);
    EXPECT_TRUE(co_await slow.wait_ended(core.now() + 1s));
    co_await slow.close();
    co_await good.close();
  });
  EXPECT_EQ(stats().closed_for(CloseReason::kSlowSender), 1U);
}

// The same for an answer that is not taken.
TEST_F(ConnectionTest, ASlowReaderIsCutOffEarlyOnlyWhenItsMemoryIsWanted) {
  limits_.patience = {60s, size_t{1} << 20};
  limits_.pressed_patience = {2s, size_t{1} << 20};
  start_server();
  handler().answer_bytes = 4'000'000;
  run_client([&](Core& core) -> Task<void> {
    Result<reactor::Socket> socket = co_await reactor::Socket::connect(core, kServerAddress);
    EXPECT_TRUE(socket.has_value());
    auto frame = kafka::encode_request(MetadataRequest{}, kMetadataVersion, 1, "c").flatten();
    const reactor::Slice slice{frame.data(), frame.size()};
    EXPECT_TRUE((co_await socket->send({&slice, 1})).has_value());
    co_await core.sleep(20s);
    EXPECT_EQ(stats().closed_for(CloseReason::kSlowReader), 0U) << "nobody wanted the memory";
    handler().readers_hold_memory = true;
    co_await core.sleep(2s);
    EXPECT_EQ(stats().closed_for(CloseReason::kSlowReader), 1U);
    co_await socket->close();
  });
}

// Peers who ask for large answers and do not read them: the answers together stay within the budget and one answer, and
// who reads gets its answer.
TEST_F(ConnectionTest, AnswersThatNobodyReadsStayWithinTheirBudget) {
  constexpr uint64_t kAnswer = 900'000;
  constexpr uint64_t kBudget = 4'000'000;
  limits_.answer_memory_bytes = kBudget;
  start_server();
  handler().answer_bytes = kAnswer;
  uint64_t held_most = 0;
  run_client([&](Core& core) -> Task<void> {
    std::vector<reactor::Socket> sockets;
    auto frame = kafka::encode_request(MetadataRequest{}, kMetadataVersion, 1, "c").flatten();
    for (int i = 0; i < 20; ++i) {
      Result<reactor::Socket> socket = co_await reactor::Socket::connect(core, kServerAddress);
      EXPECT_TRUE(socket.has_value());
      sockets.push_back(*socket);
      const reactor::Slice slice{frame.data(), frame.size()};
      EXPECT_TRUE((co_await socket->send({&slice, 1})).has_value());
    }
    ClientConnection good(core, "good");
    EXPECT_TRUE((co_await good.connect(kServerAddress)).has_value());
    bool answered = false;
    reactor::TaskScope scope(core);
    auto ask = [&]() -> Task<void> {
      answered = (co_await good.call(MetadataRequest{}, kMetadataVersion)).has_value();
    };
    scope.spawn(ask());
    for (int i = 0; i < 600 && !answered; ++i) {
      held_most = std::max(held_most, server_cores_[0].connections->answer_bytes_held());
      co_await core.sleep(100ms);
    }
    EXPECT_TRUE(answered);
    co_await scope.join();
    co_await good.close();
    for (reactor::Socket& socket : sockets) co_await socket.close();
  });
  EXPECT_GT(held_most, kBudget / 2);
  EXPECT_LE(held_most, kBudget + kAnswer + 100'000);
  EXPECT_GT(stats().closed_for(CloseReason::kSlowReader), 0U);
}

TEST_F(ConnectionTest, APeerThatDoesNotReadIsCutOff) {
  limits_.patience = {2s, size_t{1} << 20};
  start_server();
  handler().answer_bytes = 4'000'000;
  run_client([&](Core& core) -> Task<void> {
    Result<reactor::Socket> socket = co_await reactor::Socket::connect(core, kServerAddress);
    EXPECT_TRUE(socket.has_value());
    auto frame = kafka::encode_request(MetadataRequest{}, kMetadataVersion, 1, "c").flatten();
    const reactor::Slice slice{frame.data(), frame.size()};
    EXPECT_TRUE((co_await socket->send({&slice, 1})).has_value());
    co_await core.sleep(10s);
    co_await socket->close();
  });
  EXPECT_EQ(stats().closed_for(CloseReason::kSlowReader), 1U);
}

TEST_F(ConnectionTest, TheEndOfAConnectionIsToldToWaitingRequests) {
  start_server();
  run_client([&](Core& core) -> Task<void> {
    ClientConnection client(core, "client");
    EXPECT_TRUE((co_await client.connect(kServerAddress)).has_value());
    const auto frame = kafka::encode_request(kafka::HeartbeatRequest{}, 3, 1, "c").flatten();
    EXPECT_TRUE((co_await client.send_raw(frame)).has_value());
    co_await core.sleep(1s);
    EXPECT_EQ(handler().closed_waits, 0);
    co_await client.close();
    co_await core.sleep(1s);
  });
  EXPECT_EQ(handler().closed_waits, 1);
}

TEST_F(ConnectionTest, ConnectionsAreLimitedInTotalAndPerAddress) {
  accept_limits_.connections_max = 3;
  accept_limits_.connections_per_address_max = 2;
  start_server();
  const auto open = [&](size_t count, std::vector<bool>& ended) {
    return [&, count](Core& core) -> Task<void> {
      std::vector<std::unique_ptr<ClientConnection>> clients;
      for (size_t i = 0; i < count; ++i) {
        clients.push_back(std::make_unique<ClientConnection>(core, "client"));
        EXPECT_TRUE((co_await clients.back()->connect(kServerAddress)).has_value());
        co_await core.sleep(10ms);
      }
      co_await core.sleep(1s);
      for (auto& client : clients) ended.push_back(client->ended());
      co_await core.sleep(20s);  // the next host's clients come while these are here
      for (auto& client : clients) co_await client->close();
    };
  };
  std::vector<bool> first;
  std::vector<bool> second;
  Host& one = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20}, "10.0.2.1", open(3, first));
  one.start();
  world_.run_for(5s);
  Host& two = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20}, "10.0.2.2", open(2, second));
  two.start();
  world_.run_for(60s);
  EXPECT_EQ(first, (std::vector<bool>{false, false, true}));
  EXPECT_EQ(second, (std::vector<bool>{false, true}));
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnectionsFromAddress), 1U);
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnections), 1U);
  EXPECT_EQ(acceptor_->open_on(0), 0U);
}

TEST_F(ConnectionTest, LimitsChangeWhileConnectionsAreOpen) {
  start_server();
  run_client([&](Core& core) -> Task<void> {
    std::vector<std::unique_ptr<ClientConnection>> clients;
    const auto is_refused = [&]() -> Task<bool> {
      clients.push_back(std::make_unique<ClientConnection>(core, "client"));
      EXPECT_TRUE((co_await clients.back()->connect(kServerAddress)).has_value());
      co_return co_await clients.back()->wait_ended(core.now() + 1s);
    };
    EXPECT_FALSE(co_await is_refused());
    EXPECT_FALSE(co_await is_refused());
    acceptor_->set_limits({.connections_per_address_max = 1});
    EXPECT_TRUE(co_await is_refused());
    EXPECT_FALSE(clients[0]->ended()) << "what is open stays";
    acceptor_->set_limits({.connections_per_address_max = 1, .per_address_overrides = {{"10.0.1.1", 3}}});
    EXPECT_FALSE(co_await is_refused());
    EXPECT_TRUE(co_await is_refused());
    acceptor_->set_limits({.per_address_overrides = {{"10.0.1.1", 0}}});
    EXPECT_TRUE(co_await is_refused());
    acceptor_->set_limits({.connections_max = 3, .per_address_overrides = {{"10.0.1.9", 0}}});
    EXPECT_TRUE(co_await is_refused());
    acceptor_->set_limits({});
    EXPECT_FALSE(co_await is_refused());
    for (auto& client : clients) co_await client->close();
  });
  world_.run_for(1s);
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnectionsFromAddress), 3U);
  EXPECT_EQ(acceptor_->stats().closed_for(CloseReason::kTooManyConnections), 1U);
  EXPECT_EQ(acceptor_->stats().accepted, 8U);
  EXPECT_EQ(acceptor_->stats().open, 0U);
}

TEST(NetStats, SaysWhatIsNotZero) {
  NetStats stats{.accepted = 7, .open = 2, .requests = 3};
  stats.closed[static_cast<size_t>(CloseReason::kPeerClosed)] = 1;
  EXPECT_EQ(stats.cut_off(), 0U);
  stats.closed[static_cast<size_t>(CloseReason::kSlowReader)] = 4;
  EXPECT_EQ(stats.cut_off(), 4U);
  EXPECT_EQ(stats.describe(), "accepted=7 open=2 requests=3 closed_peer_closed=1 closed_slow_reader=4");
}

TEST_F(ConnectionTest, ConnectionsAreSpreadEvenlyOverCores) {
  constexpr CoreId kCores = 3;
  start_server(kCores);
  run_client([&](Core& core) -> Task<void> {
    std::vector<std::unique_ptr<ClientConnection>> clients;
    for (int i = 0; i < 9; ++i) {
      clients.push_back(std::make_unique<ClientConnection>(core, "client"));
      EXPECT_TRUE((co_await clients.back()->connect(kServerAddress)).has_value());
      EXPECT_TRUE((co_await clients.back()->call(MetadataRequest{}, kMetadataVersion)).has_value());
    }
    for (CoreId i = 0; i < kCores; ++i) EXPECT_EQ(server_cores_[i].connections->stats().open, 3U);
    for (auto& client : clients) co_await client->close();
    co_await core.sleep(1s);
    for (CoreId i = 0; i < kCores; ++i) EXPECT_EQ(acceptor_->open_on(i), 0U);
  });
}

TEST_F(ConnectionTest, StoppingAnswersWhatWasBegun) {
  start_server(2);
  for (auto& core : server_cores_) core.handler->hold = true;
  std::vector<int64_t> answers;
  run_client([&](Core& core) -> Task<void> {
    ClientConnection busy(core, "busy");
    ClientConnection idle(core, "idle");
    EXPECT_TRUE((co_await busy.connect(kServerAddress)).has_value());
    EXPECT_TRUE((co_await idle.connect(kServerAddress)).has_value());
    reactor::TaskScope scope(core);
    scope.spawn(call_produce(busy, 1, answers));
    co_await core.sleep(1s);
    const CoreId at = server_cores_[0].handler->started > 0 ? 0 : 1;  // the other core's program ends before ours
    server_->stop();
    EXPECT_TRUE(co_await idle.wait_ended(core.now() + 5s));
    EXPECT_FALSE(busy.ended());
    server_cores_[at].handler->release(1);
    co_await scope.join();
    EXPECT_TRUE(co_await busy.wait_ended(core.now() + 5s));
    co_await busy.close();
    co_await idle.close();
  });
  EXPECT_EQ(answers, (std::vector<int64_t>{1}));
  EXPECT_TRUE(world_.run_until([&] { return server_->state() == HostState::kStopped; }, 10s));
}

// Connects and goes away again, now and then with a question, until the server does not answer any more.
Task<void> come_and_go(Core& core, bool& over) {
  while (!over) {
    ClientConnection client(core, "churn");
    if ((co_await client.connect(kServerAddress)).has_value()) {
      if (core.random() % 2 == 0) (void)co_await client.call(MetadataRequest{}, kMetadataVersion);
      (void)co_await client.wait_ended(core.now() + Duration(core.random() % 50'000'000));
      co_await client.close();
    }
    co_await core.sleep(Duration(core.random() % 300'000));
  }
}

// The end of a connection is told to core 0 by mail, and connections are handed to other cores by mail: whatever lies
// in a ring when the stop comes, nobody may be gone when it arrives.
TEST(Acceptor, IsThereUntilItHasHeardOfTheEndOfEachConnection) {
  constexpr int kClients = 800;  // more on each core than it has credits for calls to core 0
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    World world(seed, reactor::simulated::WorldOptions::swarm(seed));
    bool over = false;
    bool acceptor_stopped = false;
    std::array<ConnectionSet*, 4> sets{};
    const auto server_program = [&](Core& core) -> Task<void> {
      TestHandler handler(core);
      const ConnectionLimits limits;
      ConnectionSet connections(core, handler, limits);
      sets.at(core.id()) = &connections;
      if (core.id() != 0) {
        while (!acceptor_stopped) co_await core.sleep(1ms);
        EXPECT_EQ(connections.stats().open, 0U);
        co_return;
      }
      Acceptor acceptor(core, {}, [&sets](Core& on) -> ConnectionSet& { return *sets.at(on.id()); });
      EXPECT_TRUE((co_await acceptor.listen({.address = kServerAddress})).has_value());
      acceptor.begin();
      co_await core.until_stopping();
      co_await acceptor.stop();
      for (size_t on = 0; on < core.core_count(); ++on) EXPECT_EQ(acceptor.open_on(static_cast<CoreId>(on)), 0U);
      acceptor_stopped = true;
    };
    Host& server = world.add_host({.cores = 4, .pool_bytes_per_core = size_t{8} << 20}, kServerIp, server_program);
    Host& clients = world.add_host({.cores = 1, .pool_bytes_per_core = size_t{64} << 20}, "10.0.1.1",
                                   [&over](Core& core) -> Task<void> {
                                     reactor::TaskScope scope(core);
                                     for (int i = 0; i < kClients; ++i) scope.spawn(come_and_go(core, over));
                                     co_await scope.join();
                                   });
    server.start();
    clients.start();
    world.run_for(Duration(20'000'000 + world.random().below(50'000'000)));
    server.stop();
    ASSERT_TRUE(world.run_until([&] { return !server.running(); }, 60s)) << "seed " << seed << world.log_tail();
    ASSERT_EQ(server.state(), HostState::kStopped) << "seed " << seed;
    over = true;
    ASSERT_TRUE(world.run_until([&] { return !clients.running(); }, 120s)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace posthaste::net
