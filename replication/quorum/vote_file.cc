// The vote on disk.
#include "replication/quorum/vote_file.h"

#include <array>

#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::replication::quorum {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;
using storage::Bytes;
using storage::ByteView;
using storage::load_le;
using storage::store_le;
namespace file_system = reactor::file_system;

namespace {

constexpr std::string_view kName = "quorum.vote";
constexpr std::string_view kUnfinished = ".new";
constexpr uint32_t kMagic = 0x45544f56;  // "VOTE"
constexpr uint32_t kFormat = 1;

// Where each field lies; the checksum covers all before it.
constexpr size_t kMagicAt = 0;
constexpr size_t kFormatAt = 4;
constexpr size_t kSequenceAt = 8;
constexpr size_t kDirectoryAt = 16;
constexpr size_t kEpochAt = 32;
constexpr size_t kVotedIdAt = 36;
constexpr size_t kVotedDirectoryAt = 40;
constexpr size_t kChecksumAt = kVoteSlotBytes - 8;

void store(std::byte* to, const DirectoryId& id) {
  store_le<uint64_t>(to, id.high);
  store_le<uint64_t>(to + 8, id.low);
}

DirectoryId load_directory(const std::byte* from) {
  return {.high = load_le<uint64_t>(from), .low = load_le<uint64_t>(from + 8)};
}

}  // namespace

std::string vote_file_path(const std::string& folder) { return folder + "/" + std::string(kName); }

std::vector<std::string> vote_files() { return {std::string(kName), std::string(kName) + std::string(kUnfinished)}; }

Bytes encode_vote_slot(const StoredVote& stored) {
  Bytes slot(kVoteSlotBytes);
  std::byte* const at = slot.data();
  store_le<uint32_t>(at + kMagicAt, kMagic);
  store_le<uint32_t>(at + kFormatAt, kFormat);
  store_le<uint64_t>(at + kSequenceAt, stored.sequence);
  store(at + kDirectoryAt, stored.directory);
  store_le<int32_t>(at + kEpochAt, stored.vote.epoch);
  store_le<int32_t>(at + kVotedIdAt, stored.vote.voted.id);
  store(at + kVotedDirectoryAt, stored.vote.voted.directory);
  store_le<uint64_t>(at + kChecksumAt, storage::xxh3_64(ByteView(slot).first(kChecksumAt)));
  return slot;
}

Result<StoredVote> decode_vote_slot(ByteView slot) {
  if (slot.size() < kVoteSlotBytes) return failure(Errc::kTruncated);
  const std::byte* const at = slot.data();
  if (load_le<uint64_t>(at + kChecksumAt) != storage::xxh3_64(slot.first(kChecksumAt))) return failure(Errc::kCorrupt);
  if (load_le<uint32_t>(at + kMagicAt) != kMagic) return failure(Errc::kCorrupt);
  if (load_le<uint32_t>(at + kFormatAt) > kFormat) return failure(Errc::kUnsupported);
  StoredVote stored{.sequence = load_le<uint64_t>(at + kSequenceAt), .directory = load_directory(at + kDirectoryAt)};
  stored.vote.epoch = load_le<int32_t>(at + kEpochAt);
  stored.vote.voted.id = load_le<int32_t>(at + kVotedIdAt);
  stored.vote.voted.directory = load_directory(at + kVotedDirectoryAt);
  if (stored.vote.epoch < 0 || stored.vote.voted.id < kNobody) return failure(Errc::kCorrupt);
  return stored;
}

Result<StoredVote> decode_vote_file(ByteView file) {
  Result<StoredVote> newest = failure(Errc::kCorrupt);
  for (size_t at = 0; at < 2 * kVoteSlotBytes && at < file.size(); at += kVoteSlotBytes) {
    const auto slot = decode_vote_slot(file.subspan(at, std::min(kVoteSlotBytes, file.size() - at)));
    if (!slot && slot.error() == Errc::kUnsupported) return slot;
    if (slot && (!newest || slot->sequence > newest->sequence)) newest = slot;
  }
  return newest;
}

// It has its name when it is whole: a start that was cut short leaves none, not one that cannot say how it has voted.
Task<Result<VoteFile>> VoteFile::create(reactor::Core& core, std::string folder, DirectoryId directory) {
  const std::string path = vote_file_path(folder);
  if (co_await file_system::stat(core, path)) co_return failure(Errc::kExists);
  VoteFile made;
  const std::string unfinished = path + std::string(kUnfinished);
  auto file = co_await File::open(core, unfinished, reactor::kOpenWrite | reactor::kOpenCreate);
  if (!file) co_return failure(file.error());
  made.file_ = *file;
  made.stored_ = {.sequence = 1, .directory = directory};
  auto done = co_await made.write_both();
  if (done) done = co_await file_system::rename(core, unfinished, path);
  if (done) done = co_await file_system::sync_directory(core, folder);
  if (done) co_return made;
  static_cast<void>(co_await made.close());
  co_return failure(done.error());
}

// What is read may be in the page cache alone, written by a process that was killed: it is written again before
// anything follows from it.
Task<Result<VoteFile>> VoteFile::open(reactor::Core& core, std::string folder) {
  VoteFile opened;
  auto file = co_await File::open(core, vote_file_path(folder), reactor::kOpenWrite);
  if (!file) co_return failure(file.error());
  opened.file_ = *file;
  Bytes bytes(2 * kVoteSlotBytes);
  auto read = co_await opened.file_.read(0, bytes, reactor::IoClass::kJournal);
  Result<void> done;
  if (!read) {
    done = failure(read.error());
  } else if (auto stored = decode_vote_file(ByteView(bytes).first(*read)); !stored) {
    done = failure(stored.error());
  } else {
    opened.stored_ = *stored;
    done = co_await opened.write_both();
  }
  if (done) co_return opened;
  static_cast<void>(co_await opened.close());
  co_return failure(done.error());
}

Task<Result<void>> VoteFile::write(Vote vote) {
  ++stored_.sequence;
  stored_.vote = vote;
  co_return co_await write_both();
}

// While one slot is being written the other one is whole.
Task<Result<void>> VoteFile::write_both() {
  const Bytes slot = encode_vote_slot(stored_);
  for (const uint64_t at : std::array<uint64_t, 2>{0, kVoteSlotBytes}) {
    auto written = co_await file_.write(at, slot, reactor::kWriteDurable, reactor::IoClass::kJournal);
    if (!written) co_return failure(written.error());
  }
  co_return Result<void>();
}

Task<Result<void>> VoteFile::close() { co_return co_await file_.close(); }

}  // namespace posthaste::replication::quorum
