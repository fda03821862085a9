// What ends an operation early, and sockets between cores, of every backend, as backend_conformance_test.cc does for
// files.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "reactor/testing/conformance_rig.h"
#include "reactor/testing/operations.h"

namespace posthaste::reactor::testing {
namespace {

TEST_P(BackendConformance, CancelEndsAReceiveAndTheSocketGoesOn) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  std::vector<std::byte> in(10);
  for (const OpKind kind : {OpKind::kReceive, OpKind::kReceiveSelect}) {
    TestOp receive;
    ops.submit(receive.as(kind).on(pair.server).over(in));
    rig_->settle();
    TestOp cancel;
    EXPECT_TRUE(ops.run(cancel.cancelling(receive)));
    EXPECT_EQ(ops.wait_for(receive).error(), Errc::kCancelled);
    // In one batch, and before the operation had a chance to begin.
    TestOp young;
    TestOp cancel_young;
    ops.submit_all({&young.as(kind).on(pair.server).over(in), &cancel_young.cancelling(young)});
    EXPECT_TRUE(ops.wait_for(cancel_young));
    EXPECT_EQ(ops.wait_for(young).error(), Errc::kCancelled);
  }
  auto bytes = pattern(10);
  EXPECT_TRUE(ops.send(pair.client, bytes));
  EXPECT_EQ(ops.receive(pair.server, in, kReceiveAll), 10U) << "no byte was lost";
  EXPECT_EQ(in, bytes);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelEndsAnAccept) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  TestOp accept;
  ops.submit(accept.as(OpKind::kAccept).on(listener.id));
  rig_->settle();
  TestOp cancel;
  EXPECT_TRUE(ops.run(cancel.cancelling(accept)));
  EXPECT_EQ(ops.wait_for(accept).error(), Errc::kCancelled);
  const auto pair = ops.connect(listener);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelEndsASendThatNobodyReads) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(size_t{32} << 20);
  TestOp send;
  const size_t third = bytes.size() / 3;
  ops.submit(send.as(OpKind::kSend)
                 .on(pair.client)
                 .over({{bytes.data(), third}, {bytes.data() + third, third}, {bytes.data() + 2 * third, third}}));
  rig_->settle();
  EXPECT_FALSE(send.done);
  TestOp cancel;
  EXPECT_TRUE(ops.run(cancel.cancelling(send)));
  EXPECT_EQ(ops.wait_for(send).error(), Errc::kCancelled);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelOfACompletedOperationFindsNothing) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(10);
  std::vector<std::byte> in(10);
  TestOp receive;
  ops.submit(receive.as(OpKind::kReceive).on(pair.server).over(in));
  EXPECT_TRUE(ops.send(pair.client, bytes));
  EXPECT_EQ(ops.wait_for(receive), 10U);
  TestOp cancel;
  EXPECT_EQ(ops.run(cancel.cancelling(receive)).error(), Errc::kNotFound);
  EXPECT_EQ(receive.outcome(), 10U);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, CancelThatRacesWithDataLosesNoByte) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  std::byte next_in{0};
  std::byte next_out{0};
  std::array<std::byte, 8> in{};
  const auto check = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(in[i], next_in);
      next_in = static_cast<std::byte>(static_cast<uint8_t>(next_in) + 1);
    }
  };
  size_t in_stream = 0;
  for (int i = 0; i < 300; ++i) {
    TestOp receive;
    TestOp cancel;
    TestOp send;
    std::array<std::byte, 1> out{next_out};
    next_out = static_cast<std::byte>(static_cast<uint8_t>(next_out) + 1);
    receive.as(OpKind::kReceive).on(pair.server).over(in);
    send.as(OpKind::kSend).on(pair.client).over(out);
    cancel.cancelling(receive);
    if (i % 3 == 0) {
      ops.submit_all({&receive, &send, &cancel});
    } else if (i % 3 == 1) {
      ops.submit_all({&receive, &cancel, &send});
    } else {
      ops.submit_all({&receive});
      ops.submit_all({&send});
      rig_->run_until([&] { return send.done; });
      ops.submit_all({&cancel});
    }
    (void)ops.wait_for(cancel);
    EXPECT_EQ(ops.wait_for(send), 1U);
    ++in_stream;
    const auto got = ops.wait_for(receive);
    if (got) {
      check(*got);
      in_stream -= *got;
    } else {
      EXPECT_EQ(got.error(), Errc::kCancelled);
    }
    if (in_stream == in.size()) {
      EXPECT_EQ(ops.receive(pair.server, in, kReceiveAll), in.size());
      check(in.size());
      in_stream = 0;
    }
  }
  EXPECT_EQ(ops.receive(pair.server, std::span(in).first(in_stream), kReceiveAll), in_stream);
  check(in_stream);
  EXPECT_EQ(next_in, next_out);
  for (const FileId socket : {pair.client, pair.server, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ASocketMovesToAnotherCore) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  const auto pair = ops.connect(listener);
  auto bytes = pattern(1000);
  EXPECT_TRUE(ops.send(pair.client, bytes));
  const int number = rig_->backend(0).detach(pair.server);
  const auto adopted = rig_->backend(1).adopt(number);
  ASSERT_TRUE(adopted);
  std::vector<std::byte> in(1000);
  EXPECT_EQ(ops.receive(*adopted, in, kReceiveAll, 1), 1000U);
  EXPECT_EQ(in, bytes);
  EXPECT_TRUE(ops.send(*adopted, bytes, 1));
  EXPECT_EQ(ops.receive(pair.client, in, kReceiveAll), 1000U);
  TestOp select;
  ops.submit(select.as(OpKind::kReceiveSelect).on(*adopted), 1);
  EXPECT_TRUE(ops.send(pair.client, std::span(bytes).first(5)));
  EXPECT_EQ(ops.wait_for(select), 5U);
  rig_->backend(1).recycle(select.selected);
  ops.close(*adopted, 1);
  EXPECT_EQ(ops.receive(pair.client, in), 0U);
  for (const FileId socket : {pair.client, listener.id}) ops.close(socket);
}

