// Headers, framing and the gather list, with bytes written down by hand from Kafka's protocol guide.
#include "net/kafka/frame.h"

#include <gtest/gtest.h>

#include <string>

#include "net/kafka/api_versions.h"
#include "net/kafka/broker_apis.h"
#include "net/kafka/fetch.h"
#include "net/kafka/metadata.h"

namespace posthaste::net::kafka {
namespace {

using reactor::Errc;

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

Bytes view(std::string_view text) { return std::as_bytes(std::span(text)); }

Bytes without_prefix(Bytes frame) { return frame.subspan(kFrameLengthSize); }

TEST(RequestHeaderTest, Version1HasAnInt16ClientId) {
  const auto frame = bytes_of({0, 3, 0, 8, 0, 0, 0, 7, 0, 2, 'm', 'e', 0xAA});
  const auto request = decode_request_header(frame);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->support, RequestSupport::kKnown);
  EXPECT_EQ(request->header.api, ApiKey::kMetadata);
  EXPECT_EQ(request->header.version, 8);
  EXPECT_EQ(request->header.correlation_id, 7);
  EXPECT_EQ(request->header.client_id, "me");
  ASSERT_EQ(request->body.size(), 1U);
  EXPECT_EQ(request->body[0], std::byte{0xAA});
}

TEST(RequestHeaderTest, Pitfall18Version2KeepsTheInt16ClientIdAndSkipsUnknownTags) {
  const auto frame = bytes_of({0, 3, 0, 9, 0, 0, 0, 7, 0xFF, 0xFF, 1, 5, 2, 0x11, 0x22, 0xAA});
  const auto request = decode_request_header(frame);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->header.client_id, std::nullopt);
  ASSERT_EQ(request->body.size(), 1U);
  EXPECT_EQ(request->body[0], std::byte{0xAA});
}

TEST(RequestHeaderTest, UnknownApiAndVersionStillYieldTheCorrelationId) {
  const auto unknown_api = decode_request_header(bytes_of({0x7F, 0, 0, 0, 0, 0, 0, 9, 0}));
  ASSERT_TRUE(unknown_api);
  EXPECT_EQ(unknown_api->support, RequestSupport::kUnknownApi);
  EXPECT_EQ(unknown_api->header.correlation_id, 9);
  const auto unknown_version = decode_request_header(bytes_of({0, 18, 0, 99, 0, 0, 0, 9}));
  ASSERT_TRUE(unknown_version);
  EXPECT_EQ(unknown_version->support, RequestSupport::kUnknownVersion);
  EXPECT_EQ(unknown_version->header.api, ApiKey::kApiVersions);
  EXPECT_EQ(unknown_version->header.correlation_id, 9);
}

TEST(RequestHeaderTest, WhatIsKnownIsTheListenersToSay) {
  const auto vote = bytes_of({0, 52, 0, 2, 0, 0, 0, 9, 0, 2, 'm', 'e', 0, 0xAA});
  EXPECT_EQ(decode_request_header(vote)->support, RequestSupport::kUnknownApi);
  const auto between_brokers = decode_request_header(vote, kServedToBrokers);
  ASSERT_TRUE(between_brokers);
  EXPECT_EQ(between_brokers->support, RequestSupport::kKnown);
  EXPECT_EQ(between_brokers->header.client_id, "me");
  ASSERT_EQ(between_brokers->body.size(), 1U);
  const auto metadata = bytes_of({0, 3, 0, 9, 0, 0, 0, 7, 0, 2, 'm', 'e', 0, 0xAA});
  EXPECT_EQ(decode_request_header(metadata)->support, RequestSupport::kKnown);
  EXPECT_EQ(decode_request_header(metadata, kServedToBrokers)->support, RequestSupport::kUnknownApi);
}

TEST(RequestHeaderTest, EveryTruncationIsAnError) {
  const auto frame = bytes_of({0, 3, 0, 9, 0, 0, 0, 7, 0, 2, 'm', 'e', 1, 5, 2, 0x11, 0x22});
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_FALSE(decode_request_header(Bytes(frame).first(size))) << size;
  }
  EXPECT_TRUE(decode_request_header(frame));
}

TEST(RequestHeaderTest, NegativeClientIdLengthIsCorrupt) {
  const auto request = decode_request_header(bytes_of({0, 3, 0, 8, 0, 0, 0, 7, 0xFF, 0xFE, 0, 0, 0, 0}));
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error(), Errc::kCorrupt);
}

