// Sockets, names and receive-select of every backend, as backend_conformance_test.cc does for files.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "reactor/testing/conformance_rig.h"
#include "reactor/testing/operations.h"

namespace posthaste::reactor::testing {
namespace {

template <class A, class B>
bool same_bytes(const A& a, const B& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

TEST_P(BackendConformance, ListenPicksAPortAndAcceptNamesThePeer) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  EXPECT_FALSE(listener.address.ends_with(":0"));
  const auto pair = ops.connect(listener);
  EXPECT_EQ(pair.peer.substr(0, pair.peer.rfind(':')), listener.address.substr(0, listener.address.rfind(':')));
  EXPECT_NE(pair.peer, listener.address);
  TestOp again;
  EXPECT_EQ(ops.run(again.as(OpKind::kListen).named(listener.address)).error(), Errc::kAddressInUse);
  for (const char* wrong : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:9x", "1.2.3:80", "[::1:80"}) {
    TestOp listen;
    EXPECT_EQ(ops.run(listen.as(OpKind::kListen).named(wrong)).error(), Errc::kInvalidArgument) << wrong;
    TestOp connect;
    EXPECT_EQ(ops.run(connect.as(OpKind::kConnect).named(wrong)).error(), Errc::kInvalidArgument) << wrong;
  }
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ListenWhereNoInterfaceIsNamesTheReason) {
  Operations ops(*rig_);
  TestOp listen;
  EXPECT_EQ(ops.run(listen.as(OpKind::kListen).named("203.0.113.1:0")).error(), Errc::kAddressNotAvailable);
}

TEST_P(BackendConformance, ASocketKnowsItsOwnSide) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  EXPECT_EQ(rig_->backend(0).local_address(pair.server), listener.address);
  EXPECT_EQ(rig_->backend(0).local_address(pair.client), pair.peer);
  const auto adopted = rig_->backend(1).adopt(rig_->backend(0).detach(pair.server));
  ASSERT_TRUE(adopted);
  EXPECT_EQ(rig_->backend(1).local_address(*adopted), listener.address);
  ops.close(*adopted, 1);
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ResolveGivesEachAddressOnce) {
  Operations ops(*rig_);
  std::vector<std::string> ips{"of before"};
  TestOp resolve;
  const auto found = ops.run(resolve.as(OpKind::kResolve).named("localhost").into(&ips));
  EXPECT_EQ(found, ips.size());
  EXPECT_EQ(std::ranges::count(ips, "127.0.0.1"), 1);
  for (const std::string& ip : ips) EXPECT_EQ(ip.find_first_of("[]"), std::string::npos) << ip;
}

TEST_P(BackendConformance, ResolveOfAnIpIsTheIp) {
  Operations ops(*rig_);
  for (const char* ip : {"127.0.0.1", "10.1.2.3", "0.0.0.0", "::1", "::", "fe80::1:2"}) {
    std::vector<std::string> ips;
    TestOp resolve;
    EXPECT_EQ(ops.run(resolve.as(OpKind::kResolve).named(ip).into(&ips)), 1U) << ip;
    EXPECT_EQ(ips, std::vector<std::string>{ip});
  }
}

TEST_P(BackendConformance, ResolveOfWhatIsNoNameIsNotFound) {
  Operations ops(*rig_);
  for (const char* name : {"", "a..b"}) {
    std::vector<std::string> ips;
    TestOp resolve;
    EXPECT_EQ(ops.run(resolve.as(OpKind::kResolve).named(name).into(&ips)).error(), Errc::kNotFound) << name;
  }
}

TEST_P(BackendConformance, CancelledResolvesEndAtOnceAndOthersGoOn) {
  Operations ops(*rig_);
  constexpr size_t kNames = 40;  // more than are looked up at one time
  std::deque<TestOp> resolves(kNames);
  std::deque<TestOp> cancels(kNames);
  std::vector<std::vector<std::string>> ips(kNames);
  for (size_t i = 0; i < kNames; ++i) {
    ops.submit(resolves[i].as(OpKind::kResolve).named(i % 2 == 0 ? "a..b" : "localhost").into(&ips[i]));
    cancels[i].as(OpKind::kCancel).target = &resolves[i];
    if (i % 4 < 2) ops.submit(cancels[i]);
  }
  for (size_t i = 0; i < kNames; ++i) {
    const auto outcome = ops.wait_for(resolves[i]);
    const bool cancelled = !outcome && outcome.error() == Errc::kCancelled;
    EXPECT_TRUE(cancelled ? i % 4 < 2 : outcome.has_value() == (i % 2 == 1)) << i;
    if (i % 4 < 2) EXPECT_TRUE(ops.wait_for(cancels[i]) || cancels[i].error() == Errc::kNotFound);
  }
}

TEST_P(BackendConformance, ConnectIsRefusedWhereNobodyListens) {
  Operations ops(*rig_);
  TestOp connect;
  EXPECT_EQ(ops.run(connect.as(OpKind::kConnect).named(rig_->refused_address())).error(), Errc::kConnectionRefused);
  const auto listener = ops.listen();
  ops.close(listener.id);
  TestOp late;
  EXPECT_EQ(ops.run(late.as(OpKind::kConnect).named(listener.address)).error(), Errc::kConnectionRefused);
}

TEST_P(BackendConformance, GatheredSendArrivesInOrderAndReceiveScatters) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(3000);
  TestOp send;
  send.as(OpKind::kSend)
      .on(pair.client)
      .over({{bytes.data(), 1}, {nullptr, 0}, {bytes.data() + 1, 999}, {bytes.data() + 1000, 2000}});
  EXPECT_EQ(ops.run(send), bytes.size());
  std::vector<std::byte> in(3000);
  TestOp receive;
  receive.as(OpKind::kReceive)
      .on(pair.server)
      .with(kReceiveAll)
      .over({{in.data(), 10}, {in.data() + 10, 0}, {in.data() + 10, 2990}});
  EXPECT_EQ(ops.run(receive), in.size());
  EXPECT_EQ(in, bytes);

