// Metadata records: exact bytes against the schema by hand, every type there and back, and hostile bytes.
#include "replication/metadata/records.h"

#include <gtest/gtest.h>

namespace posthaste::replication {
namespace {

using reactor::Errc;

Uuid id_of(uint8_t fill) {
  Uuid id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

std::vector<MetadataRecord> one_of_each() {
  RegisterBrokerRecord broker;
  broker.broker_id = 3;
  broker.incarnation_id = id_of(7);
  broker.broker_epoch = 42;
  broker.endpoints = {{"PLAINTEXT", "host", 65535, 0}, {"SSL", "", 9093, 1}};
  broker.features = {{"metadata.version", 1, 25}};
  broker.rack = "r1";
  broker.fenced = false;
  broker.log_dirs = {id_of(1), id_of(2)};
  PartitionRecord partition{5, id_of(9), {1, 2, 3}, {1, 2}, {3}, {}, 1, 1, 4, 8, {id_of(1), id_of(2), id_of(3)}};
  PartitionRecord plain{0, id_of(9), {1}, {1}, {}, {}, 1, 0, 0, 0, {}};
  return {broker,
          RegisterBrokerRecord{},
          TopicRecord{"orders", id_of(9)},
          partition,
          plain,
          PartitionChangeRecord{5, id_of(9), std::vector<int32_t>{1}, std::nullopt},
          PartitionChangeRecord{5, id_of(9), std::nullopt, -1},
          PartitionChangeRecord{5, id_of(9), std::vector<int32_t>{}, 2},
          RemoveTopicRecord{id_of(9)},
          ConfigRecord{kTopicResource, "orders", "retention.ms", "1000"},
          ConfigRecord{kBrokerResource, "", "log.retention.ms", std::nullopt},
          FeatureLevelRecord{"metadata.version", 25},
          ProducerIdsRecord{1, 2, 3000},
          BeginTransactionRecord{},
          BeginTransactionRecord{"snapshot"},
          EndTransactionRecord{}};
}

// Recorded from the program that wrote the first folders, in the order of one_of_each(): a log from then must load, and
// what is written now is still the same.
constexpr std::string_view kRecorded[] = {
    "010003000000030007070707070707070707070707070707000000000000002a030a504c41494e5445585405686f7374ffff0000000453534c"
    "01238500010002116d657461646174612e76657273696f6e000100190003723100000100210301010101010101010101010101010101020202"
    "02020202020202020202020202",
    "010003ffffffff0000000000000000000000000000000000ffffffffffffffff010100010000",
    "010200076f72646572730909090909090909090909090909090900",
    "010301000000050909090909090909090909090909090904000000010000000200000003030000000100000002020000000301000000010000"
    "000400000008040101010101010101010101010101010102020202020202020202020202020202030303030303030303030303030303030100"
    "0101",
    "01030100000000090909090909090909090909090909090200000001020000000101010000000100000000000000000100",
    "01050000000005090909090909090909090909090909090100050200000001",
    "0105000000000509090909090909090909090909090909010104ffffffff",
    "010500000000050909090909090909090909090909090902000101010400000002",
    "0109000909090909090909090909090909090900",
    "01040002076f72646572730d726574656e74696f6e2e6d73053130303000",
    "0104000401116c6f672e726574656e74696f6e2e6d730000",
    "010c00116d657461646174612e76657273696f6e001900",
    "010f000000000100000000000000020000000000000bb800",
    "01170000",
    "01170001000909736e617073686f74",
    "01180000",
};

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

TEST(MetadataRecords, RecordedBytesOfEachKindAreReadAndWritten) {
  const std::vector<MetadataRecord> records = one_of_each();
  ASSERT_EQ(records.size(), std::size(kRecorded));
  for (size_t i = 0; i < records.size(); ++i) {
    const auto decoded = decode_metadata_record(from_hex(kRecorded[i]));
    ASSERT_TRUE(decoded.has_value()) << i << ": " << to_string(decoded.error());
    EXPECT_EQ(*decoded, records[i]) << i;
    EXPECT_EQ(encode(records[i]), from_hex(kRecorded[i])) << i;
  }
}

// What says that brokers come and go. By Kafka's own classes (4.3.1), in the order of records_of_a_cluster(); the last
// three are ours: fields of our own, which Kafka's tools skip.
constexpr std::string_view kOfACluster[] = {
    "01010000000003000000000000002a00",
    "01110000000003000000000000002a01000101",
    "01110000000003000000000000002a010001ff",
    "01110100000003000000000000002a01010101",
    "01110200000003000000000000002a0300010101010102210301010101010101010101010101010101020202020202020202020202020202"
    "02",
    "0103020000000509090909090909090909090909090909040000000100000002000000030200000001"
    "0101ffffffff00000004000000080401010101010101010101010101010101020202020202020202020202020202020303030303030303"
    "0303030303030303030001010109030000000200000003"
    "02050200000001",
    "0105020000000509090909090909090909090909090909090001010104ffffffff02090300000001000000020305020000000204050200"
    "0000010501010609030000000100000002070502000000010821030101010101010101010101010101010102020202020202020202020202"
    "020202",
    "01050100000005090909090909090909090909090909090108110201010101010101010101010101010101",
    "010500000000050909090909090909090909090909090901050100",
    "011c00076f726465727300",
    "011c000100",
    "01000300000003000707070707070707070707070707070700000000000000"
    "2a010100010001e8070101",
    "0103010000000509090909090909090909090909090909020000000102000000010101ffffffff000000040000000801"
    "01e807050200000001",
    "01050000000005090909090909090909090909090909090"
    "1e8070101",
};

std::vector<MetadataRecord> records_of_a_cluster() {
  using Change = BrokerRegistrationChangeRecord;
  PartitionRecord partition{5, id_of(9), {1, 2, 3}, {1}, {}, {}, -1, 1, 4, 8, {id_of(1), id_of(2), id_of(3)}};
  partition.elr = {2, 3};
  partition.last_known_elr = {1};
  PartitionRecord unverified{5, id_of(9), {1}, {1}, {}, {}, -1, 0, 4, 8, {}};
  unverified.unverified = {1};
  RegisterBrokerRecord broker;
  broker.broker_id = 3;
  broker.incarnation_id = id_of(7);
  broker.broker_epoch = 42;
  broker.is_unverified = true;
  return {UnregisterBrokerRecord{.broker_id = 3, .broker_epoch = 42},
          Change{.broker_id = 3, .broker_epoch = 42, .fenced = Change::Fenced::kFence},
          Change{.broker_id = 3, .broker_epoch = 42, .fenced = Change::Fenced::kUnfence},
          Change{.broker_id = 3, .broker_epoch = 42, .in_controlled_shutdown = Change::ControlledShutdown::kEnter},
          Change{.broker_id = 3,
                 .broker_epoch = 42,
                 .fenced = Change::Fenced::kFence,
                 .in_controlled_shutdown = Change::ControlledShutdown::kEnter,
                 .log_dirs = {id_of(1), id_of(2)}},
          partition,
          PartitionChangeRecord{.partition_id = 5,
                                .topic_id = id_of(9),
                                .isr = std::vector<int32_t>{},
                                .leader = -1,
                                .replicas = std::vector<int32_t>{1, 2},
                                .removing_replicas = std::vector<int32_t>{2},
                                .adding_replicas = std::vector<int32_t>{1},
                                .leader_recovery_state = int8_t{1},
                                .elr = std::vector<int32_t>{1, 2},
                                .last_known_elr = std::vector<int32_t>{1},
                                .directories = std::vector<Uuid>{id_of(1), id_of(2)}},
          PartitionChangeRecord{.partition_id = 5, .topic_id = id_of(9), .directories = std::vector<Uuid>{id_of(1)}},
          PartitionChangeRecord{.partition_id = 5, .topic_id = id_of(9), .leader_recovery_state = int8_t{0}},
          ClearElrRecord{"orders"},
          ClearElrRecord{},
          broker,
          unverified,
          PartitionChangeRecord{.partition_id = 5, .topic_id = id_of(9), .unverified = std::vector<int32_t>{}}};
}

TEST(MetadataRecords, WhatAClusterAddsIsReadAndWrittenAsKafkaDoes) {
  const std::vector<MetadataRecord> records = records_of_a_cluster();
  ASSERT_EQ(records.size(), std::size(kOfACluster));
  for (size_t i = 0; i < records.size(); ++i) {
    const auto decoded = decode_metadata_record(from_hex(kOfACluster[i]));
    ASSERT_TRUE(decoded.has_value()) << i << ": " << to_string(decoded.error());
    EXPECT_EQ(*decoded, records[i]) << i;
    EXPECT_EQ(encode(records[i]), from_hex(kOfACluster[i])) << i;
  }
}

// Kafka's older versions, which say less.
TEST(MetadataRecords, OlderVersionsAreRead) {
  // Version 0 of a broker: neither migrating nor shutting down, and no directories.
  RegisterBrokerRecord broker;
  broker.broker_id = 1;
  broker.incarnation_id = id_of(7);
  broker.broker_epoch = 2;
  EXPECT_EQ(decode_metadata_record(from_hex("01000000000001"
                                            "07070707070707070707070707070707"
                                            "0000000000000002"
                                            "01"
                                            "01"
                                            "00"
                                            "01"
                                            "00")),
            MetadataRecord(broker));
  // Version 0 of a partition: no directories.
  const PartitionRecord partition{0, id_of(9), {1}, {1}, {}, {}, 1, 0, 0, 0, {}};
  EXPECT_EQ(decode_metadata_record(from_hex("01030000000000"
                                            "09090909090909090909090909090909"
                                            "0200000001"
                                            "0200000001"
                                            "01"
                                            "01"
                                            "00000001"
                                            "00000000"
                                            "00000000"
                                            "00")),
            MetadataRecord(partition));
}

// A list of topics to skip, say, may be longer than any string of a message: it is neither refused nor shortened.
TEST(MetadataRecords, TextIsNeverShortened) {
  const ConfigRecord record{kTopicResource, "t", "k", std::string(40'000, 'x')};
  const std::string bytes = encode(record);
  EXPECT_EQ(bytes.substr(0, 11), from_hex("010400020274026bc1b802"));
  EXPECT_EQ(decode_metadata_record(bytes), MetadataRecord(record));
}

TEST(MetadataRecords, ThereAndBack) {
  for (const MetadataRecord& record : one_of_each()) {
    const auto decoded = decode_metadata_record(encode(record));
    ASSERT_TRUE(decoded.has_value()) << record.index() << ": " << to_string(decoded.error());
    EXPECT_EQ(*decoded, record) << record.index();
  }
}

TEST(MetadataRecords, BytesAreKafkas) {
  // Frame version 1, type 2, version 0, compact string, id, no tags.
  EXPECT_EQ(encode(TopicRecord{"ab", id_of(0x11)}),
            std::string("\x01\x02\x00\x03", 4) + "ab" + std::string(16, '\x11') + std::string(1, '\0'));
  EXPECT_EQ(encode(RemoveTopicRecord{id_of(0x22)}),
            std::string("\x01\x09\x00", 3) + std::string(16, '\x22') + std::string(1, '\0'));
  EXPECT_EQ(encode(ConfigRecord{2, "t", "k", std::nullopt}), std::string("\x01\x04\x00\x02\x02t\x02k\x00\x00", 10));
  EXPECT_EQ(encode(FeatureLevelRecord{"f", 258}), std::string("\x01\x0c\x00\x02"
                                                              "f\x01\x02\x00",
                                                              8));
  EXPECT_EQ(
      encode(ProducerIdsRecord{1, -1, 1000}),
      std::string("\x01\x0f\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x03\xe8\x00",
                  24));
  // A changed leader: one tagged field, tag 1, four bytes.
  EXPECT_EQ(encode(PartitionChangeRecord{1, id_of(0x33), std::nullopt, 2}),
            std::string("\x01\x05\x00\x00\x00\x00\x01", 7) + std::string(16, '\x33') +
                std::string("\x01\x01\x04\x00\x00\x00\x02", 7));
}

TEST(MetadataRecords, EveryCutIsRefused) {
  for (const MetadataRecord& record : one_of_each()) {
    const std::string bytes = encode(record);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_metadata_record(bytes.substr(0, size)).has_value()) << record.index() << " cut at " << size;
    }
    EXPECT_FALSE(decode_metadata_record(bytes + "x").has_value());
  }
}

TEST(MetadataRecords, WhatIsNewerIsUnsupported) {
  const std::string topic = encode(TopicRecord{"ab", id_of(1)});
  const auto changed = [&](size_t at, char to) {
    std::string bytes = topic;
    bytes[at] = to;
    return decode_metadata_record(bytes).error();
  };
  EXPECT_EQ(changed(0, 2), Errc::kUnsupported);    // frame version
  EXPECT_EQ(changed(0, 0), Errc::kCorrupt);        // there never was one
  EXPECT_EQ(changed(1, 100), Errc::kUnsupported);  // record type
  EXPECT_EQ(changed(2, 1), Errc::kUnsupported);    // record version
  // A tagged field that this code does not know may change what the record means.
  std::string tagged = topic;
  tagged.back() = 1;
  tagged += std::string("\x09\x01x", 3);
  EXPECT_EQ(decode_metadata_record(tagged).error(), Errc::kUnsupported);
}

TEST(MetadataRecords, HostileCountsReserveNothing) {
  // A PartitionRecord that claims 2^31 replicas.
  const std::string bytes =
      std::string("\x01\x03\x01\x00\x00\x00\x00", 7) + std::string(16, 'x') + "\xff\xff\xff\xff\x07";
  EXPECT_EQ(decode_metadata_record(bytes).error(), Errc::kTruncated);
}

TEST(MetadataRecords, OneFlippedByteNeverCrashes) {
  for (const MetadataRecord& record : one_of_each()) {
    const std::string bytes = encode(record);
    for (size_t at = 0; at < bytes.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xFF}) {
        std::string bad = bytes;
        bad[at] = static_cast<char>(bad[at] ^ flip);
        (void)decode_metadata_record(bad);
      }
    }
  }
}

}  // namespace
}  // namespace posthaste::replication