TEST(ResponseHeaderTest, ApiVersionsAlwaysHasVersion0) {
  ApiVersionsResponse body;
  const auto frame = encode_response(body, 3, 0x01020304).flatten();
  // length, correlation id; then the body: error 0, empty compact array, throttle 0, no tags.
  EXPECT_EQ(frame, bytes_of({0, 0, 0, 12, 1, 2, 3, 4, 0, 0, 1, 0, 0, 0, 0, 0}));
  const auto response = decode_response_header(without_prefix(frame), ApiKey::kApiVersions, 3);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->correlation_id, 0x01020304);
  EXPECT_EQ(response->body.size(), 8U);
}

TEST(ResponseHeaderTest, FlexibleResponsesHaveVersion1) {
  MetadataResponse body;
  body.cluster_id = "c";
  const auto flexible = encode_response(body, 9, 5).flatten();
  EXPECT_EQ(flexible[kFrameLengthSize + 4], std::byte{0});
  const auto old = encode_response(body, 8, 5).flatten();
  for (const int16_t version : {int16_t{8}, int16_t{9}}) {
    const auto response =
        decode_response_header(without_prefix(version == 8 ? old : flexible), ApiKey::kMetadata, version);
    ASSERT_TRUE(response);
    const auto message = decode<MetadataResponse>(response->body, version);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->cluster_id, "c");
  }
}

TEST(FrameTest, RequestRoundTrip) {
  MetadataRequest body;
  body.topics.emplace().push_back({.name = "orders"});
  for (int16_t version = 0; version <= 13; ++version) {
    const auto frame = encode_request(body, version, 42, "client");
    EXPECT_TRUE(frame.splices.empty());
    const auto bytes = frame.flatten();
    const auto request = decode_request_header(without_prefix(bytes));
    ASSERT_TRUE(request) << version;
    EXPECT_EQ(request->header.correlation_id, 42);
    EXPECT_EQ(request->header.client_id, "client");
    const auto message = decode<MetadataRequest>(request->body, version);
    ASSERT_TRUE(message) << version;
    ASSERT_TRUE(message->topics);
    ASSERT_EQ(message->topics->size(), 1U);
    EXPECT_EQ(message->topics->front().name, "orders");
  }
}

// A Fetch response of two partitions whose records lie in three pieces elsewhere.
TEST(FrameTest, RecordsAreSplicedAndNeverCopied) {
  const std::string first = "first";
  const std::string second = "second piece";
  const std::string third = "3";
  const Bytes pieces[] = {view(second), view(third)};
  FetchResponse body;
  auto& topic = body.responses.emplace_back();
  topic.topic = "t";
  topic.partitions.resize(3);
  topic.partitions[0].records.whole = view(first);
  topic.partitions[1].records.pieces = pieces;
  for (const int16_t version : {int16_t{4}, int16_t{11}, int16_t{12}}) {
    const EncodedSize size = encoded_size(body, version);
    EXPECT_EQ(size.external, first.size() + second.size() + third.size());
    const Frame frame = encode_response(body, version, 1);
    reactor::RecycledVector<Bytes> slices;
    frame.append_slices(slices);
    ASSERT_EQ(slices.size(), 6U);
    EXPECT_EQ(slices[1].data(), view(first).data());
    EXPECT_EQ(slices[3].data(), view(second).data());
    EXPECT_EQ(slices[4].data(), view(third).data());
    const auto bytes = frame.flatten();
    EXPECT_EQ(bytes.size(), frame.size());
    const auto response = decode_response_header(without_prefix(bytes), ApiKey::kFetch, version);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->body.size(), size.total);
    const auto message = decode<FetchResponse>(response->body, version);
    ASSERT_TRUE(message);
    const auto& partitions = message->responses.at(0).partitions;
    const auto text = [](Bytes records) {
      return std::string_view(reinterpret_cast<const char*>(records.data()), records.size());
    };
    EXPECT_EQ(text(partitions.at(0).records.whole), "first");
    EXPECT_EQ(text(partitions.at(1).records.whole), "second piece3");
    EXPECT_FALSE(partitions.at(2).records.is_null);
    EXPECT_TRUE(partitions.at(2).records.whole.empty());
    // Records are views of the frame.
    EXPECT_GE(partitions.at(0).records.whole.data(), bytes.data());
    EXPECT_LT(partitions.at(0).records.whole.data(), bytes.data() + bytes.size());
    // Without a splice list the same bytes come out contiguous.
    std::vector<std::byte> contiguous(size.total);
    Target target{.owned = contiguous};
    encode(body, version, target);
    EXPECT_TRUE(std::ranges::equal(contiguous, response->body));
  }
}

}  // namespace
}  // namespace posthaste::net::kafka
