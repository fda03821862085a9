// A SnapshotStore for tests: the newest snapshot as one file, in pieces small enough that a fetch of one takes several.
// Voters, then what the test says, then a checksum; so a snapshot that is not whole is seen to be so.
#pragma once
#include <string>

#include "reactor/file.h"
#include "replication/metadata/snapshot_format.h"
#include "replication/quorum/snapshot_store.h"
#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::replication::quorum::testing {

class FileSnapshots final : public SnapshotStore {
 public:
  static constexpr size_t kPieceBytes = 100;

  FileSnapshots(reactor::Core& core, std::string folder) : core_(core), folder_(std::move(folder)) {}

  reactor::Task<reactor::Result<std::optional<StoredSnapshot>>> newest() override {
    const auto entries = co_await reactor::file_system::list_directory(core_, folder_);
    if (!entries) co_return reactor::failure(entries.error());
    for (const reactor::DirectoryEntry& entry : *entries) {
      const auto named = snapshot_of_file(entry.name);
      if (!named) continue;
      const SnapshotId id{.offset = named->offset, .epoch = named->epoch};
      auto bytes = co_await load(path(id));
      if (!bytes) co_return reactor::failure(bytes.error());
      if (is_whole(*bytes) && (!kept_ || kept_->id.offset < id.offset)) keep(id, std::move(*bytes));
    }
    co_return kept_;
  }

  reactor::Task<reactor::Result<SnapshotPiece>> read(SnapshotId id, uint64_t position) override {
    co_await core_.yield();
    if (!kept_ || kept_->id != id) co_return reactor::failure(reactor::Errc::kNotFound);
    const size_t from = std::min<size_t>(position, bytes_.size());
    const size_t size = std::min(kPieceBytes, bytes_.size() - from);
    const storage::ByteView piece = storage::ByteView(bytes_).subspan(from, size);
    co_return SnapshotPiece{.bytes = storage::Bytes(piece.begin(), piece.end()), .size = bytes_.size()};
  }

  reactor::Task<reactor::Result<void>> write_piece(SnapshotId /*id*/, uint64_t position,
                                                   storage::Bytes piece) override {
    co_await core_.yield();
    if (position == 0) incoming_.clear();
    if (position != incoming_.size()) co_return reactor::failure(reactor::Errc::kOutOfOrder);
    incoming_.insert(incoming_.end(), piece.begin(), piece.end());
    co_return reactor::Result<void>();
  }

  reactor::Task<reactor::Result<StoredSnapshot>> install(SnapshotId id) override {
    if (!is_whole(incoming_)) co_return reactor::failure(reactor::Errc::kCorrupt);
    co_return co_await store(id, std::exchange(incoming_, {}), "fetched");
  }

  Offset log_needed_from() const override { return kept_ ? kept_->id.offset : 0; }

  // One of this member's own; durable when it returns. kStale: a newer one has come meanwhile.
  reactor::Task<reactor::Result<StoredSnapshot>> write(SnapshotId id, const VoterSet& voters, storage::ByteView state) {
    storage::Bytes bytes(8 + voters.size() * kVoterBytes);
    storage::store_le<uint64_t>(bytes.data(), voters.size());
    size_t at = 8;
    for (const ReplicaKey& voter : voters) {
      storage::store_le<int32_t>(bytes.data() + at, voter.id);
      storage::store_le<uint64_t>(bytes.data() + at + 4, voter.directory.high);
      storage::store_le<uint64_t>(bytes.data() + at + 12, voter.directory.low);
      at += kVoterBytes;
    }
    bytes.insert(bytes.end(), state.begin(), state.end());
    const uint64_t checksum = storage::xxh3_64(bytes);
    bytes.resize(bytes.size() + 8);
    storage::store_le<uint64_t>(bytes.data() + bytes.size() - 8, checksum);
    co_return co_await store(id, std::move(bytes), "own");
  }
  const std::optional<StoredSnapshot>& kept() const { return kept_; }
  // Of the newest one, what the test gave to write().
  storage::ByteView state() const {
    const size_t from = 8 + kept_->voters.size() * kVoterBytes;
    return storage::ByteView(bytes_).subspan(from, bytes_.size() - 8 - from);
  }

 private:
  static constexpr size_t kVoterBytes = 20;

  std::string path(SnapshotId id) const {
    return folder_ + "/" + snapshot_file({.offset = id.offset, .epoch = id.epoch});
  }
  static bool is_whole(storage::ByteView bytes) {
    return bytes.size() >= 16 && storage::load_le<uint64_t>(bytes.data() + bytes.size() - 8) ==
                                     storage::xxh3_64(bytes.first(bytes.size() - 8));
  }
  void keep(SnapshotId id, storage::Bytes bytes) {
    std::vector<ReplicaKey> voters;
    const auto count = storage::load_le<uint64_t>(bytes.data());
    for (uint64_t i = 0; i < count; ++i) {
      const std::byte* const at = bytes.data() + 8 + i * kVoterBytes;
      voters.push_back(
          {.id = storage::load_le<int32_t>(at),
           .directory = {.high = storage::load_le<uint64_t>(at + 4), .low = storage::load_le<uint64_t>(at + 12)}});
    }
    bytes_ = std::move(bytes);
    kept_ = StoredSnapshot{id, VoterSet(std::move(voters))};
  }

  reactor::Task<reactor::Result<storage::Bytes>> load(std::string path) {
    auto file = co_await reactor::File::open(core_, path, reactor::kOpenRead);
    if (!file) co_return reactor::failure(file.error());
    const auto stat = co_await reactor::file_system::stat(core_, path);
    storage::Bytes bytes(stat ? stat->size_bytes : 0);
    const auto read = co_await file->read(0, bytes, reactor::IoClass::kColdRead);
    static_cast<void>(co_await file->close());
    if (!read) co_return reactor::failure(read.error());
    bytes.resize(*read);
    co_return bytes;
  }

  reactor::Task<reactor::Result<StoredSnapshot>> store(SnapshotId id, storage::Bytes bytes, std::string_view name) {
    const std::string unfinished = folder_ + "/unfinished-" + std::string(name);
    auto file = co_await reactor::File::open(core_, unfinished, reactor::kOpenWrite | reactor::kOpenCreate);
    if (!file) co_return reactor::failure(file.error());
    reactor::Result<void> done = co_await file->truncate(0);
    const auto written = co_await file->write(0, bytes, 0, reactor::IoClass::kWriteBack);
    if (done && !written) done = reactor::failure(written.error());
    if (done) done = co_await file->sync();
    static_cast<void>(co_await file->close());
    if (done) done = co_await reactor::file_system::rename(core_, unfinished, path(id));
    if (done) done = co_await reactor::file_system::sync_directory(core_, folder_);
    if (!done) co_return reactor::failure(done.error());
    if (kept_ && kept_->id.offset > id.offset) co_return reactor::failure(reactor::Errc::kStale);
    const std::optional<StoredSnapshot> before = kept_;
    keep(id, std::move(bytes));
    if (before && before->id != id) co_await reactor::file_system::unlink(core_, path(before->id));
    co_return *kept_;
  }

  reactor::Core& core_;
  const std::string folder_;
  std::optional<StoredSnapshot> kept_;
  storage::Bytes bytes_;     // of the kept one
  storage::Bytes incoming_;  // of the one that comes from a leader
};

}  // namespace posthaste::replication::quorum::testing
