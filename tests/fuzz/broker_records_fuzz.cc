// Records of the internal topics as a disk may give them back: groups, offsets, metadata.
#include "broker/groups/records.h"
#include "broker/metadata/records.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {
namespace {

using namespace posthaste::broker;

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

}  // namespace

void run_one(Bytes input) {
  if (input.empty()) return;
  const ExactCopy exact(input.subspan(1));
  const std::string_view text(reinterpret_cast<const char*>(exact.view().data()), exact.view().size());
  const AllocationBudget budget(512 * input.size() + 65536);
  if ((std::to_integer<unsigned>(input.front()) & 1U) == 0) {
    check_group_records(text);
  } else {
    check_metadata_record(text);
  }
}

}  // namespace posthaste::fuzz