TEST_P(BackendConformance, ManyConnectionsBothWaysWithRandomSizes) {
  Operations ops(*rig_);
  const auto listener = ops.listen();
  constexpr size_t kConnections = 20;
  constexpr size_t kBytes = 200'000;
  struct Stream {
    FileId from;
    FileId to;
    std::vector<std::byte> bytes;
    std::vector<std::byte> in;
    size_t sent = 0;
    size_t received = 0;
    TestOp send;
    TestOp receive;
    bool sending = false;
    bool receiving = false;
  };
  std::deque<Stream> streams;
  std::vector<FileId> sockets{listener.id};
  for (size_t i = 0; i < kConnections; ++i) {
    const auto pair = ops.connect(listener);
    sockets.insert(sockets.end(), {pair.client, pair.server});
    for (const bool forth : {false, true}) {
      Stream& stream = streams.emplace_back();
      stream.from = forth ? pair.client : pair.server;
      stream.to = forth ? pair.server : pair.client;
      stream.bytes = pattern(kBytes, 2 * i + (forth ? 1 : 0));
      stream.in.resize(kBytes);
    }
  }
  std::mt19937_64 random(7);
  const auto size_up_to = [&](size_t left) { return std::min<size_t>(left, 1 + random() % 20'000); };
  // Settles what is done and starts the next piece; true when all is over.
  const auto step = [&] {
    bool all = true;
    for (Stream& stream : streams) {
      if (stream.sending && stream.send.done) {
        stream.sending = false;
        stream.send.done = false;
        EXPECT_TRUE(stream.send.outcome());
        stream.sent += static_cast<size_t>(stream.send.result);
      }
      if (stream.receiving && stream.receive.done) {
        stream.receiving = false;
        stream.receive.done = false;
        EXPECT_TRUE(stream.receive.outcome());
        stream.received += static_cast<size_t>(stream.receive.result);
      }
      if (!stream.sending && stream.sent < kBytes) {
        const auto piece = std::span(stream.bytes).subspan(stream.sent, size_up_to(kBytes - stream.sent));
        stream.sending = true;
        ops.submit(stream.send.as(OpKind::kSend).on(stream.from).over(piece));
      }
      if (!stream.receiving && stream.received < kBytes) {
        const auto piece = std::span(stream.in).subspan(stream.received, size_up_to(kBytes - stream.received));
        stream.receiving = true;
        const uint16_t flags = random() % 2 == 0 ? kReceiveAll : uint16_t{0};
        ops.submit(stream.receive.as(OpKind::kReceive).on(stream.to).with(flags).over(piece));
      }
      all = all && stream.received == kBytes && !stream.sending;
    }
    return all;
  };
  EXPECT_TRUE(rig_->run_until(step));
  for (const Stream& stream : streams) EXPECT_EQ(stream.in, stream.bytes);
  for (const FileId socket : sockets) ops.close(socket);
}

}  // namespace
}  // namespace posthaste::reactor::testing
