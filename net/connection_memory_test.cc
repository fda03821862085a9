// Connections in the simulator: how much memory frames and answers hold, and which peers are disconnected for it.
#include "net/testing/connection_test_base.h"

namespace posthaste::net {
namespace {

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

// Tiny frames are stored in their connection and small ones have a pool of their own: neither waits behind large ones.
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

// A frame behind a request that must be answered first takes no memory that others need in the meantime.
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

// The same behind a long poll, which is no barrier: a request that may not overtake it waits without a frame.
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

// Large requests of a kind that takes turns keep a bounded amount while they wait, and the others of that kind wait
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

// A slow body has a long time limit; the limit is short while another request waits for the memory that the body holds.
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

// Peers that request large answers and do not read them: the answers together stay within the budget plus one answer,
// and a peer that reads gets its answer.
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

}  // namespace
}  // namespace posthaste::net
