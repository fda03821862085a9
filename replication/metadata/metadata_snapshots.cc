#include "replication/metadata/metadata_snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "reactor/check.h"
#include "replication/quorum/transport.h"

namespace posthaste::replication {

using quorum::StoredSnapshot;
using quorum::VoterSet;
using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {

// Records encoded in one step of the core: some tenths of a millisecond.
constexpr size_t kRecordsAtOnce = 1000;
// Two names, for both may be under way for one id.
constexpr std::string_view kUnfinished = ".new";
constexpr std::string_view kIncoming = ".fetched";

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
    const std::string_view suffix = name.ends_with(kIncoming) ? kIncoming : kUnfinished;
    if (!name.ends_with(suffix)) continue;
    name.remove_suffix(suffix.size());
    // If it stays it is in nobody's way: the next start tries again.
    if (snapshot_of_file(name)) co_await file_system::unlink(core_, folder_ + "/" + entry.name);
  }
  std::ranges::sort(found, {}, &SnapshotId::offset);
  co_return found;
}

Task<Result<std::optional<MetadataSnapshots::Loaded>>> MetadataSnapshots::load(std::string& why) {
  Result<std::vector<SnapshotId>> found = co_await list();
  if (!found) {
    why = fmt::format("the folder {} cannot be read ({})", folder_, to_string(found.error()));
    co_return failure(found.error());
  }
  kept_ = std::move(*found);
  is_loaded_ = true;
  while (!kept_.empty()) {
    const SnapshotId id = kept_.back();
    Result<Loaded> loaded = co_await read_whole(id);
    if (loaded) newest_ = StoredSnapshot{id, loaded->voters};
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

Task<Result<MetadataSnapshots::Loaded>> MetadataSnapshots::read_whole(SnapshotId id) {
  Result<File> file = co_await File::open(core_, path(id), reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  Result<Loaded> loaded = co_await read_image(id, *file);
  const Result<void> closed = co_await file->close();
  if (loaded && !closed) co_return failure(closed.error());
  co_return loaded;
}

Task<Result<MetadataSnapshots::Loaded>> MetadataSnapshots::read_image(SnapshotId id, File& file) {
  Loaded loaded{.id = id};
  SnapshotDecoder decoder(id);
  loaded.bytes = CO_TRY(co_await read_frames(file, decoder, loaded.image));
  loaded.voters = decoder.voters();
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

Task<Result<uint64_t>> MetadataSnapshots::write(SnapshotId id, VoterSet voters, MetadataImage image,
                                                const std::function<bool()>& is_cancelled) {
  CHECK(kept_.empty() || kept_.back().offset < id.offset, "a snapshot of {} after one of {}", id.offset,
        kept_.back().offset);
  const Result<void> made = co_await make_folder();
  if (!made) co_return failure(made.error());
  const Result<uint64_t> written = co_await write_file(id, voters, image, is_cancelled);
  if (!written) co_return written;
  if (!kept_.empty() && kept_.back().offset >= id.offset) {
    co_await file_system::unlink(core_, path(id));
    co_return failure(Errc::kStale);
  }
  keep(id, std::move(voters));
  co_await remove_older(kKept);
  co_return written;
}

void MetadataSnapshots::keep(const SnapshotId& id, VoterSet voters) {
  kept_.push_back(id);
  newest_ = StoredSnapshot{id, std::move(voters)};
}

Task<Result<void>> MetadataSnapshots::make_folder() {
  const Result<void> made = co_await file_system::make_directory(core_, folder_);
  if (!made && made.error() != Errc::kExists) co_return made;
  co_return co_await file_system::sync_directory(core_, data_folder_);
}

// Under its name only when it is whole and on disk.
Task<Result<uint64_t>> MetadataSnapshots::write_file(const SnapshotId& id, const VoterSet& voters,
                                                     const MetadataImage& image,
                                                     const std::function<bool()>& is_cancelled) {
  const std::string unfinished = path(id) + std::string(kUnfinished);
  Result<File> file = co_await File::open(core_, unfinished, reactor::kOpenWrite | reactor::kOpenCreate);
  if (!file) co_return failure(file.error());
  Result<uint64_t> written = 0;
  Result<void> done = co_await file->truncate(0);
  if (done) {
    written = co_await write_frames(*file, id, voters, image, is_cancelled);
    if (!written) done = failure(written.error());
  }
  if (done) done = co_await file->sync();
  const Result<void> closed = co_await file->close();
  if (done) done = closed;
  if (done) done = co_await name_durably(id, unfinished);
  if (done) co_return written;
  co_await file_system::unlink(core_, unfinished);
  co_return failure(done.error());
}

Task<Result<void>> MetadataSnapshots::name_durably(const SnapshotId& id, std::string from) {
  const Result<void> renamed = co_await file_system::rename(core_, std::move(from), path(id));
  if (!renamed) co_return renamed;
  co_return co_await file_system::sync_directory(core_, folder_);
}

Task<Result<uint64_t>> MetadataSnapshots::write_frames(File& file, const SnapshotId& id, const VoterSet& voters,
                                                       const MetadataImage& image,
                                                       const std::function<bool()>& is_cancelled) {
  SnapshotEncoder encoder(id);
  uint64_t at = 0;
  MetadataImage::RecordsPosition position;
  std::vector<MetadataRecord> records;
  storage::Bytes frames = encoder.begin(voters);
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
Task<void> MetadataSnapshots::remove_older(size_t but_for) {
  std::vector<std::string> names = std::exchange(rotten_, {});
  while (kept_.size() > but_for) {
    names.push_back(snapshot_file(kept_.front()));
    kept_.erase(kept_.begin());
  }
  for (const std::string& name : names) co_await file_system::unlink(core_, folder_ + "/" + name);
}

// --- For the quorum --------------------------------------------------------------------------------------------------

void MetadataSnapshots::stand_in_log(SnapshotId id) {
  CHECK(is_loaded_ && !newest_, "a snapshot is there");
  newest_ = StoredSnapshot{id, {}};
}

Task<Result<std::optional<StoredSnapshot>>> MetadataSnapshots::newest() {
  CHECK(is_loaded_, "nobody has looked for snapshots yet");
  co_return newest_;
}

// While only one is there the log before it is the other way to say the same.
quorum::Offset MetadataSnapshots::log_needed_from() const { return kept_.size() < kKept ? 0 : kept_.front().offset; }

Task<Result<quorum::SnapshotPiece>> MetadataSnapshots::read(SnapshotId id, uint64_t position) {
  if (std::ranges::find(kept_, id) == kept_.end()) co_return failure(Errc::kNotFound);
  Result<File> file = co_await File::open(core_, path(id), reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  const auto stat = co_await file_system::stat(core_, path(id));
  quorum::SnapshotPiece piece{.bytes = storage::Bytes(quorum::kPayloadBytesMax)};
  const Result<uint64_t> read = co_await file->read(position, piece.bytes, reactor::IoClass::kColdRead);
  const Result<void> closed = co_await file->close();
  if (!stat) co_return failure(stat.error());
  if (!read) co_return failure(read.error());
  if (!closed) co_return failure(closed.error());
  piece.bytes.resize(*read);
  piece.size = stat->size_bytes;
  co_return piece;
}

std::string MetadataSnapshots::incoming_path(const SnapshotId& id) const { return path(id) + std::string(kIncoming); }

Task<Result<void>> MetadataSnapshots::write_piece(SnapshotId id, uint64_t position, storage::Bytes piece) {
  if (position == 0) {
    const Result<void> begun = co_await begin_incoming(id);
    if (!begun) co_return begun;
  }
  if (!incoming_ || incoming_->id != id || incoming_->bytes != position) co_return failure(Errc::kOutOfOrder);
  const Result<uint64_t> written = co_await incoming_->file.write(position, piece, 0, reactor::IoClass::kWriteBack);
  if (written) incoming_->bytes += piece.size();
  if (written) co_return Result<void>();
  co_await drop_incoming();
  co_return failure(written.error());
}

Task<Result<void>> MetadataSnapshots::begin_incoming(SnapshotId id) {
  co_await drop_incoming();
  const Result<void> made = co_await make_folder();
  if (!made) co_return made;
  Result<File> file = co_await File::open(core_, incoming_path(id), reactor::kOpenWrite | reactor::kOpenCreate);
  if (!file) co_return failure(file.error());
  incoming_ = Incoming{.id = id, .file = *file};
  const Result<void> emptied = co_await incoming_->file.truncate(0);
  if (!emptied) co_await drop_incoming();
  co_return emptied;
}

// If the file stays it is in nobody's way: the next start removes it.
Task<void> MetadataSnapshots::drop_incoming() {
  if (!incoming_) co_return;
  Incoming dropped = *std::exchange(incoming_, std::nullopt);
  co_await dropped.file.close();
  co_await file_system::unlink(core_, incoming_path(dropped.id));
}

Task<Result<StoredSnapshot>> MetadataSnapshots::install(SnapshotId id) {
  if (!incoming_ || incoming_->id != id) co_return failure(Errc::kNotFound);
  Incoming incoming = *std::exchange(incoming_, std::nullopt);
  Result<VoterSet> voters = co_await finish_incoming(incoming);
  const bool is_stale = !kept_.empty() && kept_.back().offset >= id.offset;
  if (voters && is_stale) voters = failure(Errc::kStale);
  Result<void> named = voters ? co_await name_durably(id, incoming_path(id)) : failure(voters.error());
  if (!named) {
    co_await file_system::unlink(core_, incoming_path(id));
    co_return failure(named.error());
  }
  keep(id, *voters);
  co_await remove_older(1);
  co_return *newest_;
}

// Durable and whole, or an error; closed in any case.
Task<Result<VoterSet>> MetadataSnapshots::finish_incoming(Incoming& incoming) {
  const Result<void> synced = co_await incoming.file.sync();
  Result<Loaded> loaded = failure(Errc::kIoError);
  if (synced) loaded = co_await read_image(incoming.id, incoming.file);
  const Result<void> closed = co_await incoming.file.close();
  if (!synced) co_return failure(synced.error());
  if (!loaded) co_return failure(loaded.error());
  if (!closed) co_return failure(closed.error());
  if (loaded->voters.empty()) co_return failure(Errc::kUnsupported);
  co_return std::move(loaded->voters);
}

Task<void> MetadataSnapshots::stop() { co_await drop_incoming(); }

}  // namespace posthaste::replication
