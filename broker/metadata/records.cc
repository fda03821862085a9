#include "broker/metadata/records.h"

#include <span>
#include <utility>

#include "broker/byte_codec.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

constexpr uint32_t kFrameVersion = 1;

// Type and newest version of each record: what we write, and the newest we read.
struct RecordKind {
  uint32_t type;
  uint32_t version;
};
constexpr RecordKind kRegisterBroker{0, 3};
constexpr RecordKind kTopic{2, 0};
constexpr RecordKind kPartition{3, 1};
constexpr RecordKind kConfig{4, 0};
constexpr RecordKind kPartitionChange{5, 0};
constexpr RecordKind kRemoveTopic{9, 0};
constexpr RecordKind kFeatureLevel{12, 0};
constexpr RecordKind kProducerIds{15, 0};
constexpr RecordKind kBeginTransaction{23, 0};
constexpr RecordKind kEndTransaction{24, 0};

// Tags of the tagged fields that we know.
constexpr uint32_t kLogDirsTag = 0;
constexpr uint32_t kLeaderRecoveryStateTag = 0;
constexpr uint32_t kChangedIsrTag = 0;
constexpr uint32_t kChangedLeaderTag = 1;
constexpr uint32_t kTransactionNameTag = 0;

// --- Writing ---------------------------------------------------------------------------------------------------------

void begin(ByteWriter& out, RecordKind kind) {
  out.unsigned_varint(kFrameVersion);
  out.unsigned_varint(kind.type);
  out.unsigned_varint(kind.version);
}

void write_count(ByteWriter& out, size_t count) { out.unsigned_varint(static_cast<uint32_t>(count) + 1); }

void write(ByteWriter& out, std::span<const int32_t> values) {
  write_count(out, values.size());
  for (const int32_t value : values) out.int32(value);
}

void write(ByteWriter& out, std::span<const Uuid> values) {
  write_count(out, values.size());
  for (const Uuid& value : values) out.uuid(value);
}

// One tagged field, with the size of its content before it.
void write_tag(ByteWriter& out, uint32_t tag, ByteWriter content) {
  const std::string bytes = content.take();
  out.unsigned_varint(tag);
  out.unsigned_varint(static_cast<uint32_t>(bytes.size()));
  out.raw(bytes);
}

void no_tags(ByteWriter& out) { out.unsigned_varint(0); }

void write_record(ByteWriter& out, const RegisterBrokerRecord& record) {
  begin(out, kRegisterBroker);
  out.int32(record.broker_id);
  out.boolean(record.is_migrating);
  out.uuid(record.incarnation_id);
  out.int64(record.broker_epoch);
  write_count(out, record.endpoints.size());
  for (const RegisterBrokerRecord::Endpoint& endpoint : record.endpoints) {
    out.compact_string(endpoint.name);
    out.compact_string(endpoint.host);
    out.int16(static_cast<int16_t>(endpoint.port));
    out.int16(endpoint.security_protocol);
    no_tags(out);
  }
  write_count(out, record.features.size());
  for (const RegisterBrokerRecord::Feature& feature : record.features) {
    out.compact_string(feature.name);
    out.int16(feature.least);
    out.int16(feature.most);
    no_tags(out);
  }
  out.compact_nullable_string(record.rack);
  out.boolean(record.fenced);
  out.boolean(record.in_controlled_shutdown);
  if (record.log_dirs.empty()) return no_tags(out);
  out.unsigned_varint(1);
  ByteWriter dirs;
  write(dirs, record.log_dirs);
  write_tag(out, kLogDirsTag, std::move(dirs));
}

void write_record(ByteWriter& out, const TopicRecord& record) {
  begin(out, kTopic);
  out.compact_string(record.name);
  out.uuid(record.topic_id);
  no_tags(out);
}

void write_record(ByteWriter& out, const PartitionRecord& record) {
  begin(out, kPartition);
  out.int32(record.partition_id);
  out.uuid(record.topic_id);
  write(out, record.replicas);
  write(out, record.isr);
  write(out, record.removing_replicas);
  write(out, record.adding_replicas);
  out.int32(record.leader);
  out.int32(record.leader_epoch);
  out.int32(record.partition_epoch);
  write(out, record.directories);
  if (record.leader_recovery_state == 0) return no_tags(out);
  out.unsigned_varint(1);
  ByteWriter state;
  state.int8(record.leader_recovery_state);
  write_tag(out, kLeaderRecoveryStateTag, std::move(state));
}

void write_record(ByteWriter& out, const PartitionChangeRecord& record) {
  begin(out, kPartitionChange);
  out.int32(record.partition_id);
  out.uuid(record.topic_id);
  out.unsigned_varint((record.isr ? 1U : 0U) + (record.leader ? 1U : 0U));
  if (record.isr) {
    ByteWriter isr;
    write(isr, *record.isr);
    write_tag(out, kChangedIsrTag, std::move(isr));
  }
  if (record.leader) {
    ByteWriter leader;
    leader.int32(*record.leader);
    write_tag(out, kChangedLeaderTag, std::move(leader));
  }
}

