// Rules of the codec that whole vectors do not show: what hostile counts, lengths and tags get, what an old version
// cannot say, and that a message of our own (no API) can use the codec too.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "net/kafka/codec_implementation.h"
#include "net/kafka/consumer_protocol.h"
#include "net/kafka/errors.h"
#include "net/kafka/fetch.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"
#include "net/kafka/produce.h"

namespace posthaste::net::kafka {

// One field of each kind that the served APIs lack, in a message that is no API. Flexible from version 1.
struct OddMessage {
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 3, .first_flexible = 1};

  struct Inner {
    uint16_t port = 0;

    friend bool operator==(const Inner&, const Inner&) = default;
    static constexpr void fields(auto& self, auto& field) { field(self.port); }
  };

  uint32_t number = 0;
  double ratio = 0;
  std::optional<Bytes> blob;
  bool flag = false;
  Inner inner;
  int32_t level = 7;
  std::vector<Inner> ports;

  static constexpr void fields(auto& self, auto& field) {
    field(self.number);
    field(self.ratio, since(2));
    field(self.blob, since(0).nullable(1));
    field(self.flag, between(0, 1));
    field.tagged(0, self.inner, since(1));
    field.tagged(1, self.level, since(2), /*absent=*/7);
    field.tagged(200, self.ports, since(3));
  }
};

POSTHASTE_KAFKA_MESSAGE(OddMessage);

namespace {

using reactor::Errc;

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

template <class M>
std::vector<std::byte> encoded(const M& message, int16_t version) {
  std::vector<std::byte> bytes(encoded_size(message, version).total);
  Target target{.owned = bytes};
  encode(message, version, target);
  EXPECT_EQ(target.position, bytes.size());
  return bytes;
}

template <class M>
Errc error_of(std::initializer_list<int> bytes, int16_t version) {
  const auto message = decode<M>(bytes_of(bytes), version);
  return message ? Errc{} : message.error();
}

TEST(CodecTest, VersionsOutsideTheTableAreUnsupported) {
  EXPECT_EQ(error_of<MetadataRequest>({0, 0, 0, 0}, -1), Errc::kUnsupported);
  EXPECT_EQ(error_of<MetadataRequest>({0, 0, 0, 0}, 14), Errc::kUnsupported);
  EXPECT_EQ(error_of<FetchRequest>({0, 0, 0, 0}, 3), Errc::kUnsupported);
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 0}, 4), Errc::kUnsupported);
}

TEST(CodecTest, ACountBeyondTheBytesTakesNoMemory) {
  // Metadata version 1: an array of 2^31-1 topics in 4 bytes; version 9: a compact array of 2^32-2.
  EXPECT_EQ(error_of<MetadataRequest>({0x7F, 0xFF, 0xFF, 0xFF}, 1), Errc::kTruncated);
  EXPECT_EQ(error_of<MetadataRequest>({0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0}, 9), Errc::kTruncated);
  // Four int32 partitions need 16 bytes, not 4: OffsetForLeader-like arrays of numbers are checked by their size.
  EXPECT_EQ(
      error_of<FetchRequest>({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  // up to the session id
                              0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,                       // a forgotten topic
                              0, 0, 0, 4, 0, 0, 0, 1},
                             7),
      Errc::kTruncated);
}

TEST(CodecTest, ArraysTogetherStayWithinTheAllocationLimit) {
  MetadataRequest message;
  message.topics.emplace().resize(1000);
  const auto bytes = encoded(message, 8);
  constexpr size_t kNeeded = 1000 * sizeof(MetadataRequest::Topic);
  EXPECT_TRUE(decode<MetadataRequest>(bytes, 8, kNeeded));
  const auto refused = decode<MetadataRequest>(bytes, 8, kNeeded - 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Errc::kLimit);

  // Each array alone is below the limit; their sum is not.
  ProduceRequest produce;
  produce.topic_data.resize(10);
  for (auto& topic : produce.topic_data) topic.partition_data.resize(10);
  constexpr size_t kTopics = 10 * sizeof(ProduceRequest::Topic);
  constexpr size_t kPartitions = 100 * sizeof(ProduceRequest::Topic::Partition);
  const auto body = encoded(produce, 9);
  EXPECT_TRUE(decode<ProduceRequest>(body, 9, kTopics + kPartitions));
  EXPECT_FALSE(decode<ProduceRequest>(body, 9, kTopics + kPartitions - 1));
}

TEST(CodecTest, NegativeLengthsOtherThanNullAreCorrupt) {
  EXPECT_EQ(error_of<MetadataRequest>({0xFF, 0xFF, 0xFF, 0xFE}, 1), Errc::kCorrupt);   // array of -2
  EXPECT_EQ(error_of<MetadataRequest>({0, 0, 0, 1, 0xFF, 0xFE}, 1), Errc::kCorrupt);   // string of -2
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 0, 0x80, 0, 0, 0, 0}, 0), Errc::kCorrupt);  // bytes of -2^31
}