  EXPECT_TRUE(ops.send(pair.server, std::span(bytes).first(5)));
  std::vector<std::byte> more(100);
  TestOp part;
  part.as(OpKind::kReceive).on(pair.client).over({{more.data(), 3}, {more.data() + 3, 97}});
  EXPECT_EQ(ops.run(part), 5U) << "without kReceiveAll what is there is enough";
  EXPECT_TRUE(same_bytes(std::span(more).first(5), std::span(bytes).first(5)));
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, LargeSendCompletesOnlyAsTheSlowReaderTakesIt) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(size_t{32} << 20);
  TestOp send;
  const size_t half = bytes.size() / 2;
  send.as(OpKind::kSend)
      .on(pair.client)
      .over({{bytes.data(), 777}, {bytes.data() + 777, half}, {bytes.data() + 777 + half, bytes.size() - 777 - half}});
  ops.submit(send);
  rig_->settle();
  EXPECT_FALSE(send.done) << "nobody read yet; no socket buffer is that large";
  std::vector<std::byte> in(300'001);
  size_t received = 0;
  while (received < bytes.size()) {
    const auto got = ops.receive(pair.server, in);
    ASSERT_TRUE(got && *got > 0);
    ASSERT_TRUE(same_bytes(std::span(in).first(*got), std::span(bytes).subspan(received, *got)));
    received += *got;
  }
  EXPECT_EQ(ops.wait_for(send), bytes.size());
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ReceiveAllWaitsForEveryByteOverManySends) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(5000);
  std::vector<std::byte> in(bytes.size());
  TestOp receive;
  receive.as(OpKind::kReceive).on(pair.server).with(kReceiveAll).over({{in.data(), 33}, {in.data() + 33, 4967}});
  ops.submit(receive);
  for (size_t at = 0; at < bytes.size(); at += 100) {
    EXPECT_FALSE(receive.done);
    EXPECT_TRUE(ops.send(pair.client, std::span(bytes).subspan(at, 100)));
  }
  EXPECT_EQ(ops.wait_for(receive), bytes.size());
  EXPECT_EQ(in, bytes);