void write_record(ByteWriter& out, const RemoveTopicRecord& record) {
  begin(out, kRemoveTopic);
  out.uuid(record.topic_id);
  no_tags(out);
}

void write_record(ByteWriter& out, const ConfigRecord& record) {
  begin(out, kConfig);
  out.int8(record.resource_type);
  out.compact_string(record.resource_name);
  out.compact_string(record.name);
  out.compact_nullable_string(record.value);
  no_tags(out);
}

void write_record(ByteWriter& out, const FeatureLevelRecord& record) {
  begin(out, kFeatureLevel);
  out.compact_string(record.name);
  out.int16(record.level);
  no_tags(out);
}

void write_record(ByteWriter& out, const ProducerIdsRecord& record) {
  begin(out, kProducerIds);
  out.int32(record.broker_id);
  out.int64(record.broker_epoch);
  out.int64(record.next_producer_id);
  no_tags(out);
}

void write_record(ByteWriter& out, const BeginTransactionRecord& record) {
  begin(out, kBeginTransaction);
  if (!record.name) return no_tags(out);
  out.unsigned_varint(1);
  ByteWriter name;
  name.compact_nullable_string(record.name);
  write_tag(out, kTransactionNameTag, std::move(name));
}

void write_record(ByteWriter& out, const EndTransactionRecord&) {
  begin(out, kEndTransaction);
  no_tags(out);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

Result<std::vector<int32_t>> read_ints(ByteReader& in) {
  const size_t count = TRY(in.compact_array_count(sizeof(int32_t)));
  std::vector<int32_t> values(count);
  for (int32_t& value : values) value = TRY(in.int32());
  return values;
}

// As read_ints, where older writers may have put null for nothing.
Result<std::vector<int32_t>> read_nullable_ints(ByteReader& in) {
  ByteReader ahead = in;
  if (TRY(ahead.unsigned_varint()) == 0) {
    in = ahead;
    return std::vector<int32_t>();
  }
  return read_ints(in);
}

Result<std::vector<Uuid>> read_uuids(ByteReader& in) {
  const size_t count = TRY(in.compact_array_count(sizeof(Uuid)));
  std::vector<Uuid> values(count);
  for (Uuid& value : values) value = TRY(in.uuid());
  return values;
}

// Calls `known(tag, content)` for each tagged field; it returns whether it knew the tag. An unknown tag changes the
// meaning of a record in a way we cannot see.
template <class Known>
Result<void> read_tags(ByteReader& in, const Known& known) {
  const uint32_t count = TRY(in.unsigned_varint());
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t tag = TRY(in.unsigned_varint());
    const uint32_t size = TRY(in.unsigned_varint());
    ByteReader content(TRY(in.raw(size)));
    if (!TRY(known(tag, content))) return failure(Errc::kUnsupported);
    if (content.remaining() != 0) return failure(Errc::kCorrupt);
  }
  return {};
}

Result<void> read_no_tags(ByteReader& in) {
  return read_tags(in, [](uint32_t, ByteReader&) -> Result<bool> { return false; });
}

Result<MetadataRecord> read_register_broker(ByteReader& in, uint32_t version) {
  RegisterBrokerRecord record;
  record.broker_id = TRY(in.int32());
  if (version >= 2) record.is_migrating = TRY(in.boolean());
  record.incarnation_id = TRY(in.uuid());
  record.broker_epoch = TRY(in.int64());
  constexpr size_t kLeastEndpointBytes = 7;
  record.endpoints.resize(TRY(in.compact_array_count(kLeastEndpointBytes)));
  for (RegisterBrokerRecord::Endpoint& endpoint : record.endpoints) {
    endpoint.name = TRY(in.compact_string());
    endpoint.host = TRY(in.compact_string());
    endpoint.port = TRY(in.uint16());
    endpoint.security_protocol = TRY(in.int16());
    TRY(read_no_tags(in));
  }
  constexpr size_t kLeastFeatureBytes = 6;
  record.features.resize(TRY(in.compact_array_count(kLeastFeatureBytes)));
  for (RegisterBrokerRecord::Feature& feature : record.features) {
    feature.name = TRY(in.compact_string());
    feature.least = TRY(in.int16());
    feature.most = TRY(in.int16());
    TRY(read_no_tags(in));
  }
  record.rack = TRY(in.compact_nullable_string());
  record.fenced = TRY(in.boolean());
  if (version >= 1) record.in_controlled_shutdown = TRY(in.boolean());
  TRY(read_tags(in, [&](uint32_t tag, ByteReader& content) -> Result<bool> {
    if (tag != kLogDirsTag) return false;
    record.log_dirs = TRY(read_uuids(content));
    return true;
  }));
  return record;
}

Result<MetadataRecord> read_topic(ByteReader& in) {
  TopicRecord record;
  record.name = TRY(in.compact_string());
  record.topic_id = TRY(in.uuid());
  TRY(read_no_tags(in));
  return record;
}

