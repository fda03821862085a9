// Record batches as a producer sends them and as a segment holds them: parsing, validation, records, headers, the index
// and the producers that follow from them. Most inputs get a checksum that fits, else the checks behind it would never
// be reached.
#include "storage/batch/record_batch.h"

#include <optional>

#include "storage/batch/record_reader.h"
#include "storage/bytes/crc32c.h"
#include "storage/bytes/endian.h"
#include "storage/log/producer_state.h"
#include "storage/log/segment_index.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {
namespace {

using namespace posthaste::storage;

constexpr reactor::WallMillis kNow{1'700'000'000'000};

// Gives the first batch a length that fits and each batch a checksum that fits.
void mend(std::vector<std::byte>& bytes, bool lengths) {
  for (size_t at = 0; at + kBatchHeaderBytes <= bytes.size();) {
    std::byte* const batch = bytes.data() + at;
    const size_t left = bytes.size() - at;
    if (lengths) {
      store_be<int32_t>(batch + 8, static_cast<int32_t>(left - kBatchLengthFieldEnd));
      store_be<int8_t>(batch + 16, kBatchMagic);
    }
    const auto length = load_be<int32_t>(batch + 8);
    if (length < 0 || static_cast<size_t>(length) + kBatchLengthFieldEnd > left) return;
    const size_t size = static_cast<size_t>(length) + kBatchLengthFieldEnd;
    if (size < kBatchHeaderBytes) return;
    store_be<uint32_t>(batch + 17, crc32c(ByteView(batch, size).subspan(kBatchCrcCoverageStart)));
    at += size;
  }
}

void check_records(const RecordBatchView& batch) {
  // From the batch's base offset on: one near the largest, which a producer may write and an append replaces, wraps.
  const auto base = static_cast<uint64_t>(batch.base_offset());
  std::optional<uint64_t> last;
  const auto walked = walk_records(batch, [&](const RecordView& record) {
    const uint64_t delta = static_cast<uint64_t>(record.offset) - base;
    require(!last || delta > *last, "offsets of records rise");
    last = delta;
    RecordHeaderReader headers(record);
    int32_t count = 0;
    while (headers.next()) ++count;
    require(count == record.header_count, "a record has the headers that it says");
  });
  (void)walked;
  (void)first_record_at_or_after(batch, kNow.value);
}

void check_segment(ByteView bytes) {
  SegmentIndexBuilder index(0);
  ProducerState producers;
  BatchCursor cursor(bytes);
  while (const auto batch = cursor.next()) {
    (void)batch->crc_matches();
    (void)batch->last_sequence();
    const bool valid = validate_structure(*batch).has_value();
    (void)validate_header(*batch, {}, kNow);
    check_records(*batch);
    if (!valid || !index.add_batch(*batch)) continue;
    (void)producers.check(*batch);
    producers.append(*batch, kNow);
  }
  require(cursor.position() <= bytes.size(), "a cursor stays within its bytes");
  const auto again = SegmentIndex::decode(index.index().encode());
  require(again.has_value() && *again == index.index(), "an index comes back from its file");
  const int64_t end = index.index().next_offset();
  const auto state = ProducerState::decode(producers.encode(end), {});
  require(state.has_value() && state->state.encode(end) == producers.encode(end),
          "producers come back from a snapshot");
  for (const int64_t wanted : {int64_t{0}, int64_t{1}, kNow.value, INT64_MAX}) {
    (void)index.index().find_offset(wanted);
    (void)index.index().find_timestamp(wanted);
    (void)find_batch_with_offset(bytes, wanted);
    (void)find_batch_with_timestamp(bytes, wanted);
  }
  (void)hash_of_run(bytes);
}

void check_produced(std::vector<std::byte> bytes) {
  const auto batch = parse_produced(bytes, {}, kNow);
  if (!batch) return;
  require(batch->size_bytes() == bytes.size(), "a produced batch fills its bytes");
  const bool matched = batch->crc_matches();
  require(validate(bytes, {}, kNow).has_value() == matched, "validate is parse_produced and the checksum");
  patch_offset_and_epoch(bytes, 1234, 5);
  patch_log_append_time(bytes, kNow);
  const auto patched = RecordBatchView::parse(bytes);
  require(patched.has_value() && patched->crc_matches() == matched, "patches keep the checksum as right as it was");
  require(patched->base_offset() == 1234 && patched->leader_epoch() == 5, "patches are there");
}

}  // namespace

void run_one(Bytes input) {
  if (input.empty()) return;
  const auto mode = std::to_integer<unsigned>(input.front()) % 3;
  std::vector<std::byte> bytes(input.begin() + 1, input.end());
  if (mode > 0) mend(bytes, mode == 2);
  const ExactCopy exact(bytes);
  const AllocationBudget budget(256 * input.size() + 65536);
  check_segment(exact.view());
  check_produced(std::move(bytes));
}

}  // namespace posthaste::fuzz