  TestOp cut;
  ops.submit(cut.as(OpKind::kReceive).on(pair.server).with(kReceiveAll).over(in));
  EXPECT_TRUE(ops.send(pair.client, std::span(bytes).first(7)));
  ops.close(pair.client);
  EXPECT_EQ(ops.wait_for(cut), 7U) << "the orderly end makes it short";
  EXPECT_EQ(ops.receive(pair.server, in), 0U);
  EXPECT_EQ(ops.receive(pair.server, in), 0U) << "and it stays the end";
  for (const FileId socket : {pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, SendToAPeerThatIsGoneFails) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(100);
  // The server closes with unread bytes: the client's connection is reset.
  EXPECT_TRUE(ops.send(pair.client, bytes));
  rig_->settle();
  ops.close(pair.server);
  rig_->settle();
  EXPECT_EQ(ops.receive(pair.client, bytes).error(), Errc::kConnectionClosed);
  EXPECT_EQ(ops.send(pair.client, bytes).error(), Errc::kConnectionClosed);
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ADiscardingCloseThrowsAwayWhatThePeerDidNotTake) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(size_t{32} << 20);
  TestOp send;
  ops.submit(send.as(OpKind::kSend).on(pair.server).over(bytes));
  rig_->settle();
  EXPECT_FALSE(send.done);
  TestOp shutdown;
  EXPECT_TRUE(ops.run(shutdown.as(OpKind::kShutdown).on(pair.server)));
  EXPECT_FALSE(ops.wait_for(send).has_value());
  TestOp close;
  EXPECT_TRUE(ops.run(close.as(OpKind::kClose).with(kCloseDiscard).on(pair.server)));
  rig_->settle();
  std::vector<std::byte> in(300'001);
  size_t received = 0;
  for (;;) {
    const auto got = ops.receive(pair.client, in);
    if (!got) {
      EXPECT_EQ(got.error(), Errc::kConnectionClosed);
      break;
    }
    ASSERT_GT(*got, 0U) << "an orderly end";
    received += *got;
  }
  EXPECT_LT(received, bytes.size());
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ShutdownEndsBothDirections) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  std::vector<std::byte> in(100);
  std::vector<std::byte> in_all(100);
  TestOp mine;
  TestOp theirs;
  ops.submit(mine.as(OpKind::kReceive).on(pair.server).over(in));
  ops.submit(theirs.as(OpKind::kReceive).on(pair.client).with(kReceiveAll).over(in_all));
  rig_->settle();
  EXPECT_FALSE(mine.done || theirs.done);
  TestOp shutdown;
  EXPECT_TRUE(ops.run(shutdown.as(OpKind::kShutdown).on(pair.server)));
  EXPECT_EQ(ops.wait_for(mine), 0U);
  EXPECT_EQ(ops.wait_for(theirs), 0U);
  auto bytes = pattern(10);
  EXPECT_EQ(ops.send(pair.server, bytes).error(), Errc::kConnectionClosed);
  TestOp again;
  EXPECT_TRUE(ops.run(again.as(OpKind::kShutdown).on(pair.server)));
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ShutdownOfAListenerEndsItsAccepts) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  TestOp pending;
  ops.submit(pending.as(OpKind::kAccept).on(listener.id));
  rig_->settle();
  EXPECT_FALSE(pending.done);
  TestOp shutdown;
  EXPECT_TRUE(ops.run(shutdown.as(OpKind::kShutdown).on(listener.id)));
  EXPECT_EQ(ops.wait_for(pending).error(), Errc::kInvalidArgument);
  TestOp late;
  EXPECT_EQ(ops.run(late.as(OpKind::kAccept).on(listener.id)).error(), Errc::kInvalidArgument);
  ops.close(listener.id);
}

TEST_P(BackendConformance, SelectPicksABufferOnlyWhenDataArrives) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  std::vector<Operations::Pair> pairs;
  std::deque<TestOp> receives;
  // More idle receives than there are buffers.
  const size_t count = 2 * rig_->select_buffers();
  for (size_t i = 0; i < count; ++i) {
    pairs.push_back(ops.connect(listener));
    ops.submit(receives.emplace_back().as(OpKind::kReceiveSelect).on(pairs.back().server));
  }
  rig_->settle();
  for (size_t i = count; i-- > 0;) {
    EXPECT_FALSE(receives[i].done);
    auto bytes = pattern(50 + i, i);
    EXPECT_TRUE(ops.send(pairs[i].client, bytes));
    EXPECT_EQ(ops.wait_for(receives[i]), bytes.size());
    EXPECT_EQ(receives[i].selected.size, bytes.size());
    EXPECT_TRUE(same_bytes(std::span(receives[i].selected.data, receives[i].selected.size), bytes));
    rig_->backend(0).recycle(receives[i].selected);
  }
  for (const auto& pair : pairs) {
    ops.close(pair.client);
    ops.close(pair.server);
  }
  ops.close(listener.id);
}

