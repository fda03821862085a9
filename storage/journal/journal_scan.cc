#include "storage/journal/journal_scan.h"

#include <algorithm>
#include <charconv>

#include "storage/bytes/endian.h"
#include "storage/journal/journal_files.h"
#include "storage/journal/journal_scan_v2.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;

Task<Result<Bytes>> read_file(reactor::Core& core, std::string path) {
  auto found = co_await reactor::file_system::stat(core, path);
  if (!found) co_return failure(found.error());
  auto file = co_await File::open(core, path, reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  Bytes bytes(found->size_bytes);
  Result<uint64_t> got = uint64_t{0};
  if (!bytes.empty()) got = co_await file->read(0, bytes, reactor::IoClass::kLiveRead);
  (void)co_await file->close();
  if (!got) co_return failure(got.error());
  bytes.resize(*got);
  co_return bytes;
}

Task<Result<void>> make_durable(reactor::Core& core, std::string path) {
  if (reactor::planted(kBugs["read-not-made-durable"])) co_return Result<void>();
  auto file = co_await File::open(core, path, reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  Result<void> synced = co_await file->sync();
  (void)co_await file->close();
  co_return synced;
}

Task<Result<Bytes>> read_journal_start(reactor::Core& core, std::string path) {
  auto file = co_await File::open(core, path, reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  Bytes bytes(2 * kBlock);
  auto got = co_await file->read(0, bytes, reactor::IoClass::kLiveRead);
  (void)co_await file->close();
  if (!got) co_return failure(got.error());
  bytes.resize(*got);
  co_return bytes;
}

bool is_of_later_life(const JournalFileHeader& header, const TableStream& stream) {
  return header.sequence != 0 && header.stream != stream.id && header.start_lsn >= stream.low_water_lsn;
}

std::unique_ptr<JournalReader> make_journal_reader(reactor::Core& core, std::string directory, TableStream stream,
                                                   uint16_t table_version) {
  if (table_version < 3) return std::make_unique<OldJournalReader>(core, std::move(directory), std::move(stream));
  return std::make_unique<PairedJournalReader>(core, std::move(directory), std::move(stream));
}

namespace {
// Of "03.wal": 3.
std::optional<uint16_t> slot_of(std::string_view name) {
  if (!name.ends_with(".wal")) return std::nullopt;
  uint16_t slot = 0;
  const std::string_view digits = name.substr(0, name.size() - 4);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), slot);
  if (parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) return std::nullopt;
  return slot;
}

// The newest commit of the stream in a file, by what it says of the file's use.
std::optional<CommitHeader> newest_commit(ByteView bytes, const StreamId& stream) {
  std::optional<CommitHeader> newest;
  for (uint64_t at = kBlock; at + kBlock <= bytes.size(); at += kBlock) {
    auto header = peek_commit_header(bytes.subspan(at), stream);
    if (header && (!newest || header->file_sequence >= newest->file_sequence)) newest = std::move(*header);
  }
  return newest;
}
}  // namespace

Task<Result<void>> PairedJournalReader::look_at(const std::string& name) {
  const auto slot = slot_of(name);
  if (!slot) co_return Result<void>();
  const std::string path = fmt::format("{}/{}", directory_, name);
  auto start = co_await read_journal_start(core_, path);
  if (!start) {
    if (start.error() != Errc::kIoError) co_return failure(start.error());
    rotten(stream_.low_water_lsn, fmt::format("{} cannot be read (I/O error)", path));
    co_return Result<void>();
  }
  const auto header = decode_file_header(*start);
  if (!header && header.error() == Errc::kUnsupported) co_return failure(Errc::kUnsupported);
  if (!header) co_return co_await look_without_header(path, name);
  take_file(*header, path, name);
  co_return Result<void>();
}

// A file whose header is unreadable still says what it is, if a commit that is needed is in it.
Task<Result<void>> PairedJournalReader::look_without_header(const std::string& path, const std::string& name) {
  auto bytes = co_await read_file(core_, path);
  if (!bytes) co_return failure(bytes.error());
  const auto commit = newest_commit(*bytes, stream_.id);
  if (commit && commit->file_start_lsn >= stream_.low_water_lsn) {
    ++repaired_;
    take_file({.slot = commit->slot,
               .stream = stream_.id,
               .sequence = commit->file_sequence,
               .start_lsn = commit->file_start_lsn,
               .file_bytes = stream_.file_bytes},
              path, name);
    co_return Result<void>();
  }
  const uint16_t slot = *slot_of(name);
  if (missing_text_.size() <= slot) missing_text_.resize(slot + size_t{1});
  missing_text_[slot] = bytes->empty()               ? "is empty"
                        : bytes->size() < 2 * kBlock ? fmt::format("has only {} bytes", bytes->size())
                                                     : "has no readable header";
  co_return Result<void>();
}

// What counts is what a file says of itself, not the name that it is found under.
void PairedJournalReader::take_file(const JournalFileHeader& header, const std::string& path, const std::string& name) {
  lsn_ceiling_ = std::max(lsn_ceiling_, header.start_lsn + 2 * header.file_bytes);
  if (is_of_later_life(header, stream_)) {
    return rotten(header.start_lsn, fmt::format("{} was written by a later life of this folder than its tables: one of "
                                                "them was put back from another copy",
                                                path));
  }
  if (header.version < kJournalVersion) return;
  whole_.push_back(header.slot);
  if (header.sequence == 0 || header.stream != stream_.id || header.start_lsn < stream_.low_water_lsn) return;
  auto pair = std::ranges::find(pairs_, header.sequence, &Pair::sequence);
  if (pair == pairs_.end()) {
    pairs_.push_back({header.sequence, header.start_lsn, header.file_bytes, {}});
    pair = pairs_.end() - 1;
  }
  Half& half = pair->halves[header.slot % 2];
  // Of two copies of one file the one in its place counts.
  if (half.path.empty() || slot_of(name) == header.slot) half = {path, header.slot};
}

std::string PairedJournalReader::describe(uint16_t slot) const {
  const std::string path = journal_file_path(directory_, slot);
  if (slot < missing_text_.size() && !missing_text_[slot].empty()) {
    return fmt::format("{} {}", path, missing_text_[slot]);
  }
  return std::ranges::find(whole_, slot) == whole_.end() ? fmt::format("{} is missing", path)
                                                         : fmt::format("{} is not the file that was there", path);
}

Task<Result<bool>> PairedJournalReader::holds_commit(const Half& half, uint64_t sequence) {
  auto bytes = co_await read_file(core_, half.path);
  if (!bytes) co_return failure(bytes.error());
  const auto commit = newest_commit(*bytes, stream_.id);
  co_return commit && commit->file_sequence == sequence;
}

// Both headers of a pair are durable before its first commit, the even one first.
Task<Result<void>> PairedJournalReader::check_halves() {
  for (const Pair& pair : pairs_) {
    for (size_t side = 0; side < 2; ++side) {
      if (!pair.halves[side].path.empty()) continue;
      const Half& other = pair.halves[1 - side];
      auto committed = co_await holds_commit(other, pair.sequence);
      if (!committed) co_return failure(committed.error());
      if (side == 1 && !*committed) continue;
      rotten(pair.start_lsn, describe(static_cast<uint16_t>(other.slot / 2 * 2 + side)));
    }
  }
  co_return Result<void>();
}

void PairedJournalReader::check_table_files() {
  const auto is_whole = [this](uint16_t slot) { return std::ranges::find(whole_, slot) != whole_.end(); };
  for (const uint16_t pair : stream_.pairs) {
    const auto even = static_cast<uint16_t>(2 * pair);
    const auto odd = static_cast<uint16_t>(2 * pair + 1);
    // One of them says whether the other was in use.
    if (!is_whole(even) && !is_whole(odd)) {
      rotten(stream_.low_water_lsn, fmt::format("{} and {}", describe(even), describe(odd)));
    }
  }
  if (pairs_.empty() ? stream_.in_use : pairs_.front().start_lsn != stream_.low_water_lsn) {
    rotten(stream_.low_water_lsn, fmt::format("no file in {} starts there, as the table says", directory_));
  }
}

Task<Result<void>> PairedJournalReader::open() {
  auto listed = co_await reactor::file_system::list_directory(core_, directory_);
  if (!listed && listed.error() != Errc::kNotFound) co_return failure(listed.error());
  if (listed) {
    for (const auto& entry : *listed) {
      if (auto looked = co_await look_at(entry.name); !looked) co_return looked;
    }
  }
  std::ranges::sort(pairs_, {}, &Pair::sequence);
  for (const Pair& pair : pairs_) {
    for (const Half& half : pair.halves) {
      if (half.path.empty()) continue;
      if (auto durable = co_await make_durable(core_, half.path); !durable) co_return durable;
    }
  }
  if (auto checked = co_await check_halves(); !checked) co_return checked;
  if (!reactor::planted(kBugs["missing-journal-empty"])) check_table_files();
  rewind();
  co_return Result<void>();
}

void PairedJournalReader::rewind() {
  pair_ = 0;
  offset_ = {kBlock, kBlock};
  sequence_ = 0;
  end_lsn_ = stream_.low_water_lsn;
}

Task<Result<void>> PairedJournalReader::load(size_t pair) {
  if (loaded_ == pair) co_return Result<void>();
  for (size_t side = 0; side < 2; ++side) {
    bytes_[side].clear();
    const std::string& path = pairs_[pair].halves[side].path;
    if (path.empty()) continue;
    auto bytes = co_await read_file(core_, path);
    if (!bytes) co_return failure(bytes.error());
    bytes_[side] = std::move(*bytes);
  }
  loaded_ = pair;
  co_return Result<void>();
}

bool PairedJournalReader::take_commit(Commit& commit) {
  const Pair& pair = pairs_[pair_];
  for (size_t side = 0; side < 2; ++side) {
    uint64_t& at = offset_[side];
    if (at + kBlock > bytes_[side].size()) continue;
    const ByteView rest = ByteView(bytes_[side]).subspan(at);
    const auto header = decode_commit_header(rest, stream_.id, end_lsn_);
    if (!header || (sequence_ != 0 && header->sequence != sequence_ + 1)) continue;
    if (header->file_sequence != pair.sequence || header->slot % 2 != side || header->block != at / kBlock) continue;
    auto sub_blocks = open_sub_blocks(*header, rest);
    if (!sub_blocks) continue;
    commit = {header->lsn, header->flags, std::move(*sub_blocks)};
    sequence_ = header->sequence;
    at += header->total_bytes;
    end_lsn_ += header->total_bytes;
    lsn_ceiling_ = std::max(lsn_ceiling_, end_lsn_);
    return true;
  }
  return false;
}

Task<Result<std::optional<JournalReader::Commit>>> PairedJournalReader::next() {
  Commit commit;
  while (pair_ < pairs_.size() && !rot_lsn_) {
    if (auto loaded = co_await load(pair_); !loaded) co_return failure(loaded.error());
    if (take_commit(commit)) co_return std::optional(std::move(commit));
    // A pair is taken into use when all commits of the one before are complete.
    if (pair_ + 1 == pairs_.size() || pairs_[pair_ + 1].start_lsn != end_lsn_) break;
    ++pair_;
    offset_ = {kBlock, kBlock};
  }
  if (!rot_lsn_ && pair_ < pairs_.size()) look_behind();
  co_return std::optional<Commit>();
}

// Behind the last commit: what is there shows whether something before it was lost.
void PairedJournalReader::look_behind() {
  const Pair& pair = pairs_[pair_];
  if (pair_ + 1 < pairs_.size()) {
    return rotten(end_lsn_, fmt::format("a commit in {} or {} cannot be read, and later files are there",
                                        pair.halves[0].path, pair.halves[1].path));
  }
  for (size_t side = 0; side < 2; ++side) {
    const Bytes& bytes = bytes_[side];
    const std::string& path = pair.halves[side].path;
    const uint64_t next = offset_[side];
    if (!path.empty() && next + kBlock > bytes.size() && bytes.size() < pair.file_bytes) {
      return rotten(end_lsn_, fmt::format("{} has only {} of {} bytes", path, bytes.size(), pair.file_bytes));
    }
    // A commit that was under way where the log ends: part of it arrived.
    if (next + kBlock <= bytes.size() && load_le<uint64_t>(bytes.data() + next + 32) == end_lsn_) torn_ = true;
    for (uint64_t at = next; at + kBlock <= bytes.size(); at += kBlock) {
      const auto header = peek_commit_header(ByteView(bytes).subspan(at), stream_.id);
      if (!header || header->file_sequence != pair.sequence || header->lsn <= end_lsn_) continue;
      return rotten(
          end_lsn_,
          fmt::format("a commit in {} or {} cannot be read, and the one at byte {} of {} was written after it",
                      pair.halves[0].path, pair.halves[1].path, at, path));
    }
  }
}

}  // namespace posthaste::storage
