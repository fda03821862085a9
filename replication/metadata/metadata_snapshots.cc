#include "replication/metadata/metadata_snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "reactor/check.h"

namespace posthaste::replication {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {

// Records encoded in one step of the core: some tenths of a millisecond.
constexpr size_t kRecordsAtOnce = 1000;
constexpr std::string_view kUnfinished = ".new";

// What other bytes of this file explain. Else something outside must change, or another program must read it.
bool is_rot(Errc error) { return error == Errc::kCorrupt || error == Errc::kTruncated || error == Errc::kIoError; }

Task<Result<uint64_t>> read_exactly(File& file, uint64_t at, std::span<std::byte> into) {
  const Result<uint64_t> read = co_await file.read(at, into, reactor::IoClass::kColdRead);
  if (read && *read < into.size()) co_return failure(Errc::kTruncated);
  co_return read;
}

// Some builds gave a topic once more in the next piece when one had ended between it and its first partition.
bool is_topic_again(const MetadataImage& image, const MetadataRecord& record) {
  const auto* const again = std::get_if<TopicRecord>(&record);
  const TopicImage* const known = again == nullptr ? nullptr : image.topic(again->topic_id);
  return known != nullptr && known->name == again->name && known->partitions.empty();
}

}  // namespace

// --- Reading ---------------------------------------------------------------------------------------------------------

// Snapshots by their names, ascending. What was never finished is removed; other names are not ours.
Task<Result<std::vector<SnapshotId>>> MetadataSnapshots::list() {
  const auto entries = co_await file_system::list_directory(core_, folder_);
  if (!entries && entries.error() == Errc::kNotFound) co_return std::vector<SnapshotId>();
  if (!entries) co_return failure(entries.error());
  std::vector<SnapshotId> found;
  for (const reactor::DirectoryEntry& entry : *entries) {
    std::string_view name = entry.name;
    if (const auto id = snapshot_of_file(name)) found.push_back(*id);
    if (!name.ends_with(kUnfinished)) continue;
    name.remove_suffix(kUnfinished.size());
    // If it stays it is in nobody's way: the next start tries again.
    if (snapshot_of_file(name)) co_await file_system::unlink(core_, folder_ + "/" + entry.name);
  }
  std::ranges::sort(found);
  co_return found;
}

Task<Result<std::optional<MetadataSnapshots::Loaded>>> MetadataSnapshots::load(std::string& why) {
  Result<std::vector<SnapshotId>> found = co_await list();
  if (!found) {
    why = fmt::format("the folder {} cannot be read ({})", folder_, to_string(found.error()));
    co_return failure(found.error());
  }
  kept_ = std::move(*found);
  while (!kept_.empty()) {
    const SnapshotId id = kept_.back();
    Result<Loaded> loaded = co_await read(id);
    if (loaded) co_return std::move(*loaded);
    if (!is_rot(loaded.error())) {
      why = fmt::format("the metadata snapshot {} cannot be used ({}): {}", path(id), to_string(loaded.error()),
                        loaded.error() == Errc::kUnsupported ? "start the newer version that wrote it"
                                                             : "make it readable, or restore it from a backup");
      co_return failure(loaded.error());
    }
    rotten_.push_back(snapshot_file(id));
    kept_.pop_back();
    core_.log(reactor::LogLevel::kError, "metadata_snapshot_damaged",
              fmt::format("file={} error={} consequence=\"{}\"", path(id), to_string(loaded.error()),
                          kept_.empty() ? "no older snapshot is left: only the log can say the same"
                                        : fmt::format("{} and the log are used", snapshot_file(kept_.back()))));
  }
  co_return std::nullopt;
}

Task<Result<MetadataSnapshots::Loaded>> MetadataSnapshots::read(SnapshotId id) {
  Result<File> file = co_await File::open(core_, path(id), reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  Loaded loaded{.id = id};
  SnapshotDecoder decoder(id);
  const Result<uint64_t> bytes = co_await read_frames(*file, decoder, loaded.image);
  const Result<void> closed = co_await file->close();
  if (!bytes) co_return failure(bytes.error());
  if (!closed) co_return failure(closed.error());
  loaded.bytes = *bytes;
  co_return loaded;
}

Task<Result<uint64_t>> MetadataSnapshots::read_frames(File& file, SnapshotDecoder& decoder, MetadataImage& image) {
  uint64_t at = 0;
  storage::Bytes frame;
  const auto apply = [&image](const MetadataRecord& record) {
    return is_topic_again(image, record) ? Result<void>() : image.apply(record);
  };
  while (!decoder.finished()) {
    frame.resize(SnapshotDecoder::kFrameHead);
    const Result<uint64_t> head = co_await read_exactly(file, at, frame);
    if (!head) co_return head;
    frame.resize(CO_TRY(SnapshotDecoder::frame_bytes(frame)));
    const Result<uint64_t> whole = co_await read_exactly(file, at, frame);
    if (!whole) co_return whole;
    CO_TRY(decoder.take(frame, apply));
    at += frame.size();
    co_await core_.yield(reactor::CpuClass::kBackground);
  }
  std::array<std::byte, 1> behind{};
  const Result<uint64_t> read = co_await file.read(at, behind, reactor::IoClass::kColdRead);
  if (!read) co_return failure(read.error());
  if (*read != 0) co_return failure(Errc::kCorrupt);
  co_return at;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

Task<Result<uint64_t>> MetadataSnapshots::write(SnapshotId id, MetadataImage image,
                                                const std::function<bool()>& is_cancelled) {
  CHECK(kept_.empty() || kept_.back() < id, "a snapshot of {} after one of {}", id.offset, kept_.back().offset);
  const Result<void> made = co_await make_folder();
  if (!made) co_return failure(made.error());
  const Result<uint64_t> written = co_await write_file(id, image, is_cancelled);
  if (!written) co_return written;
  kept_.push_back(id);
  co_await remove_older();
  co_return written;
}

Task<Result<void>> MetadataSnapshots::make_folder() {
  const Result<void> made = co_await file_system::make_directory(core_, folder_);
  if (!made && made.error() != Errc::kExists) co_return made;
  co_return co_await file_system::sync_directory(core_, data_folder_);
}

// Under its name only when it is whole and on disk.
Task<Result<uint64_t>> MetadataSnapshots::write_file(const SnapshotId& id, const MetadataImage& image,
                                                     const std::function<bool()>& is_cancelled) {
  const std::string unfinished = path(id) + std::string(kUnfinished);
  Result<File> file = co_await File::open(core_, unfinished, reactor::kOpenWrite | reactor::kOpenCreate);
  if (!file) co_return failure(file.error());
  Result<uint64_t> written = 0;
  Result<void> done = co_await file->truncate(0);
  if (done) {
    written = co_await write_frames(*file, id, image, is_cancelled);
    if (!written) done = failure(written.error());
  }
  if (done) done = co_await file->sync();
  const Result<void> closed = co_await file->close();
  if (done) done = closed;
  if (done) done = co_await file_system::rename(core_, unfinished, path(id));
  if (done) done = co_await file_system::sync_directory(core_, folder_);
  if (done) co_return written;
  co_await file_system::unlink(core_, unfinished);
  co_return failure(done.error());
}

Task<Result<uint64_t>> MetadataSnapshots::write_frames(File& file, const SnapshotId& id, const MetadataImage& image,
                                                       const std::function<bool()>& is_cancelled) {
  SnapshotEncoder encoder(id);
  uint64_t at = 0;
  MetadataImage::RecordsPosition position;
  std::vector<MetadataRecord> records;
  storage::Bytes frames = encoder.begin();
  for (bool more = true; more;) {
    records.clear();
    more = image.next_records(position, kRecordsAtOnce, records);
    for (std::span<const MetadataRecord> rest(records); !rest.empty();) {
      const storage::Bytes piece = encoder.piece(rest);
      frames.insert(frames.end(), piece.begin(), piece.end());
    }
    if (!more) {
      const storage::Bytes trailer = encoder.finish();
      frames.insert(frames.end(), trailer.begin(), trailer.end());
    }
    if (is_cancelled()) co_return failure(Errc::kCancelled);
    const Result<uint64_t> written = co_await file.write(at, frames, 0, reactor::IoClass::kWriteBack);
    if (!written) co_return written;
    at += frames.size();
    frames.clear();
    co_await core_.yield(reactor::CpuClass::kBackground);
  }
  co_return at;
}

// A file that cannot be removed stays, and is looked at again at the next start.
Task<void> MetadataSnapshots::remove_older() {
  std::vector<std::string> names = std::exchange(rotten_, {});
  while (kept_.size() > kKept) {
    names.push_back(snapshot_file(kept_.front()));
    kept_.erase(kept_.begin());
  }
  for (const std::string& name : names) co_await file_system::unlink(core_, folder_ + "/" + name);
}

}  // namespace posthaste::replication