TEST(CodecTest, NullWhereNoneMayBeIsCorrupt) {
  EXPECT_EQ(error_of<MetadataRequest>({0xFF, 0xFF, 0xFF, 0xFF}, 0), Errc::kCorrupt);  // nullable from version 1
  EXPECT_EQ(error_of<MetadataRequest>({0xFF, 0xFF, 0xFF, 0xFF}, 1), Errc{});
  EXPECT_EQ(error_of<MetadataRequest>({0, 0, 0, 1, 0xFF, 0xFF}, 1), Errc::kCorrupt);  // a name: from version 10
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0}, 0), Errc::kCorrupt);
  EXPECT_EQ(error_of<HeartbeatRequest>({0}, 4), Errc::kCorrupt);  // compact null as group id
}

TEST(CodecTest, ACompactStringIsNoLongerThanAnOldOne) {
  HeartbeatRequest message;
  const std::string longest(kStringLimit, 'x');
  message.group_id = longest;
  auto bytes = encoded(message, 4);
  EXPECT_TRUE(decode<HeartbeatRequest>(bytes, 4));
  // Length 32768: varint 32769. The byte that is missing then is the following field's.
  bytes[0] = std::byte{0x81};
  const auto refused = decode<HeartbeatRequest>(bytes, 4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Errc::kCorrupt);
}

TEST(CodecTest, TooLongStringsAreCutOnEncode) {
  HeartbeatRequest message;
  const std::string too_long(kStringLimit + 10, 'x');
  message.group_id = too_long;
  for (const int16_t version : {int16_t{0}, int16_t{4}}) {
    const auto bytes = encoded(message, version);
    const auto back = decode<HeartbeatRequest>(bytes, version);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->group_id.size(), kStringLimit);
  }
}

TEST(CodecTest, NullBecomesEmptyWhereAVersionHasNoNull) {
  MetadataRequest message;  // topics is null
  EXPECT_EQ(encoded(message, 0), bytes_of({0, 0, 0, 0}));
  EXPECT_EQ(encoded(message, 1), bytes_of({0xFF, 0xFF, 0xFF, 0xFF}));
  MetadataResponse response;
  response.topics.emplace_back();
  const auto bytes = encoded(response, 1);
  const auto back = decode<MetadataResponse>(bytes, 1);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->topics.at(0).name, "");
}

TEST(CodecTest, BadVarintsAreCorrupt) {
  EXPECT_EQ(error_of<HeartbeatRequest>({0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 4), Errc::kCorrupt);  // six bytes
  EXPECT_EQ(error_of<HeartbeatRequest>({0xFF, 0xFF, 0xFF, 0xFF, 0x1F}, 4), Errc::kCorrupt);        // more than 32 bits
  EXPECT_EQ(error_of<HeartbeatRequest>({0xFF, 0xFF}, 4), Errc::kTruncated);
}

TEST(CodecTest, TaggedFieldsMustFillTheirStatedSize) {
  // Version 1 of OddMessage: number, null blob, flag, then the tags. Tag 0 is `inner`: a port and its own empty
  // section.
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 1, 0, 1, 1, 0, 3, 0x23, 0x84, 0}, 1), Errc{});
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 1, 0, 1, 1, 0, 4, 0x23, 0x84, 0, 0}, 1), Errc::kCorrupt);
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 1, 0, 1, 1, 0, 2, 0x23, 0x84, 0}, 1), Errc::kTruncated);
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 1, 0, 1, 1, 0, 9, 0x23, 0x84, 0}, 1), Errc::kTruncated);
  // A section that claims more tags than there are bytes.
  EXPECT_EQ(error_of<OddMessage>({0, 0, 0, 1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}, 1), Errc::kTruncated);
  // An unknown tag before and after a known one.
  const auto bytes = bytes_of({0, 0, 0, 1, 0, 1, 3, 0xC8, 0x01, 1, 0xEE, 0, 3, 0x23, 0x84, 0, 0xC9, 0x01, 0});
  const auto message = decode<OddMessage>(bytes, 1);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->inner.port, 9092);
  EXPECT_TRUE(message->ports.empty());  // tag 200 is not of version 1
}

