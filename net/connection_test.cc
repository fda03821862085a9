// Connections in the simulator: the order of answers, and hostile bytes.
#include "net/testing/connection_test_base.h"

namespace posthaste::net {
namespace {

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

// A peer that has finished sending may still read; that is known only when something is sent to it.
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

}  // namespace
}  // namespace posthaste::net
