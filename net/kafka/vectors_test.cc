// Our codec against bytes made by Kafka's own library: every API, every version that the codec knows, both directions.
// The fixture and its variants are described in tests/wire/WireVectors.java, which makes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "net/kafka/frame.h"
#include "net/kafka/testing/all_messages.h"
#include "net/kafka/testing/vectors.h"

namespace posthaste::net::kafka {
namespace {

using reactor::Errc;
using reactor::Result;

const VectorFile& fixture() {
  static const VectorFile file(POSTHASTE_KAFKA_VECTORS);
  return file;
}

const std::vector<Vector>& all_vectors() { return fixture().all(); }

template <class M>
Result<std::vector<std::byte>> reencode(Bytes bytes, int16_t version) {
  const M message = TRY(decode<M>(bytes, version));
  std::vector<std::byte> out(encoded_size(message, version).total);
  Target target{.owned = out};
  encode(message, version, target);
  EXPECT_EQ(target.position, out.size());
  return out;
}

using Reencode = Result<std::vector<std::byte>> (*)(Bytes, int16_t);
struct Codec {
  Reencode request;
  Reencode response;
};

const std::map<ApiKey, Codec>& codecs() {
  static const std::map<ApiKey, Codec> all = [] {
    std::map<ApiKey, Codec> made;
    AllRequests::for_each(
        [&]<class Request> { made[Request::kKey] = {reencode<Request>, reencode<typename Request::Response>}; });
    return made;
  }();
  return all;
}

// What is no API stands under this key.
constexpr auto kNoApi = static_cast<ApiKey>(-1);

// Null for header vectors, and for records (quorum_records_test.cc).
Reencode codec_for(const Vector& vector) {
  if (vector.kind == "subscription") return reencode<ConsumerSubscription>;
  if (vector.kind == "assignment") return reencode<ConsumerAssignment>;
  if (vector.key == kNoApi) return nullptr;
  const Codec& codec = codecs().at(vector.key);
  if (vector.kind == "request") return codec.request;
  return vector.kind == "response" ? codec.response : nullptr;
}

// Decodes from a heap block of exactly the right size, so that AddressSanitizer sees a read beyond it.
Result<std::vector<std::byte>> reencode_copy(const Vector& vector, Bytes bytes) {
  const auto copy = std::make_unique<std::byte[]>(bytes.size());
  std::ranges::copy(bytes, copy.get());
  return codec_for(vector)({copy.get(), bytes.size()}, vector.version);
}

TEST(VectorsTest, CoverEveryVersionThatTheCodecKnows) {
  std::map<std::tuple<ApiKey, int16_t, std::string>, int> variants;
  for (const Vector& vector : all_vectors()) ++variants[{vector.key, vector.version, vector.kind}];
  for (const ApiInfo& info : kApis) EXPECT_TRUE(codecs().contains(info.key)) << to_string(info.key);
  for (const ApiInfo& api : kUnservedApis) EXPECT_TRUE(codecs().contains(api.key)) << to_string(api.key);
  for (const auto& [key, codec] : codecs()) {
    const ApiInfo& info = *find_messages(key);
    for (int16_t version = info.codec_min; version <= info.codec_max; ++version) {
      for (const char* kind : {"request", "response"}) {
        const int expected = info.is_flexible(version) ? 4 : 3;
        EXPECT_EQ((variants[{key, version, kind}]), expected) << to_string(key) << " v" << version << " " << kind;
      }
    }
  }
}

TEST(VectorsTest, DecodeAndEncodeGiveTheSameBytes) {
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr) continue;
    const auto bytes = reencode_copy(vector, vector.bytes);
    ASSERT_TRUE(bytes) << vector.name() << ": " << to_string(bytes.error());
    // Unknown tags are skipped, and therefore gone.
    const bool unknown = vector.variant == "unknown_tags";
    const Vector& expected = unknown ? fixture().find(vector.key, vector.version, vector.kind, "full") : vector;
    EXPECT_EQ(*bytes, expected.bytes) << vector.name();
  }
}

template <class M>
void expect_kafkas_default(const ApiInfo& info, const char* kind) {
  for (int16_t version = info.codec_min; version <= info.codec_max; ++version) {
    const M message;
    std::vector<std::byte> bytes(encoded_size(message, version).total);
    Target target{.owned = bytes};
    encode(message, version, target);
    const Vector& vector = fixture().find(M::kKey, version, kind, "default");
    EXPECT_EQ(bytes, vector.bytes) << vector.name();
  }
}

