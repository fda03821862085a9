#include "broker/groups/records.h"

#include "net/kafka/record_codec.h"

namespace posthaste::broker {
namespace {

using net::kafka::Decoder;
using net::kafka::text_bytes;
using net::kafka::UnknownTags;
using reactor::Errc;
using reactor::failure;
using reactor::Result;

// The key of an offset as Kafka wrote it long ago; its fields are the same.
constexpr int16_t kLegacyOffsetCommit = 0;

constexpr int16_t kOffsetVersionWithLeaderEpoch = 3;
constexpr int16_t kOffsetVersionWithExpiry = 1;
constexpr int16_t kGroupVersionWritten = 3;

// The int16 before a key or value and what follows it.
struct Prefixed {
  int16_t number = 0;
  net::kafka::Bytes record;
};

Result<Prefixed> read_prefix(std::string_view bytes) {
  constexpr size_t kNoArrays = 0;
  Decoder head(text_bytes(bytes), 0, false, kNoArrays);
  const auto number = head.read_scalar<int16_t>();
  if (!head.ok()) return failure(head.error());
  if (number < 0) return failure(Errc::kCorrupt);
  return Prefixed{number, head.rest()};
}

template <class Key>
Result<GroupRecordKey> decode_key(const Prefixed& key) {
  return TRY(net::kafka::decode_record<Key>(key.record, 0, UnknownTags::kRefuse));
}

// Unknown tags of values are skipped, as Kafka does (the topic id of a committed offset is one).
template <class Value>
Result<Value> decode_value(std::string_view bytes) {
  const Prefixed value = TRY(read_prefix(bytes));
  return net::kafka::decode_record<Value>(value.record, value.number, UnknownTags::kSkip);
}

}  // namespace

std::string encode(const OffsetCommitKey& key) { return net::kafka::encode_record(key, 0, OffsetCommitKey::kType); }

std::string encode(const GroupMetadataKey& key) { return net::kafka::encode_record(key, 0, GroupMetadataKey::kType); }

std::string encode(const OffsetCommitValue& value) {
  const bool expires = value.expire_timestamp != -1;
  const int16_t version = expires ? kOffsetVersionWithExpiry : kOffsetVersionWithLeaderEpoch;
  return net::kafka::encode_record(value, version, version);
}

std::string encode(const GroupMetadataValue& value) {
  return net::kafka::encode_record(value, kGroupVersionWritten, kGroupVersionWritten);
}

Result<GroupRecordKey> decode_group_key(std::string_view bytes) {
  const Prefixed key = TRY(read_prefix(bytes));
  switch (key.number) {
    case kLegacyOffsetCommit:
    case OffsetCommitKey::kType:
      return decode_key<OffsetCommitKey>(key);
    case GroupMetadataKey::kType:
      return decode_key<GroupMetadataKey>(key);
    default:
      return failure(Errc::kUnsupported);
  }
}

Result<OffsetCommitValue> decode_offset_value(std::string_view bytes) { return decode_value<OffsetCommitValue>(bytes); }

Result<GroupMetadataValue> decode_group_value(std::string_view bytes) {
  return decode_value<GroupMetadataValue>(bytes);
}

}  // namespace posthaste::broker
