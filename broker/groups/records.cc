#include "broker/groups/records.h"

#include "broker/byte_codec.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

// Record types of __consumer_offsets: the int16 before a key.
constexpr int16_t kLegacyOffsetCommit = 0;
constexpr int16_t kOffsetCommit = 1;
constexpr int16_t kGroupMetadata = 2;

constexpr int16_t kNewestValueVersion = 4;
constexpr int16_t kFlexibleValueVersion = 4;
constexpr int16_t kOffsetVersionWithLeaderEpoch = 3;
constexpr int16_t kOffsetVersionWithExpiry = 1;
constexpr int16_t kGroupVersionWritten = 3;

// The least bytes of one member in a GroupMetadataValue: what a hostile count is checked against.
constexpr size_t kLeastMemberBytes = 8;

Result<int16_t> value_version(ByteReader& in) {
  const int16_t version = TRY(in.int16());
  if (version < 0) return failure(Errc::kCorrupt);
  if (version > kNewestValueVersion) return failure(Errc::kUnsupported);
  return version;
}

Result<GroupMetadataValue::Member> decode_member(ByteReader& in, int16_t version) {
  const bool flexible = version >= kFlexibleValueVersion;
  GroupMetadataValue::Member member;
  member.member_id = flexible ? TRY(in.compact_string()) : TRY(in.string());
  if (version >= 3) member.group_instance_id = flexible ? TRY(in.compact_nullable_string()) : TRY(in.nullable_string());
  member.client_id = flexible ? TRY(in.compact_string()) : TRY(in.string());
  member.client_host = flexible ? TRY(in.compact_string()) : TRY(in.string());
  if (version >= 1) member.rebalance_timeout_ms = TRY(in.int32());
  member.session_timeout_ms = TRY(in.int32());
  if (version < 1) member.rebalance_timeout_ms = member.session_timeout_ms;
  member.subscription = flexible ? TRY(in.compact_bytes()) : TRY(in.bytes());
  member.assignment = flexible ? TRY(in.compact_bytes()) : TRY(in.bytes());
  if (flexible) TRY(in.skip_tags());
  return member;
}

}  // namespace

std::string encode(const OffsetCommitKey& key) {
  ByteWriter out;
  out.int16(kOffsetCommit);
  out.string(key.group);
  out.string(key.topic);
  out.int32(key.partition);
  return out.take();
}

std::string encode(const GroupMetadataKey& key) {
  ByteWriter out;
  out.int16(kGroupMetadata);
  out.string(key.group);
  return out.take();
}

std::string encode(const OffsetCommitValue& value) {
  const bool expires = value.expire_timestamp != -1;
  ByteWriter out;
  out.int16(expires ? kOffsetVersionWithExpiry : kOffsetVersionWithLeaderEpoch);
  out.int64(value.offset);
  if (!expires) out.int32(value.leader_epoch);
  out.string(value.metadata);
  out.int64(value.commit_timestamp);
  if (expires) out.int64(value.expire_timestamp);
  return out.take();
}

std::string encode(const GroupMetadataValue& value) {
  ByteWriter out;
  out.int16(kGroupVersionWritten);
  out.string(value.protocol_type);
  out.int32(value.generation);
  out.nullable_string(value.protocol);
  out.nullable_string(value.leader);
  out.int64(value.current_state_timestamp);
  out.int32(static_cast<int32_t>(value.members.size()));
  for (const GroupMetadataValue::Member& member : value.members) {
    out.string(member.member_id);
    out.nullable_string(member.group_instance_id);
    out.string(member.client_id);
    out.string(member.client_host);
    out.int32(member.rebalance_timeout_ms);
    out.int32(member.session_timeout_ms);
    out.bytes(member.subscription);
    out.bytes(member.assignment);
  }
  return out.take();
}

Result<GroupRecordKey> decode_group_key(std::string_view bytes) {
  ByteReader in(bytes);
  const int16_t type = TRY(in.int16());
  if (type < 0) return failure(Errc::kCorrupt);
  if (type > kGroupMetadata) return failure(Errc::kUnsupported);
  GroupRecordKey key;
  if (type == kLegacyOffsetCommit || type == kOffsetCommit) {
    OffsetCommitKey offset;
    offset.group = TRY(in.string());
    offset.topic = TRY(in.string());
    offset.partition = TRY(in.int32());
    key = std::move(offset);
  } else {
    key = GroupMetadataKey{TRY(in.string())};
  }
  if (in.remaining() != 0) return failure(Errc::kCorrupt);
  return key;
}

Result<OffsetCommitValue> decode_offset_value(std::string_view bytes) {
  ByteReader in(bytes);
  const int16_t version = TRY(value_version(in));
  const bool flexible = version >= kFlexibleValueVersion;
  OffsetCommitValue value;
  value.offset = TRY(in.int64());
  if (version >= 3) value.leader_epoch = TRY(in.int32());
  value.metadata = flexible ? TRY(in.compact_string()) : TRY(in.string());
  value.commit_timestamp = TRY(in.int64());
  if (version == kOffsetVersionWithExpiry) value.expire_timestamp = TRY(in.int64());
  if (flexible) TRY(in.skip_tags());
  if (in.remaining() != 0) return failure(Errc::kCorrupt);
  return value;
}

Result<GroupMetadataValue> decode_group_value(std::string_view bytes) {
  ByteReader in(bytes);
  const int16_t version = TRY(value_version(in));
  const bool flexible = version >= kFlexibleValueVersion;
  GroupMetadataValue value;
  value.protocol_type = flexible ? TRY(in.compact_string()) : TRY(in.string());
  value.generation = TRY(in.int32());
  value.protocol = flexible ? TRY(in.compact_nullable_string()) : TRY(in.nullable_string());
  value.leader = flexible ? TRY(in.compact_nullable_string()) : TRY(in.nullable_string());
  if (version >= 2) value.current_state_timestamp = TRY(in.int64());
  const size_t count =
      flexible ? TRY(in.compact_array_count(kLeastMemberBytes)) : TRY(in.array_count(kLeastMemberBytes));
  value.members.reserve(count);
  for (size_t i = 0; i < count; ++i) value.members.push_back(TRY(decode_member(in, version)));
  if (flexible) TRY(in.skip_tags());
  if (in.remaining() != 0) return failure(Errc::kCorrupt);
  return value;
}

}  // namespace posthaste::broker