Result<MetadataRecord> read_partition(ByteReader& in, uint32_t version) {
  PartitionRecord record;
  record.partition_id = TRY(in.int32());
  record.topic_id = TRY(in.uuid());
  record.replicas = TRY(read_ints(in));
  record.isr = TRY(read_ints(in));
  record.removing_replicas = TRY(read_nullable_ints(in));
  record.adding_replicas = TRY(read_nullable_ints(in));
  record.leader = TRY(in.int32());
  record.leader_epoch = TRY(in.int32());
  record.partition_epoch = TRY(in.int32());
  if (version >= 1) record.directories = TRY(read_uuids(in));
  TRY(read_tags(in, [&](uint32_t tag, ByteReader& content) -> Result<bool> {
    if (tag != kLeaderRecoveryStateTag) return false;
    record.leader_recovery_state = TRY(content.int8());
    return true;
  }));
  return record;
}

Result<MetadataRecord> read_partition_change(ByteReader& in) {
  PartitionChangeRecord record;
  record.partition_id = TRY(in.int32());
  record.topic_id = TRY(in.uuid());
  TRY(read_tags(in, [&](uint32_t tag, ByteReader& content) -> Result<bool> {
    if (tag == kChangedIsrTag) {
      record.isr = TRY(read_ints(content));
    } else if (tag == kChangedLeaderTag) {
      record.leader = TRY(content.int32());
    } else {
      return false;
    }
    return true;
  }));
  return record;
}

Result<MetadataRecord> read_remove_topic(ByteReader& in) {
  RemoveTopicRecord record;
  record.topic_id = TRY(in.uuid());
  TRY(read_no_tags(in));
  return record;
}

Result<MetadataRecord> read_config(ByteReader& in) {
  ConfigRecord record;
  record.resource_type = TRY(in.int8());
  record.resource_name = TRY(in.compact_string());
  record.name = TRY(in.compact_string());
  record.value = TRY(in.compact_nullable_string());
  TRY(read_no_tags(in));
  return record;
}

Result<MetadataRecord> read_feature_level(ByteReader& in) {
  FeatureLevelRecord record;
  record.name = TRY(in.compact_string());
  record.level = TRY(in.int16());
  TRY(read_no_tags(in));
  return record;
}

Result<MetadataRecord> read_producer_ids(ByteReader& in) {
  ProducerIdsRecord record;
  record.broker_id = TRY(in.int32());
  record.broker_epoch = TRY(in.int64());
  record.next_producer_id = TRY(in.int64());
  TRY(read_no_tags(in));
  return record;
}

Result<MetadataRecord> read_begin_transaction(ByteReader& in) {
  BeginTransactionRecord record;
  TRY(read_tags(in, [&](uint32_t tag, ByteReader& content) -> Result<bool> {
    if (tag != kTransactionNameTag) return false;
    record.name = TRY(content.compact_nullable_string());
    return true;
  }));
  return record;
}

Result<MetadataRecord> read_end_transaction(ByteReader& in) {
  TRY(read_no_tags(in));
  return EndTransactionRecord{};
}

Result<MetadataRecord> read_record(ByteReader& in, uint32_t type, uint32_t version) {
  for (const RecordKind known : {kRegisterBroker, kTopic, kPartition, kConfig, kPartitionChange, kRemoveTopic,
                                 kFeatureLevel, kProducerIds, kBeginTransaction, kEndTransaction}) {
    if (type == known.type && version > known.version) return failure(Errc::kUnsupported);
  }
  switch (type) {
    case kRegisterBroker.type:
      return read_register_broker(in, version);
    case kTopic.type:
      return read_topic(in);
    case kPartition.type:
      return read_partition(in, version);
    case kConfig.type:
      return read_config(in);
    case kPartitionChange.type:
      return read_partition_change(in);
    case kRemoveTopic.type:
      return read_remove_topic(in);
    case kFeatureLevel.type:
      return read_feature_level(in);
    case kProducerIds.type:
      return read_producer_ids(in);
    case kBeginTransaction.type:
      return read_begin_transaction(in);
    case kEndTransaction.type:
      return read_end_transaction(in);
    default:
      return failure(Errc::kUnsupported);
  }
}

}  // namespace

std::string encode(const MetadataRecord& record) {
  ByteWriter out;
  std::visit([&](const auto& alternative) { write_record(out, alternative); }, record);
  return out.take();
}

Result<MetadataRecord> decode_metadata_record(std::string_view bytes) {
  ByteReader in(bytes);
  const uint32_t frame = TRY(in.unsigned_varint());
  if (frame != kFrameVersion) return failure(frame == 0 ? Errc::kCorrupt : Errc::kUnsupported);
  const uint32_t type = TRY(in.unsigned_varint());
  const uint32_t version = TRY(in.unsigned_varint());
  MetadataRecord record = TRY(read_record(in, type, version));
  if (in.remaining() != 0) return failure(Errc::kCorrupt);
  return record;
}

}  // namespace posthaste::broker
