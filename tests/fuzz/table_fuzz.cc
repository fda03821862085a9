// The framed structures on disk: table of partitions, segment index, producer snapshot, leader epochs. The payload is
// the input; most inputs get the frame and checksum that belong to it.
#include "storage/recovery/table.h"

#include <array>

#include "storage/bytes/codec.h"
#include "storage/log/epoch_cache.h"
#include "storage/log/producer_state.h"
#include "storage/log/segment_index.h"
#include "storage/testing/table_image.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {
namespace {

using namespace posthaste::storage;
using posthaste::storage::testing::encode_table;

// What a frame of these kinds says of itself, taken from one that the product made.
uint32_t magic_of(const storage::Bytes& made) { return load_le<uint32_t>(made.data()); }

void check_table(ByteView file) {
  const auto table = decode_table(file);
  if (!table) return;
  storage::Bytes entries;
  for (const TableEntry& entry : table->entries) encode_table_entry(entry, entries);
  const auto again = decode_table(encode_table(*table, entries, table->entries.size()));
  require(again.has_value() && again->entries.size() == table->entries.size() && again->number == table->number,
          "a table comes back");
}

void check_index(ByteView file) {
  const auto index = SegmentIndex::decode(file);
  if (!index) return;
  const auto again = SegmentIndex::decode(index->encode());
  require(again.has_value() && *again == *index, "an index comes back");
  const int64_t last = index->next_offset() > index->base_offset() ? index->next_offset() - 1 : index->base_offset();
  for (const int64_t wanted : {INT64_MIN, int64_t{0}, index->base_offset(), last, INT64_MAX}) {
    (void)index->find_offset(wanted);
    (void)index->find_timestamp(wanted);
  }
  for (size_t entry = 0; entry < index->entries().size(); ++entry) {
    const IndexRange range = index->range_of(entry);
    require(range.position <= range.end && range.end <= index->size_bytes(), "a range lies in the segment");
  }
}

void check_producers(ByteView file) {
  const auto snapshot = ProducerState::decode(file, {});
  if (!snapshot) return;
  const storage::Bytes encoded = snapshot->state.encode(snapshot->offset);
  const auto again = ProducerState::decode(encoded, {});
  require(again.has_value() && again->state.encode(again->offset) == encoded, "producers come back");
}

void check_epochs(ByteView file) {
  auto epochs = EpochCache::decode(file);
  if (!epochs) return;
  const auto again = EpochCache::decode(epochs->encode());
  require(again.has_value() && *again == *epochs, "epochs come back");
  (void)epochs->end_offset_for(3, 100);
  (void)epochs->epoch_for(50);
  epochs->truncate_from_start(40);
  epochs->truncate_from_end(60);
}

}  // namespace

void run_one(Bytes input) {
  if (input.empty()) return;
  const auto choice = std::to_integer<unsigned>(input.front());
  const Bytes payload = input.subspan(1);
  const unsigned kind = choice % 4;
  storage::Bytes file(payload.begin(), payload.end());
  if ((choice & 128U) == 0) {
    const uint32_t magic = kind == 0   ? magic_of(encode_table({.streams = {TableStream{}}}, {}, 0))
                           : kind == 1 ? magic_of(SegmentIndex(0).encode())
                           : kind == 2 ? magic_of(ProducerState().encode(0))
                                       : magic_of(EpochCache().encode());
    // Of tables all versions are read.
    const auto version = static_cast<uint16_t>(kind == 0 ? 1 + choice / 4 % kTableVersion : 1);
    file = make_frame(magic, version, payload);
  }
  const ExactCopy exact(file);
  const AllocationBudget budget(256 * input.size() + 65536);
  switch (kind) {
    case 0:
      return check_table(exact.view());
    case 1:
      return check_index(exact.view());
    case 2:
      return check_producers(exact.view());
    default:
      return check_epochs(exact.view());
  }
}

}  // namespace posthaste::fuzz
