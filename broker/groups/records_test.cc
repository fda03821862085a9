// Records of __consumer_offsets: Kafka's bytes by hand, all versions that Kafka ever wrote, and hostile bytes.
#include "broker/groups/records.h"

#include <gtest/gtest.h>

namespace posthaste::broker {
namespace {

using reactor::Errc;

std::string bytes(std::string_view text) { return std::string(text); }
#define BYTES(literal) bytes(std::string_view(literal, sizeof(literal) - 1))  // zero bytes included

GroupMetadataValue some_group() {
  GroupMetadataValue value;
  value.protocol_type = "consumer";
  value.generation = 7;
  value.protocol = "range";
  value.leader = "m1";
  value.current_state_timestamp = 1234;
  value.members = {{"m1", "s1", "c1", "/h1", 60'000, 10'000, {"sub"}, {"asg"}},
                   {"m2", std::nullopt, "", "", 300'000, 45'000, {""}, {std::string(3, '\0')}}};
  return value;
}

TEST(GroupRecords, KeysAreKafkas) {
  EXPECT_EQ(encode(OffsetCommitKey{"g", "tp", 258}), BYTES("\x00\x01\x00\x01g\x00\x02tp\x00\x00\x01\x02"));
  EXPECT_EQ(encode(GroupMetadataKey{"grp"}), BYTES("\x00\x02\x00\x03grp"));
}

TEST(GroupRecords, OffsetValuesAreKafkas) {
  // Version 3: offset, leader epoch, metadata, commit time.
  EXPECT_EQ(encode(OffsetCommitValue{5, 2, "m", 9, -1}),
            BYTES("\x00\x03\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x02\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09"));
  // Version 1, because it expires by itself: offset, metadata, commit time, expiry.
  EXPECT_EQ(
      encode(OffsetCommitValue{5, 2, "m", 9, 10}),
      BYTES("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00\x00\x00"
            "\x00\x00\x0a"));
}

TEST(GroupRecords, GroupValuesAreKafkas) {
  GroupMetadataValue value;
  value.protocol_type = "c";
  value.generation = 1;
  value.current_state_timestamp = 2;
  // Version 3 of an empty group: no protocol, no leader, no members.
  EXPECT_EQ(encode(value), BYTES("\x00\x03\x00\x01"
                                 "c\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00"));
  value.protocol = "r";
  value.leader = "m";
  value.members = {{"m", std::nullopt, "i", "h", 3, 4, {"s"}, {"a"}}};
  EXPECT_EQ(encode(value),
            BYTES("\x00\x03\x00\x01"
                  "c\x00\x00\x00\x01\x00\x01r\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01"
                  "\x00\x01m\xff\xff\x00\x01i\x00\x01h\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x01s\x00\x00\x00\x01"
                  "a"));
}

std::string from_hex(std::string_view hex) {
  std::string read;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    read.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return read;
}

// Recorded from the program that wrote the first folders: a log from then must load, and what is written now is still
// the same.
TEST(GroupRecords, RecordedBytesOfEachKindAreReadAndWritten) {
  const std::string offset_key = from_hex("0001000567726f757000066f726465727300000102");
  EXPECT_EQ(std::get<OffsetCommitKey>(decode_group_key(offset_key).value()), (OffsetCommitKey{"group", "orders", 258}));
  EXPECT_EQ(encode(OffsetCommitKey{"group", "orders", 258}), offset_key);
  const std::string group_key = from_hex("0002000567726f7570");
  EXPECT_EQ(std::get<GroupMetadataKey>(decode_group_key(group_key).value()).group, "group");
  EXPECT_EQ(encode(GroupMetadataKey{"group"}), group_key);
  const std::pair<OffsetCommitValue, std::string> offsets[] = {
      {{5, 2, "note", 9, -1}, from_hex("000300000000000000050000000200046e6f74650000000000000009")},
      {{5, -1, "note", 9, 10}, from_hex("0001000000000000000500046e6f74650000000000000009000000000000000a")},
  };
  for (const auto& [value, recorded] : offsets) {
    EXPECT_EQ(decode_offset_value(recorded), value);
    EXPECT_EQ(encode(value), recorded);
  }
  const std::pair<GroupMetadataValue, std::string> groups[] = {
      {some_group(), from_hex("00030008636f6e73756d657200000007000572616e676500026d3100000000000004d20000000200026d3100"
                              "0273310002633100032f68310000ea6000002710000000037375620000000361736700026d32ffff00000000"
                              "000493e00000afc80000000000000003000000")},
      {{"consumer", 8, std::nullopt, std::nullopt, 1235, {}},
       from_hex("00030008636f6e73756d657200000008ffffffff00000000000004d300000000")},
  };
  for (const auto& [value, recorded] : groups) {
    EXPECT_EQ(decode_group_value(recorded), value);
    EXPECT_EQ(encode(value), recorded);
  }
}

TEST(GroupRecords, ThereAndBack) {
  const auto key = decode_group_key(encode(OffsetCommitKey{"g", "t", -1}));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(std::get<OffsetCommitKey>(*key), (OffsetCommitKey{"g", "t", -1}));
  for (const OffsetCommitValue& value : {OffsetCommitValue{5, 2, "m", 9, -1}, OffsetCommitValue{5, -1, "", 9, 10}}) {
    EXPECT_EQ(decode_offset_value(encode(value)), value);
  }
  EXPECT_EQ(decode_group_value(encode(some_group())), some_group());
}

TEST(GroupRecords, OldAndNewVersionsAreRead) {
  // Offsets: 0 has neither epoch nor expiry, 2 no epoch, 4 is flexible and may carry a topic id as tag 0.
  EXPECT_EQ(
      decode_offset_value(BYTES("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09")),
      (OffsetCommitValue{5, -1, "m", 9, -1}));
  EXPECT_EQ(
      decode_offset_value(BYTES("\x00\x02\x00\x00\x00\x00\x00\x00\x00\x05\x00\x01m\x00\x00\x00\x00\x00\x00\x00\x09")),
      (OffsetCommitValue{5, -1, "m", 9, -1}));
  EXPECT_EQ(decode_offset_value(
                BYTES("\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x02\x02m\x00\x00\x00\x00\x00\x00\x00\x09"
                      "\x01\x00\x10"
                      "0123456789abcdef")),
            (OffsetCommitValue{5, 2, "m", 9, -1}));
  // Groups: 0 has no state time and one time-out for both purposes.
  const auto oldest =
      decode_group_value(BYTES("\x00\x00\x00\x01"
                               "c\x00\x00\x00\x01\x00\x01r\x00\x01m\x00\x00\x00\x01"
                               "\x00\x01m\x00\x01i\x00\x01h\x00\x00\x00\x04\x00\x00\x00\x01s\x00\x00\x00\x01"
                               "a"));
  ASSERT_TRUE(oldest.has_value());
  EXPECT_EQ(oldest->current_state_timestamp, -1);
  EXPECT_EQ(oldest->members[0].rebalance_timeout_ms, -1);
  EXPECT_EQ(oldest->members[0].session_timeout_ms, 4);
  const auto newest =
      decode_group_value(BYTES("\x00\x04\x02"
                               "c\x00\x00\x00\x01\x02r\x02m\x00\x00\x00\x00\x00\x00\x00\x02\x02"
                               "\x02m\x00\x02i\x02h\x00\x00\x00\x03\x00\x00\x00\x04\x02s\x02"
                               "a\x00\x00"));
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->members[0].assignment.data, "a");
  EXPECT_EQ(newest->members[0].group_instance_id, std::nullopt);
}

TEST(GroupRecords, OtherKindsAndNewerVersionsAreUnsupported) {
  EXPECT_EQ(decode_group_key(BYTES("\x00\x03\x00\x01g")).error(), Errc::kUnsupported);
  EXPECT_EQ(decode_offset_value(BYTES("\x00\x05")).error(), Errc::kUnsupported);
  EXPECT_EQ(decode_group_value(BYTES("\x00\x05")).error(), Errc::kUnsupported);
  EXPECT_EQ(decode_group_key(BYTES("\xff\xff\x00\x01g")).error(), Errc::kCorrupt);
}

TEST(GroupRecords, EveryCutIsRefused) {
  const std::string key = encode(OffsetCommitKey{"g", "t", 0});
  const std::string offset = encode(OffsetCommitValue{5, 2, "m", 9, -1});
  const std::string group = encode(some_group());
  for (size_t n = 0; n < key.size(); ++n) EXPECT_FALSE(decode_group_key(key.substr(0, n)).has_value()) << n;
  for (size_t n = 0; n < offset.size(); ++n) EXPECT_FALSE(decode_offset_value(offset.substr(0, n)).has_value()) << n;
  for (size_t n = 0; n < group.size(); ++n) EXPECT_FALSE(decode_group_value(group.substr(0, n)).has_value()) << n;
  EXPECT_EQ(decode_group_key(key + "x").error(), Errc::kCorrupt);
  EXPECT_EQ(decode_offset_value(offset + "x").error(), Errc::kCorrupt);
  EXPECT_EQ(decode_group_value(group + "x").error(), Errc::kCorrupt);
}

TEST(GroupRecords, HostileCountsReserveNothing) {
  const std::string head = BYTES(
      "\x00\x03\x00\x01"
      "c\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x02");
  EXPECT_EQ(decode_group_value(head + BYTES("\x7f\xff\xff\xff")).error(), Errc::kTruncated);
  EXPECT_EQ(decode_group_value(head + BYTES("\xff\xff\xff\xff")).error(), Errc::kCorrupt);
}

}  // namespace
}  // namespace posthaste::broker
