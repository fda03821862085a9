// Recovery: what it leaves behind. Tables that need no journal, and a journal that is ready for the first commit.
#include <algorithm>
#include <array>

#include "reactor/scope.h"
#include "storage/bytes/endian.h"
#include "storage/journal/journal_files.h"
#include "storage/journal/journal_stream.h"
#include "storage/recovery/checkpoint.h"
#include "storage/recovery/recovery.h"
#include "storage/space/space_reserve.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

Task<Result<void>> Recovery::make_journal_directories() {
  const std::string journal = host_.options_.data_directory + "/journal";
  auto made = co_await file_system::make_directory(core_, journal);
  if (!made && made.error() != Errc::kExists) co_return made;
  for (uint16_t s = 0; s < host_.options_.streams; ++s) {
    made = co_await file_system::make_directory(core_, host_.stream_directory(s));
    if (!made && made.error() != Errc::kExists) co_return made;
  }
  // The name of the journal's own folder becomes durable with those of the tables, before the first journal file is
  // made.
  co_return co_await file_system::sync_directory(core_, journal);
}

// Which pairs of files can be used as they are. Those that no table has named yet may owe their being there to the page
// cache.
Task<Result<void>> Recovery::find_journal_files(uint16_t stream) {
  const EngineOptions& options = host_.options_;
  const std::string directory = host_.stream_directory(stream);
  TableStream& next = host_.recovered_.streams[stream];
  next.file_bytes = options.journal_file_bytes;
  const auto named = stream < table_.streams.size() ? table_.streams[stream].pairs : std::vector<uint16_t>();
  bool new_names = false;
  for (uint16_t pair = 0; pair < options.journal_files / 2; ++pair) {
    const bool is_named = std::ranges::find(named, pair) != named.end();
    bool both = true;
    const std::array<uint16_t, 2> slots{static_cast<uint16_t>(2 * pair), static_cast<uint16_t>(2 * pair + 1)};
    for (const uint16_t slot : slots) {
      auto ready = co_await journal_file_is_ready(core_, directory, slot, options.journal_file_bytes);
      if (!ready) co_return failure(ready.error());
      both &= *ready;
      if (is_named && !*ready && table_.streams[stream].file_bytes == options.journal_file_bytes) {
        ++report_.repaired;
        note(fmt::format("{} was damaged or missing, held nothing that is needed, and is made again",
                         journal_file_path(directory, slot)));
      }
    }
    if (!both) continue;
    next.pairs.push_back(pair);
    if (is_named) continue;
    new_names = true;
    for (const uint16_t slot : slots) {
      if (auto durable = co_await make_durable(core_, journal_file_path(directory, slot)); !durable) co_return durable;
    }
  }
  if (new_names) co_return co_await file_system::sync_directory(core_, directory);
  co_return Result<void>();
}

Task<void> Recovery::make_file(Recovery& self, uint16_t stream, uint16_t slot, Result<void>& outcome) {
  auto made = co_await make_journal_file(self.core_, self.host_.stream_directory(stream), slot,
                                         self.host_.options_.journal_file_bytes);
  if (!made) outcome = made;
}

// Makes what is missing of the first files and takes the first pair into use.
Task<void> Recovery::start_journal(Recovery& self, uint16_t stream, Result<void>& outcome) {
  const std::string directory = self.host_.stream_directory(stream);
  TableStream& next = self.host_.recovered_.streams[stream];
  // Side by side: zeroing files one after the other was a third of the time of a first start.
  Result<void> done;
  reactor::TaskScope making(self.core_);
  for (uint16_t pair = 0; pair < JournalStream::kPairsAtStart; ++pair) {
    if (std::ranges::find(next.pairs, pair) != next.pairs.end()) continue;
    next.pairs.insert(next.pairs.begin() + pair, pair);
    for (uint16_t side = 0; side < 2; ++side) {
      making.spawn(make_file(self, stream, static_cast<uint16_t>(2 * pair + side), done));
    }
  }
  const bool is_new = making.running() > 0;
  co_await making.join();
  if (done && is_new) done = co_await file_system::sync_directory(self.core_, directory);
  JournalFileHeader header{.stream = next.id,
                           .sequence = next.next_file_sequence++,
                           .start_lsn = next.low_water_lsn,
                           .file_bytes = next.file_bytes};
  for (; done && header.slot < 2; ++header.slot) done = co_await write_journal_header(self.core_, directory, header);
  next.in_use = true;
  if (!done) outcome = done;
}

