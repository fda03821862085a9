// Each message of the stream as a frame and back; what is cut, unknown or too new is refused.
#include "replication/stream/messages.h"

#include <gtest/gtest.h>

#include <array>

#include "storage/bytes/endian.h"

namespace posthaste::replication::stream {
namespace {

using net::kafka::Bytes;
using reactor::Errc;

std::vector<std::byte> body_of(const Message& message) {
  std::vector<std::byte> frame = encode_frame(message).flatten();
  EXPECT_EQ(storage::load_be<int32_t>(frame.data()), static_cast<int32_t>(frame.size() - 4));
  return {frame.begin() + 4, frame.end()};
}

// The message that its bytes are; no beginning of them is one, and nothing may stand behind.
template <class M>
M round_trip(const M& message) {
  const std::vector<std::byte> body = body_of(message);
  auto decoded = decode_message(body);
  EXPECT_TRUE(decoded.has_value());
  EXPECT_TRUE(std::holds_alternative<M>(*decoded));
  EXPECT_EQ(body_of(*decoded), body);
  for (size_t length = 0; length < body.size(); ++length) {
    EXPECT_FALSE(decode_message(Bytes(body).first(length)).has_value()) << length;
  }
  std::vector<std::byte> longer = body;
  longer.push_back(std::byte{1});
  EXPECT_FALSE(decode_message(longer).has_value());
  // Views die with `body`.
  return std::get<M>(*decoded);
}

Uuid some_id() {
  Uuid id;
  id.bytes[3] = std::byte{7};
  return id;
}

TEST(StreamMessages, EachComesBackAsItWas) {
  const Open open = round_trip(Open{.cluster_id = "c1",
                                    .from_broker = 2,
                                    .from_broker_epoch = 33,
                                    .incarnation = some_id(),
                                    .to_broker = 4,
                                    .core = 5,
                                    .cores = 8,
                                    .stream_class = StreamClass::kCatchUp,
                                    .version_min = 0,
                                    .version_max = 9,
                                    .window_bytes = 1 << 23,
                                    .to_core = 6});
  EXPECT_EQ(open.to_core, 6);
  EXPECT_EQ(open.cluster_id, "c1");
  EXPECT_EQ(open.from_broker_epoch, 33);
  EXPECT_EQ(open.stream_class, StreamClass::kCatchUp);
  EXPECT_EQ(open.from_broker, 2);
  EXPECT_EQ(open.incarnation, some_id());
  EXPECT_EQ(open.to_broker, 4);
  EXPECT_EQ(open.core, 5);
  EXPECT_EQ(open.cores, 8);
  EXPECT_EQ(open.version_max, 9);
  EXPECT_EQ(open.window_bytes, 1 << 23);
  const Subscribe subscribe = round_trip(Subscribe{.subscription = 7,
                                                   .topic_id = some_id(),
                                                   .partition = 3,
                                                   .leader_epoch = 5,
                                                   .leader_broker_epoch = 50,
                                                   .end = 100,
                                                   .last_epoch = 4,
                                                   .durable = 90,
                                                   .log_start = 10});
  EXPECT_EQ(subscribe.subscription, 7);
  EXPECT_EQ(subscribe.topic_id, some_id());
  EXPECT_EQ(subscribe.partition, 3);
  EXPECT_EQ(subscribe.leader_epoch, 5);
  EXPECT_EQ(subscribe.leader_broker_epoch, 50);
  EXPECT_EQ(subscribe.log_start, 10);
  EXPECT_EQ(subscribe.end, 100);
  EXPECT_EQ(subscribe.last_epoch, 4);
  EXPECT_EQ(subscribe.durable, 90);
  EXPECT_EQ(round_trip(Unsubscribe{.subscription = 8}).subscription, 8);
  EXPECT_EQ(round_trip(HighWatermark{.subscription = 1, .high_watermark = 2, .log_start = 3}).log_start, 3);
  EXPECT_EQ(round_trip(Diverge{.subscription = 1, .epoch = 2, .end_offset = 3}).end_offset, 3);
  const End end = round_trip(
      End{.subscription = 1, .reason = EndReason::kOutOfRange, .leader_hint = 2, .log_start = 30, .message = "gone"});
  EXPECT_EQ(end.reason, EndReason::kOutOfRange);
  EXPECT_EQ(end.leader_hint, 2);
  EXPECT_EQ(end.log_start, 30);
  EXPECT_EQ(end.message, "gone");
  EXPECT_EQ(end.core_hint, -1);
  EXPECT_EQ(round_trip(End{.subscription = 1, .reason = EndReason::kOtherCore, .core_hint = 3}).core_hint, 3);
  const Ack ack = round_trip(Ack{.progress = {{1, 2, 3, 4}, {5, 6, 7, 8}}});
  EXPECT_EQ(ack.progress[1], (Ack::Progress{5, 6, 7, 8}));
  EXPECT_EQ(round_trip(Credit{.bytes = 77}).bytes, 77);
  EXPECT_EQ(round_trip(Ping{.time_ms = 1, .broker_epoch = 2}).broker_epoch, 2);
}

TEST(StreamMessages, BatchesAreSplicedAndComeBackWhole) {
  std::array<std::byte, 300> batch{};
  batch[299] = std::byte{9};
  const std::array<Bytes, 2> pieces{Bytes(batch).first(100), Bytes(batch).subspan(100)};
  Data data{.subscription = 1,
            .leader_epoch = 2,
            .prev_next_offset = 30,
            .prev_epoch = 1,
            .high_watermark = 20,
            .log_start = 5,
            .epochs = {{2, 30}},
            .rolling_hash = -3};
  data.batches.pieces = pieces;
  const Frame frame = encode_frame(data);
  EXPECT_EQ(frame.splices.size(), 2U) << "not copied";
  const std::vector<std::byte> bytes = frame.flatten();
  const auto decoded = decode_message(Bytes(bytes).subspan(4));
  ASSERT_TRUE(decoded.has_value());
  const Data& back = std::get<Data>(*decoded);
  EXPECT_TRUE(std::ranges::equal(back.batches.whole, batch));
  EXPECT_EQ(back.subscription, 1);
  EXPECT_EQ(back.leader_epoch, 2);
  EXPECT_EQ(back.log_start, 5);
  EXPECT_EQ(back.prev_next_offset, 30);
  EXPECT_EQ(back.prev_epoch, 1);
  EXPECT_EQ(back.high_watermark, 20);
  EXPECT_EQ(back.epochs, data.epochs);
  EXPECT_EQ(back.rolling_hash, -3);
}

TEST(StreamMessages, WhatIsUnknownIsRefused) {
  std::vector<std::byte> body = body_of(Credit{.bytes = 1});
  EXPECT_EQ(decode_message(body, kVersionMax + 1).error(), Errc::kUnsupported) << "a version of another release";
  storage::store_be<int16_t>(body.data(), 11);
  EXPECT_EQ(decode_message(body).error(), Errc::kUnsupported) << "a type of another release";
}

TEST(StreamMessages, TheNewestVersionThatBothHave) {
  EXPECT_EQ(common_version({.version_min = 0, .version_max = 3}, {.version_min = 1, .version_max = 5}), 3);
  EXPECT_EQ(common_version({.version_min = 4, .version_max = 5}, {.version_min = 1, .version_max = 3}).error(),
            Errc::kUnsupported);
}

}  // namespace
}  // namespace posthaste::replication::stream
