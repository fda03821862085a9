#include "storage/recovery/recovery.h"

#include <algorithm>
#include <set>

#include "storage/bytes/codec.h"
#include "storage/folder_names.h"
#include "storage/log/header_proof.h"
#include "storage/planted_bugs.h"
#include "storage/space/space_reserve.h"

namespace posthaste::storage {

using reactor::CoreId;
using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

std::string Recovery::folder_of(const TableEntry& entry) {
  return *partition_folder(entry.topic_name, entry.partition);
}

std::string Recovery::directory_of(const TableEntry& entry) const {
  return fmt::format("{}/{}", host_.options_.data_directory, folder_of(entry));
}

// Names come from disk and become paths. None that could not be a folder was ever taken into a table or a journal.
bool Recovery::can_have_folder(const std::string& topic_name, int32_t partition) {
  if (partition_folder(topic_name, partition)) return true;
  if (host_.error_text_.empty()) {
    host_.error_text_ = fmt::format("a table or journal names partition {} of {}, for which there can be no folder",
                                    partition, some_of({topic_name}));
  }
  return false;
}

std::string Recovery::segment_of(const TableEntry& entry, int64_t base, std::string_view extension) const {
  return fmt::format("{}/{}", directory_of(entry), segment_file(base, extension));
}

void Recovery::damage(Replay& replay, std::string reason) {
  if (replay.entry.damage.damaged) return;
  replay.entry.damage = {true, replay.boundary_offset, std::move(reason)};
}

Task<Result<void>> Recovery::lock() {
  const std::string& root = host_.options_.data_directory;
  auto made = co_await file_system::make_directory(core_, root);
  if (!made && made.error() != Errc::kExists) co_return made;
  auto lock =
      co_await File::open(core_, root + "/.lock", reactor::kOpenWrite | reactor::kOpenCreate | reactor::kOpenLock);
  if (!lock) co_return failure(lock.error());
  host_.lock_ = *lock;
  co_return Result<void>();
}

Task<Result<bool>> Recovery::any_journal() {
  const std::string journal = host_.options_.data_directory + "/journal";
  auto streams = co_await file_system::list_directory(core_, journal);
  if (!streams) co_return streams.error() == Errc::kNotFound ? Result<bool>(false) : failure(streams.error());
  for (const auto& stream : *streams) {
    auto files = co_await file_system::list_directory(core_, fmt::format("{}/{}", journal, stream.name));
    if (files && !files->empty()) co_return true;
  }
  co_return false;
}

Task<Result<void>> Recovery::read_tables() {
  uint32_t present = 0;
  uint32_t whole = 0;
  std::optional<size_t> missing;
  for (size_t slot = 0; slot < 2; ++slot) {
    auto bytes = co_await read_file(core_, host_.table_path(slot));
    if (!bytes && bytes.error() == Errc::kNotFound) {
      missing = slot;
      continue;
    }
    if (!bytes && bytes.error() != Errc::kIoError) co_return failure(bytes.error());
    ++present;
    Result<TableSnapshot> table = bytes ? decode_table(*bytes) : failure(Errc::kCorrupt);
    if (!table && table.error() == Errc::kUnsupported) {
      host_.error_text_ =
          fmt::format("{} was written by a newer version; the folder is untouched", host_.table_path(slot));
      co_return failure(Errc::kUnsupported);
    }
    if (!table) {
      note(fmt::format("{} is not readable; the other one is used", host_.table_path(slot)));
      continue;
    }
    ++whole;
    if (table->number >= table_.number) {
      table_ = std::move(*table);
      newest_slot_ = slot;
    }
  }
  if (whole > 0) {
    if (whole == 1) ++report_.repaired;
    const std::string& owner = host_.options_.owner;
    if (!table_.owner.empty() && !owner.empty() && table_.owner != owner) {
      host_.error_text_ = fmt::format(
          "{} belongs to {}, and this folder to {}: one of them was put here from another folder. Nothing was changed",
          host_.table_path(newest_slot_), table_.owner, owner);
      co_return failure(Errc::kDamaged);
    }
    if (missing) note(fmt::format("{} is missing; the other one is used", host_.table_path(*missing)));
    // The other slot is written next: this one must stay, whatever happens then. Its name too: who was killed may have
    // made it and not yet have flushed the folder. Or it may have moved a deleted partition's folder aside: later
    // tables do not name that one any more, and if it came back it would be taken for another program's.
    auto durable = co_await make_durable(core_, host_.table_path(newest_slot_));
    if (!durable || planted(kBugs["table-name-not-durable"])) co_return durable;
    co_return co_await file_system::sync_directory(core_, host_.options_.data_directory);
  }
  // Tables are written before the first journal file is made: without one, this folder never held anything.
  auto journal = co_await any_journal();
  if (!journal) co_return failure(journal.error());
  if (*journal || host_.options_.must_exist) {
    host_.error_text_ = fmt::format(
        "{} and {} are {}, though {}: which partitions there are cannot be known without them. Put back the whole "
        "folder "
        "from one copy, or choose another one. Nothing was changed",
        host_.table_path(0), host_.table_path(1), present == 0 ? "missing" : "unreadable",
        *journal ? "the journal is there" : "this folder has been in use");
    co_return failure(Errc::kDamaged);
  }
  report_.created = true;
  // The folder's own name, also if an earlier start has made it and was killed before it was durable. Where its parent
  // may not be opened by this user, another user has made the folder.
  const std::string& root = host_.options_.data_directory;
  const size_t slash = root.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : root.substr(0, slash);
  auto synced = co_await file_system::sync_directory(core_, parent);
  if (!synced && synced.error() != Errc::kPermission) co_return synced;
  co_return Result<void>();
}

Task<Result<void>> Recovery::replay_meta(JournalReader& reader) {
  progress_.begin("reading the journal", "journal files", reader.files());
  for (;;) {
    if (core_.stopping()) co_return failure(Errc::kStopping);
    auto commit = co_await reader.next();
    progress_.done = reader.files_read();
    if (!commit) co_return failure(commit.error());
    if (!*commit) co_return Result<void>();
    for (const ByteView sub_block : (*commit)->sub_blocks) {
      RecordCursor cursor(sub_block);
      for (;;) {
        auto record = cursor.next();
        if (!record) co_return failure(record.error());
        if (!*record) break;
        if ((*record)->type == RecordType::kDataInline) continue;
        if ((*record)->type == RecordType::kCreate &&
            !can_have_folder(std::string((*record)->topic_name), (*record)->partition)) {
          co_return failure(Errc::kCorrupt);
        }
        apply_meta((*commit)->lsn, **record);
      }
    }
  }
}

Task<Result<void>> Recovery::replay_data(JournalReader& reader) {
  progress_.begin("writing what the journal holds to the segments", "journal files", reader.files());
  for (;;) {
    if (core_.stopping()) co_return failure(Errc::kStopping);
    auto commit = co_await reader.next();
    progress_.done = reader.files_read();
    if (!commit) co_return failure(commit.error());
    if (!*commit) co_return Result<void>();
    for (const ByteView sub_block : (*commit)->sub_blocks) {
      RecordCursor cursor(sub_block);
      for (;;) {
        auto record = cursor.next();
        if (!record) co_return failure(record.error());
        if (!*record) break;
        if ((*record)->type != RecordType::kDataInline) continue;
        const auto found = partitions_.find((*record)->uid);
        if (found == partitions_.end() || found->second.entry.deleted) continue;
        auto applied = co_await apply_data(found->second, **record);
        if (!applied) {
          host_.error_text_ = fmt::format("{}: {}", directory_of(found->second.entry), to_string(applied.error()));
          co_return applied;
        }
      }
    }
  }
}

void Recovery::create(uint64_t lsn, const JournalRecord& record) {
  if (partitions_.contains(record.uid)) return;
  Replay replay;
  replay.entry = {.uid = record.uid,
                  .topic_id = record.topic_id,
                  .topic_name = std::string(record.topic_name),
                  .partition = record.partition,
                  .core = record.core,
                  .last_meta_lsn = lsn,
                  .segments = {{.base_offset = record.first_offset}}};
  const SegmentPosition start{record.first_offset, 0};
  replay.entry.flushed = replay.entry.released = replay.entry.end = start;
  replay.entry.end_offset = replay.entry.log_start = replay.entry.high_watermark = record.first_offset;
  replay.scan_from = start;
  replay.scan_offset = record.first_offset;
  partitions_.emplace(record.uid, std::move(replay));
  table_.next_uid = std::max(table_.next_uid, record.uid + 1);
}

void Recovery::truncate(Replay& replay, const JournalRecord& record) {
  TableEntry& entry = replay.entry;
  while (entry.segments.size() > 1 && entry.segments.back().base_offset > record.segment_base) {
    entry.segments.pop_back();
  }
  const SegmentPosition to{record.segment_base, record.position};
  entry.segments.back().size_bytes = record.position;
  entry.generation = record.generation;
  entry.flushed = entry.released = entry.end = to;
  entry.end_offset = record.first_offset;
  entry.high_watermark = std::min(entry.high_watermark, record.first_offset);
  // A damaged log is cut below its damage.
  if (!replay.is_broken) entry.damage = {};
  // All that is left was flushed before this record was written.
  if (record.position > 0 || entry.segments.size() > 1) entry.directory_created = true;
  entry.epochs.truncate_from_end(record.first_offset);
  if (entry.holes_from >= record.first_offset) entry.holes_from = kNoHoles;
  // A header proof of more than is left says nothing: what is left is read from a segment's start again.
  const auto proof = proof_behind(entry.producers);
  const bool proof_cut = proof && SegmentPosition{proof->segment_base, proof->position} > to;
  if (replay.scan_offset > record.first_offset || proof_cut) {
    replay.producers_lost = true;
    replay.scan_from = to;
    replay.scan_offset = record.first_offset;
  }
}

// Nothing of before counts any more: neither damage nor what stands in files under the new segment's name.
void Recovery::reset(Replay& replay, const JournalRecord& record) {
  TableEntry& entry = replay.entry;
  const SegmentPosition start{record.first_offset, 0};
  entry.segments = {{.base_offset = record.first_offset}};
  entry.generation = record.generation;
  entry.flushed = entry.released = entry.end = entry.producers_at = start;
  entry.end_offset = entry.log_start = entry.high_watermark = entry.producers_offset = record.first_offset;
  entry.epochs.clear();
  entry.holes_from = kNoHoles;
  entry.producers.clear();
  entry.damage = {};
  replay.scan_from = start;
  replay.scan_offset = record.first_offset;
  replay.producers_lost = replay.is_broken = false;
}

// Whole segments below the log start are gone, but never the last one.
void Recovery::drop_below_log_start(Replay& replay) {
  TableEntry& entry = replay.entry;
  while (entry.segments.size() > 1 && entry.segments[1].base_offset <= entry.log_start) {
    entry.segments.erase(entry.segments.begin());
  }
  const SegmentPosition first{entry.segments.front().base_offset, 0};
  entry.epochs.truncate_from_start(first.base_offset);
  entry.flushed = std::max(entry.flushed, first);
  entry.released = std::max(entry.released, first);
  if (entry.end < first) {
    entry.end = first;
    entry.end_offset = first.base_offset;
  }
  if (replay.scan_from < first) {
    replay.scan_from = first;
    replay.scan_offset = first.base_offset;
  }
}

void Recovery::apply_meta(uint64_t lsn, const JournalRecord& record) {
  ++report_.records_replayed;
  if (record.type == RecordType::kCreate) return create(lsn, record);
  const auto found = partitions_.find(record.uid);
  if (found == partitions_.end()) return;
  Replay& replay = found->second;
  TableEntry& entry = replay.entry;
  // The record of a creation may share its commit with what follows it.
  if (entry.deleted || lsn < entry.last_meta_lsn) return;
  if (lsn == entry.last_meta_lsn && replay.from_table) return;
  switch (record.type) {
    case RecordType::kDelete:
      entry.deleted = true;
      break;
    case RecordType::kRoll:
      if (entry.segments.back().base_offset != record.segment_base) {
        damage(replay, "a roll of a segment that is not the active one");
        replay.is_broken = true;
        break;
      }
      entry.segments.back().size_bytes = record.position;
      entry.segments.push_back({.base_offset = record.first_offset});
      break;
    case RecordType::kTruncate:
      truncate(replay, record);
      break;
    case RecordType::kReset:
      reset(replay, record);
      break;
    case RecordType::kLogStart:
      entry.log_start = std::max(entry.log_start, record.first_offset);
      break;
    case RecordType::kEpochStart:
      entry.epochs.assign(record.epoch, record.first_offset);
      break;
    case RecordType::kHoles:
      entry.holes_from = std::min(entry.holes_from, record.first_offset);
      break;
    case RecordType::kCreate:
    case RecordType::kDataInline:
      break;
  }
}

// What the data folder holds. Folders of deleted partitions go away, also what stands under the name of a partition
// that has flushed nothing as far as the table knows: its CREATE record says that the name was free, and everything is
// in the journal. All else belongs to another program: it stays as it is and is named once.
Task<Result<void>> Recovery::clean_directories() {
  const std::string& root = host_.options_.data_directory;
  std::set<std::string> live;
  std::set<std::string> stale;
  for (const auto& [uid, replay] : partitions_) {
    const TableEntry& entry = replay.entry;
    (!entry.deleted && entry.directory_created ? live : stale).insert(folder_of(entry));
  }
  auto listed = co_await file_system::list_directory(core_, root);
  if (!listed) co_return failure(listed.error());
  std::vector<std::string> foreign;
  for (const auto& entry : *listed) {
    if (is_known_name(entry.name) || live.contains(entry.name)) continue;
    Result<bool> removed = false;
    if (entry.is_directory && is_deleted_folder(entry.name)) {
      removed = co_await remove_folder(core_, fmt::format("{}/{}", root, entry.name));
    } else if (entry.is_directory && stale.contains(entry.name)) {
      removed = co_await remove_stale(entry.name, *listed);
      if (!removed && removed.error() == Errc::kPermission) {
        co_return co_await refuse_access(fmt::format("{}/{}", root, entry.name), {});
      }
      if (!removed) co_return failure(removed.error());
    }
    if (removed && !*removed) foreign.push_back(entry.name);
  }
  report_.foreign = foreign.size();
  if (!foreign.empty()) {
    note(fmt::format("{} entries of {} are not of this broker and are left alone: {}", foreign.size(), root,
                     some_of(foreign)));
  }
  for (std::string& name : foreign) {
    if (is_partition_folder(name) && !stale.contains(name)) host_.foreign_folders_.insert(std::move(name));
  }
  std::erase_if(partitions_, [](const auto& entry) { return entry.second.entry.deleted; });
  co_return Result<void>();
}

bool Recovery::is_known_name(const std::string& name) const {
  const std::vector<std::string>& owners = host_.options_.owners_entries;
  return is_engine_entry(name) || name == "lost+found" || std::ranges::find(owners, name) != owners.end();
}

// A name that no earlier start has left behind: it may have died with the same table, and it counted from 1 too.
std::string Recovery::name_aside(const std::vector<reactor::DirectoryEntry>& root_entries) {
  for (;;) {
    std::string name = deleted_folder(table_.number + 1, ++folders_moved_);
    if (std::ranges::find(root_entries, name, &reactor::DirectoryEntry::name) == root_entries.end()) return name;
  }
}

// Moved away first, whole: a crash meanwhile must not leave half of it under a partition's name. Not if it holds
// something that is not ours: then only our files go. True if nothing is left.
Task<Result<bool>> Recovery::remove_stale(const std::string& name,
                                          const std::vector<reactor::DirectoryEntry>& root_entries) {
  const std::string& root = host_.options_.data_directory;
  const std::string path = fmt::format("{}/{}", root, name);
  auto listed = co_await file_system::list_directory(core_, path);
  if (!listed) co_return failure(listed.error());
  const bool all_ours = std::ranges::all_of(*listed, [](const reactor::DirectoryEntry& entry) {
    return !entry.is_directory && segment_file_base(entry.name).has_value();
  });
  if (!all_ours) co_return co_await remove_folder(core_, path);
  const std::string aside = fmt::format("{}/{}", root, name_aside(root_entries));
  const auto moved = co_await file_system::rename(core_, path, aside);
  if (!moved && moved.error() != Errc::kNoSpace) co_return failure(moved.error());
  // No room for another name: no table is written until it is removed, so the next start tries again.
  if (!moved) {
    if (auto removed = co_await remove_folder(core_, path); !removed) co_return removed;
  }
  if (auto synced = co_await file_system::sync_directory(core_, root); !synced) co_return failure(synced.error());
  if (moved) (void)co_await remove_folder(core_, aside);  // what stays goes at the next start
  co_return true;
}

Task<Result<RecoveryReport>> Recovery::run() {
  if (auto locked = co_await lock(); !locked) co_return failure(locked.error());
  progress_.begin("reading the tables");
  if (auto read = co_await read_tables(); !read) co_return failure(read.error());
  progress_.begin("making room on the disk");
  if (auto room = co_await host_.reserve_->make_way(); !room) co_return failure(room.error());
  for (TableEntry& entry : table_.entries) {
    if (!can_have_folder(entry.topic_name, entry.partition)) co_return failure(Errc::kCorrupt);
    Replay replay;
    replay.from_table = true;
    replay.scan_from = entry.producers_at;
    replay.scan_offset = entry.producers_offset;
    replay.producers_lost = entry.producers_offset < 0;
    const Uid uid = entry.uid;
    replay.entry = std::move(entry);
    partitions_.emplace(uid, std::move(replay));
  }
  table_.entries.clear();
  if (auto replayed = co_await replay_journals(); !replayed) co_return failure(replayed.error());
  progress_.begin("finishing the partitions", "partitions", partitions_.size());
  for (auto& [uid, replay] : partitions_) {
    if (auto finished = co_await finish(replay); !finished) {
      host_.error_text_ = fmt::format("{}: {}", directory_of(replay.entry), to_string(finished.error()));
      co_return failure(finished.error());
    }
    ++progress_.done;
  }
  if (auto made = co_await make_journal_directories(); !made) co_return failure(made.error());
  if (auto written = co_await write_tables(); !written) co_return failure(written.error());
  report_.partitions = partitions_.size();
  co_return report_;
}

Task<Result<void>> Recovery::replay_journals() {
  std::vector<std::unique_ptr<JournalReader>> readers;
  const auto streams = static_cast<uint16_t>(table_.streams.size());
  for (uint16_t s = 0; s < streams; ++s) {
    readers.push_back(make_journal_reader(core_, host_.stream_directory(s), table_.streams[s], table_.version));
    lsn_ceiling_ = std::max(lsn_ceiling_, table_.streams[s].low_water_lsn);
    file_sequence_ceiling_ = std::max(file_sequence_ceiling_, table_.streams[s].next_file_sequence);
  }
  for (uint16_t s = 0; s < streams; ++s) {
    JournalReader& reader = *readers[s];
    progress_.begin("opening the journal");
    Result<void> replayed = co_await reader.open();
    if (replayed && !reader.rot_lsn()) replayed = co_await replay_meta(reader);
    if (replayed && reader.rot_lsn()) {
      host_.error_text_ = fmt::format(
          "journal stream {} is damaged at byte address {}: {}. Acked records of unknown partitions are lost there: "
          "put "
          "the file back as it was, or the whole folder from one copy. Nothing was changed",
          s, *reader.rot_lsn(), reader.rot_text());
      co_return failure(Errc::kDamaged);
    }
    if (!replayed) {
      if (host_.error_text_.empty()) {
        host_.error_text_ =
            fmt::format("journal stream {} in {}: {}", s, host_.stream_directory(s), to_string(replayed.error()));
      }
      co_return replayed;
    }
    report_.torn_commits += reader.torn() ? 1 : 0;
    report_.repaired += reader.repaired();
    lsn_ceiling_ = std::max(lsn_ceiling_, reader.lsn_ceiling());
    file_sequence_ceiling_ += host_.options_.journal_files;
  }
  if (auto usable = co_await check_access(); !usable) co_return usable;
  progress_.begin("looking through the data folder");
  if (auto cleaned = co_await clean_directories(); !cleaned) co_return cleaned;
  for (auto& [uid, replay] : partitions_) start_replay(replay);
  for (const auto& reader : readers) {
    reader->rewind();
    if (auto replayed = co_await replay_data(*reader); !replayed) co_return replayed;
  }
  co_return Result<void>();
}

}  // namespace posthaste::storage
