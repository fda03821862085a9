// Metadata records: exact bytes against the schema by hand, every type there and back, and hostile bytes.
#include "broker/metadata/records.h"

#include <gtest/gtest.h>

namespace posthaste::broker {
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
}  // namespace posthaste::broker
