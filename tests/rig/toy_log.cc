#include "tests/rig/toy_log.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace posthaste::rig {

using reactor::File;
using reactor::IoClass;
using reactor::Task;

namespace {

constexpr const char* kPath = "/toy.log";
constexpr const char* kNewPath = "/toy.new";

// A torn write may leave garbage in each sector that it touches: no flush touches one of an earlier flush.
constexpr size_t kSectorBytes = 512;

// What stands before the entries of one flush. It is found whole or not at all.
struct BatchHead {
  uint64_t checksum = 0;  // of its place in the file and its entries
  uint64_t bytes = 0;     // of its entries
};

// What stands before each entry. The filler behind it makes batches of several sectors.
struct EntryHead {
  int64_t offset = 0;  // of the record; of a truncation: where it cut
  uint64_t payload = 0;
  int32_t epoch = 0;
  uint16_t truncation = 0;
  uint16_t filler_bytes = 0;
};
constexpr uint64_t kFillerBytesMax = 700;

uint64_t checksum_of(std::span<const std::byte> entries, uint64_t place) {
  return XXH3_64bits_withSeed(entries.data(), entries.size(), place);
}

size_t round_up(size_t bytes) { return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes; }

std::vector<std::byte> batch_of(std::span<const std::byte> entries, uint64_t place) {
  const BatchHead head{checksum_of(entries, place), entries.size()};
  std::vector<std::byte> batch(round_up(sizeof head + entries.size()));
  std::memcpy(batch.data(), &head, sizeof head);
  if (!entries.empty()) std::memcpy(batch.data() + sizeof head, entries.data(), entries.size());
  return batch;
}

}  // namespace

void ToyLog::add_entry(bool truncation, const ReplicaRecord& record) {
  EntryHead head{.offset = record.offset, .payload = record.payload_hash, .epoch = record.epoch};
  head.truncation = truncation ? 1 : 0;
  head.filler_bytes = static_cast<uint16_t>(record.payload_hash % kFillerBytesMax);
  const size_t begin = unwritten_.size();
  unwritten_.resize(begin + sizeof head + head.filler_bytes, std::byte{0x5a});
  std::memcpy(unwritten_.data() + begin, &head, sizeof head);
}

void ToyLog::append(const ReplicaRecord& record) {
  CHECK(record.offset == end(), "record {} is appended at {}", record.offset, end());
  records_.push_back(record);
  add_entry(false, record);
  changed_.notify_all();
  work_.set();
}

void ToyLog::truncate(int64_t offset) {
  if (offset >= end()) return;
  records_.resize(static_cast<size_t>(offset));
  durable_ = std::min(durable_, offset);
  flushing_to_ = std::min(flushing_to_, offset);
  add_entry(true, {.offset = offset});
  changed_.notify_all();
  work_.set();
}

int64_t ToyLog::end_of_epoch(int32_t epoch) const {
  const auto after = std::ranges::upper_bound(records_, epoch, {}, &ReplicaRecord::epoch);
  return after - records_.begin();
}

Task<void> ToyLog::flush_loop() {
  for (;;) {
    co_await work_.wait();
    work_.reset();
    const uint64_t place = file_bytes_;
    const std::vector<std::byte> bytes = batch_of(std::exchange(unwritten_, {}), place);
    file_bytes_ += bytes.size();
    flushing_to_ = end();
    CHECK((co_await file_.write(place, bytes, 0, IoClass::kJournal)).has_value());
    CHECK((co_await file_.sync()).has_value());
    durable_ = std::max(durable_, flushing_to_);
    CHECK(durable_ <= end(), "durable {} beyond the end {}", durable_, end());
    changed_.notify_all();
  }
}

// --- Recovery.

Task<std::vector<std::byte>> ToyLog::read_file() {
  std::vector<std::byte> bytes;
  auto file = co_await File::open(core_, kPath, reactor::kOpenRead);
  if (!file) co_return bytes;
  const auto stat = co_await reactor::file_system::stat(core_, kPath);
  CHECK(stat.has_value());
  bytes.resize(stat->size_bytes);
  const auto got = co_await file->read(0, bytes, IoClass::kColdRead);
  CHECK(got.has_value());
  bytes.resize(*got);
  CHECK((co_await file->close()).has_value());
  co_return bytes;
}

void ToyLog::replay(std::span<const std::byte> file) {
  uint64_t place = 0;
  while (file.size() - place >= sizeof(BatchHead)) {
    BatchHead head;
    std::memcpy(&head, file.data() + place, sizeof head);
    if (head.bytes > file.size() - place - sizeof head) return;
    const auto entries = file.subspan(place + sizeof head, head.bytes);
    if (checksum_of(entries, place) != head.checksum) return;
    replay_batch(entries);
    place += round_up(sizeof head + head.bytes);
    if (place > file.size()) return;
  }
}

void ToyLog::replay_batch(std::span<const std::byte> entries) {
  while (!entries.empty()) {
    EntryHead head;
    CHECK(entries.size() >= sizeof head, "half an entry in a whole batch");
    std::memcpy(&head, entries.data(), sizeof head);
    entries = entries.subspan(sizeof head + head.filler_bytes);
    if (head.truncation != 0) {
      records_.resize(static_cast<size_t>(head.offset));
    } else {
      CHECK(head.offset == end(), "the log file holds record {} at {}", head.offset, end());
      records_.push_back({head.offset, head.epoch, head.payload});
    }
  }
}

// What a killed process left in the page cache is not durable: all of it goes to a file that is, by another name first.
Task<void> ToyLog::write_anew() {
  for (const ReplicaRecord& record : records_) add_entry(false, record);
  auto file = co_await File::open(core_, kNewPath, reactor::kOpenWrite | reactor::kOpenCreate);
  CHECK(file.has_value());
  file_ = *file;
  CHECK((co_await file_.truncate(0)).has_value());
  const std::vector<std::byte> bytes = batch_of(std::exchange(unwritten_, {}), 0);
  file_bytes_ = bytes.size();
  CHECK((co_await file_.write(0, bytes, 0, IoClass::kJournal)).has_value());
  CHECK((co_await file_.sync()).has_value());
  CHECK((co_await reactor::file_system::rename(core_, kNewPath, kPath)).has_value());
  CHECK((co_await reactor::file_system::sync_directory(core_, "/")).has_value());
}

Task<void> ToyLog::open() {
  const std::vector<std::byte> bytes = co_await read_file();
  replay(bytes);
  co_await write_anew();
  durable_ = flushing_to_ = end();
}

}  // namespace posthaste::rig
