#include "storage/journal/journal_scan_v2.h"

#include <algorithm>

#include "storage/bytes/endian.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

Task<Result<void>> OldJournalReader::load(const std::string& path) {
  if (loaded_ == path) co_return Result<void>();
  auto bytes = co_await read_file(core_, path);
  if (!bytes) co_return failure(bytes.error());
  bytes_ = std::move(*bytes);
  loaded_ = path;
  co_return Result<void>();
}

// A file whose header is unreadable still says where it starts, if a commit of this stream is in it.
std::optional<uint64_t> OldJournalReader::start_from_commits() const {
  for (uint64_t at = kBlock; at + kBlock <= bytes_.size(); at += kBlock) {
    const auto lsn = load_le<uint64_t>(bytes_.data() + at + 32);
    if (lsn >= at - kBlock && decode_commit_header(ByteView(bytes_).subspan(at), stream_.id, lsn)) {
      return lsn - (at - kBlock);
    }
  }
  return std::nullopt;
}

Task<Result<void>> OldJournalReader::look_at(std::string path) {
  auto found = co_await reactor::file_system::stat(core_, path);
  if (!found) co_return failure(found.error());
  if (found->size_bytes < 2 * kBlock) co_return Result<void>();
  auto start = co_await read_journal_start(core_, path);
  if (!start) co_return failure(start.error());
  ScannedFile file{path, 0, found->size_bytes};
  const auto header = decode_file_header(*start);
  if (!header && header.error() == Errc::kUnsupported) co_return failure(Errc::kUnsupported);
  if (header) {
    lsn_ceiling_ = std::max(lsn_ceiling_, header->start_lsn + file.bytes);
    if (header->stream != stream_.id) {
      if (is_of_later_life(*header, stream_)) rotten(header->start_lsn, path + " is newer than the tables");
      co_return Result<void>();
    }
    file.start_lsn = header->start_lsn;
    // Not the size that is found: of a file that a killed process has just made, a power loss may leave only what
    // commits have made durable.
    file.bytes = header->file_bytes;
  } else {
    if (auto loaded = co_await load(path); !loaded) co_return loaded;
    const auto start_lsn = start_from_commits();
    if (!start_lsn) co_return Result<void>();
    file.start_lsn = *start_lsn;
    if (*start_lsn >= stream_.low_water_lsn) ++repaired_;
  }
  lsn_ceiling_ = std::max(lsn_ceiling_, file.start_lsn + file.bytes);
  if (file.start_lsn >= stream_.low_water_lsn) files_.push_back(std::move(file));
  co_return Result<void>();
}

Task<Result<void>> OldJournalReader::open() {
  auto listed = co_await reactor::file_system::list_directory(core_, directory_);
  if (!listed) co_return listed.error() == Errc::kNotFound ? Result<void>() : failure(listed.error());
  for (const auto& entry : *listed) {
    if (!entry.name.ends_with(".wal")) continue;
    if (auto looked = co_await look_at(fmt::format("{}/{}", directory_, entry.name)); !looked) co_return looked;
  }
  std::ranges::sort(files_, {}, &ScannedFile::start_lsn);
  for (const ScannedFile& file : files_) {
    if (auto durable = co_await make_durable(core_, file.path); !durable) co_return durable;
  }
  // Each starts where the one before ends. A hole is a file that was lost as a whole.
  uint64_t expected = stream_.low_water_lsn;
  for (const ScannedFile& file : files_) {
    if (file.start_lsn != expected) {
      rotten(expected, fmt::format("the file before {} is missing", file.path));
      break;
    }
    expected = file.end_lsn();
  }
  rewind();
  co_return Result<void>();
}

void OldJournalReader::rewind() {
  file_ = 0;
  offset_ = kBlock;
  sequence_ = 0;
  end_lsn_ = stream_.low_water_lsn;
}

bool OldJournalReader::take_commit(Commit& commit) {
  const ScannedFile& file = files_[file_];
  if (offset_ + kBlock > bytes_.size()) return false;
  const uint64_t lsn = file.start_lsn + offset_ - kBlock;
  const ByteView rest = ByteView(bytes_).subspan(offset_);
  const auto header = decode_commit_header(rest, stream_.id, lsn);
  if (!header || (sequence_ != 0 && header->sequence != sequence_ + 1)) return false;
  auto sub_blocks = open_sub_blocks(*header, rest);
  if (!sub_blocks) return false;
  commit = {lsn, header->flags, std::move(*sub_blocks)};
  sequence_ = header->sequence;
  offset_ += header->total_bytes;
  end_lsn_ = lsn + header->total_bytes;
  return true;
}

Task<Result<std::optional<OldJournalReader::Commit>>> OldJournalReader::next() {
  Commit commit;
  for (; file_ < files_.size() && !rot_lsn_; ++file_, offset_ = kBlock) {
    if (auto loaded = co_await load(files_[file_].path); !loaded) co_return failure(loaded.error());
    const uint64_t stopped_at = offset_;
    if (take_commit(commit)) co_return std::optional(std::move(commit));
    // The rest of this file is empty if the sequence goes on at the start of the next one.
    if (file_ + 1 == files_.size()) {
      offset_ = stopped_at;
      break;
    }
    if (auto loaded = co_await load(files_[file_ + 1].path); !loaded) co_return failure(loaded.error());
    const ByteView first = ByteView(bytes_).subspan(kBlock);
    const auto header = decode_commit_header(first, stream_.id, files_[file_ + 1].start_lsn);
    const bool goes_on =
        header && header->sequence == sequence_ + 1 && sequence_ != 0 && open_sub_blocks(*header, first).has_value();
    if (!goes_on) break;
  }
  if (!rot_lsn_) {
    if (auto looked = co_await look_behind(); !looked) co_return failure(looked.error());
  }
  co_return std::optional<Commit>();
}

// Behind the last commit: what is readable there shows whether something before it was lost.
void OldJournalReader::scan_for_rot(const ScannedFile& file, uint64_t from_offset) {
  for (uint64_t at = from_offset; at + kBlock <= bytes_.size() && !rot_lsn_; at += kBlock) {
    const uint64_t lsn = file.start_lsn + at - kBlock;
    const auto header = decode_commit_header(ByteView(bytes_).subspan(at), stream_.id, lsn);
    // A commit that was under way where the log ends: part of it arrived.
    if (lsn == end_lsn_ && load_le<uint64_t>(bytes_.data() + at + 32) == lsn) torn_ = true;
    if (!header) continue;
    if (header->durable_lsn > end_lsn_ || (sequence_ != 0 && header->sequence > sequence_ + 1)) {
      rotten(end_lsn_, file.path + " holds a later commit");
    }
  }
}

Task<Result<void>> OldJournalReader::look_behind() {
  for (size_t i = file_; i < files_.size() && !rot_lsn_; ++i) {
    if (auto loaded = co_await load(files_[i].path); !loaded) co_return loaded;
    scan_for_rot(files_[i], i == file_ ? offset_ : kBlock);
  }
  co_return Result<void>();
}

}  // namespace posthaste::storage