// Who makes these relies on null where Kafka's classes have empty text or an empty list.
constexpr ApiKey kOwnDefaults[] = {ApiKey::kMetadata, ApiKey::kOffsetFetch, ApiKey::kFindCoordinator,
                                   ApiKey::kJoinGroup, ApiKey::kInitProducerId};

TEST(VectorsTest, AMessageAsMadeIsKafkasDefault) {
  AllRequests::for_each([]<class Request> {
    if (std::ranges::find(kOwnDefaults, Request::kKey) != std::end(kOwnDefaults)) return;
    constexpr ApiInfo kInfo = *find_messages(Request::kKey);
    expect_kafkas_default<Request>(kInfo, "request");
    expect_kafkas_default<typename Request::Response>(kInfo, "response");
  });
}

TEST(VectorsTest, RequestHeaders) {
  for (const Vector& vector : all_vectors()) {
    if (vector.kind != "request_header") continue;
    const auto request = decode_request_header(vector.bytes);
    ASSERT_TRUE(request) << vector.name();
    EXPECT_EQ(request->header.api, vector.key);
    EXPECT_EQ(request->header.version, vector.version);
    EXPECT_EQ(request->header.correlation_id, 0x01020304);
    const NullableString client_id = vector.variant == "full" ? NullableString("client") : std::nullopt;
    if (find_api(vector.key) != nullptr) {
      EXPECT_EQ(request->support, RequestSupport::kKnown);
      EXPECT_EQ(request->header.client_id, client_id);
      EXPECT_TRUE(request->body.empty()) << vector.name();
    } else {
      EXPECT_EQ(request->support, RequestSupport::kUnknownApi) << vector.name();
    }
    const RequestHeader sent{vector.key, vector.version, 0x01020304, client_id};
    const Frame frame = detail::start_request(sent, {});
    EXPECT_TRUE(std::ranges::equal(Bytes(frame.owned).subspan(kFrameLengthSize), vector.bytes)) << vector.name();
  }
}

TEST(VectorsTest, ResponseHeaders) {
  for (const Vector& vector : all_vectors()) {
    if (vector.kind != "response_header") continue;
    const auto response = decode_response_header(vector.bytes, vector.key, vector.version);
    ASSERT_TRUE(response) << vector.name();
    EXPECT_EQ(response->correlation_id, 0x01020304);
    EXPECT_TRUE(response->body.empty()) << vector.name();
    const Frame frame = detail::start_response(vector.key, vector.version, 0x01020304, {});
    EXPECT_TRUE(std::ranges::equal(Bytes(frame.owned).subspan(kFrameLengthSize), vector.bytes)) << vector.name();
  }
}

TEST(VectorsTest, TrailingBytesAreTolerated) {
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr || vector.variant == "unknown_tags") continue;
    std::vector<std::byte> longer = vector.bytes;
    longer.resize(longer.size() + 3, std::byte{0xFF});
    const auto bytes = reencode_copy(vector, longer);
    ASSERT_TRUE(bytes) << vector.name();
    EXPECT_EQ(*bytes, vector.bytes) << vector.name();
  }
}

TEST(VectorsTest, EveryTruncationIsAnError) {
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr) continue;
    for (size_t size = 0; size < vector.bytes.size(); ++size) {
      const auto bytes = reencode_copy(vector, Bytes(vector.bytes).first(size));
      ASSERT_FALSE(bytes) << vector.name() << " cut to " << size;
      // A cut inside a count or a tag's size reads as an impossible one.
      ASSERT_TRUE(bytes.error() == Errc::kTruncated || bytes.error() == Errc::kCorrupt) << vector.name();
    }
  }
}

// Whatever still decodes must encode again; the rest must be an error. Runs under AddressSanitizer in the asan preset.
TEST(VectorsTest, DamagedBytesNeverCrash) {
  constexpr std::byte kMasks[] = {std::byte{0x01}, std::byte{0x10}, std::byte{0x80}, std::byte{0xFF}};
  size_t decoded = 0;
  size_t refused = 0;
  for (const Vector& vector : all_vectors()) {
    if (codec_for(vector) == nullptr) continue;
    std::vector<std::byte> damaged = vector.bytes;
    for (std::byte& byte : damaged) {
      const std::byte whole = byte;
      for (const std::byte mask : kMasks) {
        byte = whole ^ mask;
        ++(reencode_copy(vector, damaged) ? decoded : refused);
      }
      byte = whole;
    }
  }
  EXPECT_GT(decoded, 0U);
  EXPECT_GT(refused, 0U);
}

}  // namespace
}  // namespace posthaste::net::kafka