TEST_P(BackendConformance, SelectWaitsForABufferWhenAllAreOut) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const size_t buffers = rig_->select_buffers();
  const size_t count = buffers + 3;
  std::vector<Operations::Pair> pairs;
  std::deque<TestOp> receives;
  for (size_t i = 0; i < count; ++i) {
    pairs.push_back(ops.connect(listener));
    ops.submit(receives.emplace_back().as(OpKind::kReceiveSelect).on(pairs.back().server));
  }
  auto byte = pattern(1);
  for (const auto& pair : pairs) EXPECT_TRUE(ops.send(pair.client, byte));
  const auto done_count = [&] {
    return static_cast<size_t>(std::count_if(receives.begin(), receives.end(), [](auto& op) { return op.done; }));
  };
  rig_->settle();
  EXPECT_EQ(done_count(), buffers);
  for (size_t recycled = 0; recycled < count; ++recycled) {
    const auto ready =
        std::find_if(receives.begin(), receives.end(), [](auto& op) { return op.done && op.selected.data != nullptr; });
    ASSERT_NE(ready, receives.end());
    EXPECT_EQ(ready->outcome(), 1U);
    rig_->backend(0).recycle(std::exchange(ready->selected, Slice{}));
    const size_t expected = std::min(count, buffers + recycled + 1);
    EXPECT_TRUE(rig_->run_until([&] { return done_count() == expected; })) << expected;
  }
  for (const auto& pair : pairs) {
    ops.close(pair.client);
    ops.close(pair.server);
  }
  ops.close(listener.id);
}

TEST_P(BackendConformance, AnIdleSelectThatFoundNoBufferDoesNotBlockOneWithData) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const size_t buffers = rig_->select_buffers();
  auto byte = pattern(1);
  std::vector<Operations::Pair> pairs;
  pairs.reserve(buffers + 3);
  std::deque<TestOp> holders;
  for (size_t i = 0; i < buffers + 3; ++i) pairs.push_back(ops.connect(listener));
  for (size_t i = 0; i < buffers; ++i) {
    ops.submit(holders.emplace_back().as(OpKind::kReceiveSelect).on(pairs[i].server));
    EXPECT_TRUE(ops.send(pairs[i].client, byte));
    EXPECT_EQ(ops.wait_for(holders.back()), 1U);
  }
  TestOp idle;
  TestOp busy;
  TestOp cancelled;
  ops.submit(idle.as(OpKind::kReceiveSelect).on(pairs[buffers].server));
  ops.submit(busy.as(OpKind::kReceiveSelect).on(pairs[buffers + 1].server));
  ops.submit(cancelled.as(OpKind::kReceiveSelect).on(pairs[buffers + 2].server));
  EXPECT_TRUE(ops.send(pairs[buffers + 1].client, byte));
  rig_->settle();
  EXPECT_FALSE(busy.done);
  TestOp cancel;
  EXPECT_TRUE(ops.run(cancel.cancelling(cancelled)));
  EXPECT_EQ(ops.wait_for(cancelled).error(), Errc::kCancelled);
  rig_->backend(0).recycle(holders[0].selected);
  EXPECT_EQ(ops.wait_for(busy), 1U);
  EXPECT_FALSE(idle.done);
  ops.close(pairs[buffers].client);
  rig_->backend(0).recycle(busy.selected);
  EXPECT_EQ(ops.wait_for(idle), 0U) << "the end of the stream";
  EXPECT_EQ(idle.selected.size, 0U);
  for (size_t i = 1; i < buffers; ++i) rig_->backend(0).recycle(holders[i].selected);
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (i != buffers) ops.close(pairs[i].client);
    ops.close(pairs[i].server);
  }
  ops.close(listener.id);
}

}  // namespace
}  // namespace posthaste::reactor::testing