Task<Result<void>> Recovery::start_journals() {
  Result<void> outcome;
  reactor::TaskScope starting(core_);
  for (uint16_t s = 0; s < host_.options_.streams; ++s) starting.spawn(start_journal(*this, s, outcome));
  co_await starting.join();
  co_return outcome;
}

// With nothing in the journal, under the present streams and cores.
void Recovery::make_table() {
  TableSnapshot& next = host_.recovered_;
  next.number = table_.number;
  next.cores = host_.cores_;
  next.next_uid = table_.next_uid;
  next.owner = host_.options_.owner;
  // Addresses grow for ever, across lives too.
  const uint64_t start_lsn = align_up(lsn_ceiling_ + 1);
  for (uint16_t s = 0; s < host_.options_.streams; ++s) {
    TableStream stream{.low_water_lsn = start_lsn, .next_file_sequence = file_sequence_ceiling_ + 1};
    store_le<uint64_t>(stream.id.data(), core_.random());
    store_le<uint64_t>(stream.id.data() + 8, core_.random());
    next.streams.push_back(std::move(stream));
  }
  Placement& placement = host_.placement_;
  for (auto& [uid, replay] : partitions_) {
    if (replay.entry.core < host_.cores_) {
      placement.add({replay.entry.topic_id, replay.entry.partition}, replay.entry.core);
    }
  }
  for (auto& [uid, replay] : partitions_) {
    TableEntry& entry = replay.entry;
    if (entry.core >= host_.cores_) {
      entry.core = placement.choose_core(entry.topic_id);
      placement.add({entry.topic_id, entry.partition}, entry.core);
    }
    entry.last_meta_lsn = 0;
    entries_.add(entry);
    report_.damaged_partitions += entry.damage.damaged ? 1 : 0;
    next.entries.push_back(entry);
  }
}

// The older slot first: until it is durable the old one and its journals still hold everything. Then the other one:
// before any journal file is changed no table may need it; but the first table of a new folder holds nothing yet that
// the other one must know too. Then the journals, and a table that says that they are there: what is missing of them
// later was lost.
Task<Result<void>> Recovery::write_tables() {
  progress_.begin("looking at the journal's files");
  make_table();
  for (uint16_t s = 0; s < host_.options_.streams; ++s) {
    if (auto found = co_await find_journal_files(s); !found) co_return found;
  }
  progress_.begin("writing the tables");
  for (int copy = 0; copy < (report_.created ? 1 : 2); ++copy) {
    if (auto written = co_await write_table(); !written) co_return written;
  }
  progress_.begin("making the first journal files");
  if (auto started = co_await start_journals(); !started) co_return started;
  co_return co_await write_table();
}

Task<Result<void>> Recovery::write_table() {
  TableSnapshot& next = host_.recovered_;
  const size_t slot = 1 - newest_slot_;
  ++next.number;
  TableFile file(next, entries_.count(), entries_.bytes());
  for (const Bytes& piece : entries_.pieces()) file.add(piece);
  file.finish();
  auto written = co_await write_table_file(core_, host_.table_path(slot), file,
                                           host_.reserve_->gave_way() ? TableRoom::kExact : TableRoom::kAhead);
  if (!written) co_return written;
  newest_slot_ = host_.newest_slot_ = slot;
  co_return co_await file_system::sync_directory(core_, host_.options_.data_directory);
}

}  // namespace posthaste::storage