TEST(CodecTest, EveryKindOfFieldInEveryVersion) {
  const auto blob = bytes_of({1, 2, 3});
  OddMessage message;
  message.number = 0xFEDCBA98;
  message.ratio = -0.25;
  message.blob = Bytes(blob);
  message.flag = true;
  message.inner.port = 65535;
  message.level = 0;  // not the default: goes out, although it is zero
  message.ports.resize(2);
  EXPECT_EQ(encoded(message, 0), bytes_of({0xFE, 0xDC, 0xBA, 0x98, 0, 0, 0, 3, 1, 2, 3, 1}));
  EXPECT_EQ(encoded(message, 1), bytes_of({0xFE, 0xDC, 0xBA, 0x98, 4, 1, 2, 3, 1, 1, 0, 3, 0xFF, 0xFF, 0}));
  const auto bytes = encoded(message, 3);
  const auto back = decode<OddMessage>(bytes, 3);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->number, message.number);
  EXPECT_EQ(back->ratio, message.ratio);
  ASSERT_TRUE(back->blob);
  EXPECT_TRUE(std::ranges::equal(*back->blob, blob));
  EXPECT_FALSE(back->flag);  // gone since version 2
  EXPECT_EQ(back->inner, message.inner);
  EXPECT_EQ(back->level, 0);
  EXPECT_EQ(back->ports.size(), 2U);
  message.level = 7;
  EXPECT_EQ(decode<OddMessage>(encoded(message, 3), 3)->level, 7);
  EXPECT_LT(encoded(message, 3).size(), bytes.size());
}

TEST(CodecDeathTest, ATargetTooSmallOrAVersionUnknownIsOurBug) {
  HeartbeatRequest message;
  message.group_id = "group";
  std::vector<std::byte> bytes(encoded_size(message, 0).total - 1);
  Target target{.owned = bytes};
  EXPECT_DEATH(encode(message, 0, target), "encoded_size");
  EXPECT_DEATH(encoded_size(message, 99), "version 99 cannot be encoded");
}

TEST(ConsumerProtocolTest, ANewerVersionIsReadAsOurNewest) {
  ConsumerSubscription subscription;
  subscription.topics = {"orders", "deliveries"};
  subscription.rack_id = "r1";
  auto bytes = encode_subscription(subscription, 3);
  bytes[1] = std::byte{9};
  bytes.resize(bytes.size() + 4);
  const auto read = decode_subscription(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->topics, subscription.topics);
  EXPECT_EQ(read->rack_id, "r1");
  bytes[0] = std::byte{0xFF};
  EXPECT_EQ(decode_subscription(bytes).error(), Errc::kUnsupported);
  EXPECT_EQ(decode_subscription(Bytes(bytes).first(1)).error(), Errc::kTruncated);
}

TEST(ConsumerProtocolTest, AssignmentRoundTrip) {
  ConsumerAssignment assignment;
  assignment.assigned_partitions.push_back({.topic = "orders", .partitions = {0, 2}});
  const auto bytes = encode_assignment(assignment, 0);
  EXPECT_EQ(bytes, bytes_of({0, 0, 0, 0, 0, 1, 0, 6, 'o', 'r', 'd', 'e',  'r',  's',  0,
                             0, 0, 2, 0, 0, 0, 0, 0, 0,   0,   2,   0xFF, 0xFF, 0xFF, 0xFF}));
  const auto read = decode_assignment(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->assigned_partitions.at(0).topic, "orders");
  EXPECT_EQ(read->assigned_partitions.at(0).partitions, (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(read->user_data, std::nullopt);
}

TEST(UuidTest, TextFormIsKafkas) {
  Uuid uuid;
  EXPECT_EQ(to_string(uuid), "AAAAAAAAAAAAAAAAAAAAAA");
  // Kafka's Uuid(0x1122334455667788, 0x99AABBCCDDEEFF00).toString().
  for (size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes.at(i) = static_cast<std::byte>((i + 1) % 16 * 0x11);
  EXPECT_EQ(to_string(uuid), "ESIzRFVmd4iZqrvM3e7_AA");
  EXPECT_EQ(parse_uuid(to_string(uuid)), uuid);
  for (const char* bad : {"", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAA+AAAAAAAAAAA",
                          "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA="}) {
    EXPECT_EQ(parse_uuid(bad), std::nullopt) << bad;
  }
}

TEST(ErrorsTest, NamesAndRetries) {
  EXPECT_EQ(to_string(ErrorCode::kUnknownServerError), "UNKNOWN_SERVER_ERROR");
  EXPECT_EQ(to_string(ErrorCode::kNotLeaderOrFollower), "NOT_LEADER_OR_FOLLOWER");
  EXPECT_EQ(to_string(static_cast<ErrorCode>(9999)), "UNKNOWN_ERROR_CODE");
  EXPECT_TRUE(is_retriable(ErrorCode::kNotEnoughReplicas));
  EXPECT_FALSE(is_retriable(ErrorCode::kNone));
  EXPECT_FALSE(is_retriable(ErrorCode::kTopicAlreadyExists));
}

}  // namespace
}  // namespace posthaste::net::kafka
