// Records of the internal topics as a disk may give them back: groups, offsets, metadata, snapshots of it. An input is
// either such bytes, or the choices by which a valid record is made and comes back.
#include "broker/groups/records.h"
#include "net/kafka/testing/random_message.h"
#include "replication/metadata/records.h"
#include "replication/metadata/snapshot_format.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {
namespace {

using namespace posthaste::broker;
using namespace posthaste::replication;

void check_group_records(std::string_view text) {
  if (const auto key = decode_group_key(text)) {
    const std::string encoded = std::visit([](const auto& one) { return encode(one); }, *key);
    require(decode_group_key(encoded).has_value(), "a group key comes back");
  }
  if (const auto value = decode_offset_value(text)) {
    const auto again = decode_offset_value(encode(*value));
    require(again.has_value() && again->offset == value->offset && again->metadata == value->metadata,
            "a committed offset comes back");
  }
  if (const auto value = decode_group_value(text)) {
    const auto again = decode_group_value(encode(*value));
    require(again.has_value() && again->members == value->members, "a group comes back");
  }
}

void check_metadata_record(std::string_view text) {
  const auto record = decode_metadata_record(text);
  if (!record) return;
  const auto again = decode_metadata_record(encode(*record));
  require(again.has_value() && *again == *record, "a metadata record comes back");
}

// A file of a snapshot, with frames whose checksums are put right so that what is behind them is reached.
void check_snapshot(Bytes input) {
  std::vector<std::byte> file(input.begin(), input.end());
  SnapshotDecoder decoder({.offset = 1, .epoch = 2});
  size_t records = 0;
  const auto count = [&](const MetadataRecord&) -> reactor::Result<void> { return ++records, reactor::Result<void>(); };
  for (std::span<std::byte> rest(file); !decoder.finished();) {
    const auto size = SnapshotDecoder::frame_bytes(rest.first(std::min(rest.size(), SnapshotDecoder::kFrameHead)));
    if (!size || *size > rest.size()) return;
    const std::span<std::byte> frame = rest.first(*size);
    const uint64_t sum = storage::xxh3_64(frame.first(*size - sizeof(uint64_t)));
    storage::store_le<uint64_t>(frame.data() + *size - sizeof(uint64_t), sum);
    if (!decoder.take(frame, count)) return;
    rest = rest.subspan(*size);
  }
}

template <class R>
R made(Choices& choices, int16_t version) {
  auto draw = [&choices](uint64_t limit) { return choices.below(limit); };
  net::kafka::RandomFiller<decltype(draw)> filler(draw, version);
  R record;
  R::fields(record, filler);
  return record;
}

template <size_t kIndex = 0>
void check_made_metadata(Choices& choices, size_t index) {
  if constexpr (kIndex < std::variant_size_v<MetadataRecord>) {
    if (kIndex != index) return check_made_metadata<kIndex + 1>(choices, index);
    using R = std::variant_alternative_t<kIndex, MetadataRecord>;
    const MetadataRecord record = made<R>(choices, R::kRules.codec_max);
    const auto again = decode_metadata_record(encode(record));
    require(again.has_value() && *again == record, "a made metadata record comes back");
  }
}

void check_made_group(Choices& choices) {
  const auto key = made<OffsetCommitKey>(choices, 0);
  const auto key_again = decode_group_key(encode(key));
  require(key_again.has_value() && std::get<OffsetCommitKey>(*key_again) == key, "a made key comes back");
  auto offset = made<OffsetCommitValue>(choices, 3);
  const auto offset_again = decode_offset_value(encode(offset));
  require(offset_again.has_value() && *offset_again == offset, "a made offset comes back");
  const auto group = made<GroupMetadataValue>(choices, 3);
  const auto group_again = decode_group_value(encode(group));
  require(group_again.has_value() && *group_again == group, "a made group comes back");
}

void check_made(Bytes input) {
  Choices choices(input);
  const uint64_t kind = choices.below(std::variant_size_v<MetadataRecord> + 1);
  if (kind == std::variant_size_v<MetadataRecord>) return check_made_group(choices);
  check_made_metadata(choices, kind);
}

}  // namespace

void run_one(Bytes input) {
  if (input.empty()) return;
  const ExactCopy exact(input.subspan(1));
  const std::string_view text(reinterpret_cast<const char*>(exact.view().data()), exact.view().size());
  switch (std::to_integer<unsigned>(input.front()) % 5) {
    case 0: {
      const AllocationBudget budget(512 * input.size() + 65536);
      return check_group_records(text);
    }
    case 1: {
      const AllocationBudget budget(512 * input.size() + 65536);
      return check_metadata_record(text);
    }
    case 2: {
      const AllocationBudget budget(512 * input.size() + 65536);
      return check_snapshot(exact.view());
    }
    default:
      return check_made(exact.view());
  }
}

}  // namespace posthaste::fuzz
