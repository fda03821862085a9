#include "storage/log/segment_files.h"

#include <algorithm>

#include "storage/engine.h"
#include "storage/folder_names.h"
#include "storage/journal/journal_scan.h"
#include "storage/log/partition.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::IoClass;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {
// A segment file grows by doubling between these: few operations for a busy partition, little waste for an idle one.
constexpr uint64_t kGrowBytesMin = uint64_t{1} << 20;
constexpr uint64_t kGrowBytesMax = uint64_t{64} << 20;
// What the reserve gave up may be taken by another process, or not be enough for what the file system needs beside it.
constexpr uint32_t kTriesWithReserve = 4;
// A file that goes is in the same transaction of the file system as what is being flushed, and that waits for it.
constexpr int kRestPerRemoval = 3;
constexpr reactor::Duration kRestMax = std::chrono::milliseconds(50);

// Releases a gate at the end of a scope.
struct GateHold {
  explicit GateHold(reactor::Semaphore& gate) : gate_(gate) {}
  GateHold(const GateHold&) = delete;
  GateHold& operator=(const GateHold&) = delete;
  ~GateHold() { gate_.release(1); }
  reactor::Semaphore& gate_;
};

bool is_open(const Segment& segment) { return segment.access() != nullptr && segment.access()->file.valid(); }
}  // namespace

SegmentFiles::SegmentFiles(Engine& engine, uint32_t open_max)
    : engine_(engine), open_max_(open_max), removal_turn_(engine.core(), 1) {}

SegmentFiles::Pin::Pin(Segment& segment) : segment_(&segment) { ++segment.file_users; }
std::string remedy_field(Errc error) {
  return error == Errc::kPermission ? fmt::format(" remedy=\"{}\"", kPermissionRemedy) : std::string();
}

SegmentFiles::Pin::~Pin() {
  if (segment_ != nullptr) --segment_->file_users;
}

Task<Result<void>> SegmentFiles::create_directory(Partition& partition) {
  reactor::Core& core = engine_.core();
  const std::string path = partition.directory();
  if (partition.mode() == Partition::Mode::kDeleting) co_return failure(Errc::kNotFound);
  partition.folder().was_tried = true;
  auto made = co_await file_system::make_directory(core, path);
  if (!made && made.error() != Errc::kExists) co_return made;
  auto synced = co_await file_system::sync_directory(core, engine_.host().options().data_directory);
  if (!synced) co_return synced;
  partition.folder().is_created = true;
  co_return Result<void>();
}

Task<Result<void>> SegmentFiles::open(Partition& partition, Segment& segment, uint16_t flags) {
  Segment::Access& access = segment.make_access(engine_.core());
  if (access.file.valid()) co_return Result<void>();
  co_await shrink();
  auto opened = co_await File::open(engine_.core(), partition.segment_path(segment, "log"),
                                    static_cast<uint16_t>(flags | reactor::kOpenWrite | reactor::kOpenDirect));
  if (!opened) co_return failure(opened.error());
  access.file = *opened;
  for (const auto& known : partition.bytes().segments()) {
    if (known.get() == &segment) open_.push_back(known);
  }
  co_return Result<void>();
}

// A file that must be there and is not is made again, with a hole where its bytes were: what is acked and still in the
// journal must have a place to go, or the journal would fill up for all partitions. What the hole held is refused when
// read.
Task<Result<void>> SegmentFiles::open_or_replace(Partition& partition, Segment& segment) {
  Result<void> opened = co_await open(partition, segment, 0);
  if (opened || opened.error() != Errc::kNotFound) co_return opened;
  engine_.core().log(reactor::LogLevel::kError, "storage.file_missing",
                     fmt::format("file={} consequence=\"made anew for what is written from now on; reads of what it "
                                 "held are refused\"",
                                 partition.segment_path(segment, "log")));
  if (auto made = co_await create_directory(partition); !made) co_return made;
  opened = co_await open(partition, segment, reactor::kOpenCreate);
  if (!opened) co_return opened;
  segment.allocated = 0;
  co_return co_await file_system::sync_directory(engine_.core(), partition.directory());
}

// On a full disk what is free is what the reserve has given up for one purpose: so what the segment owes comes out of
// the reserve first, and what it does not owe it does not get.
Task<Result<SegmentFiles::Pin>> SegmentFiles::for_write(Partition& partition, std::shared_ptr<Segment> segment,
                                                        uint64_t bytes) {
  Segment::Access& access = segment->make_access(engine_.core());
  co_await access.gate.acquire(1);
  const GateHold hold(access.gate);
  for (uint32_t tries = 1;; ++tries) {
    // An earlier incarnation's directory has the same name until it is moved away.
    if (!partition.folder().is_created) co_await engine_.wait_for_name(partition);
    const uint64_t wanted = SpaceAccount::place_wanted(*segment, bytes);
    const bool is_owed = wanted <= segment->owed;
    uint64_t given = 0;
    if (wanted > 0 && (tries > 1 || engine_.disk_full())) {
      given = co_await engine_.take_from_reserve(is_owed ? wanted : 0, tries > 1);
    }
    Result<Pin> done = failure(Errc::kNoSpace);
    if (segment->removed) {
      done = Pin(*segment);
    } else if (is_owed || !engine_.disk_full()) {
      done = co_await make_place(partition, *segment, bytes);
      engine_.space().follow(*segment);
    }
    engine_.took_from_reserve(given);
    if (done || done.error() != Errc::kNoSpace || segment->removed) co_return done;
    if (tries == kTriesWithReserve || (tries > 1 && given == 0)) co_return done;
  }
}

Task<Result<SegmentFiles::Pin>> SegmentFiles::make_place(Partition& partition, Segment& segment, uint64_t bytes) {
  Pin pin(segment);
  const bool full = engine_.disk_full();
  std::optional<FreeSpace::Use> use;
  if (!full) use.emplace(engine_.free_space());
  if (!partition.folder().is_created) {
    if (auto made = co_await create_directory(partition); !made) co_return failure(made.error());
  }
  if (!segment.created) {
    if (auto removed = co_await remove_doomed(partition); !removed) co_return failure(removed.error());
    if (auto opened = co_await open(partition, segment, reactor::kOpenCreate); !opened) {
      co_return failure(opened.error());
    }
    // Whatever an earlier life left under this name is not ours.
    if (auto emptied = co_await segment.make_access(engine_.core()).file.truncate(0); !emptied)
      co_return failure(emptied.error());
    segment.allocated = 0;
  } else if (auto opened = co_await open_or_replace(partition, segment); !opened) {
    co_return failure(opened.error());
  }
  bytes = align_up(bytes);
  if (segment.allocated < bytes) {
    File& file = segment.make_access(engine_.core()).file;
    const uint64_t step = std::clamp(segment.allocated, kGrowBytesMin, kGrowBytesMax);
    const uint64_t whole = std::max(bytes, align_up(partition.config().segment_bytes));
    uint64_t target = segment.sealed || full ? bytes : std::min(std::max(bytes, segment.allocated + step), whole);
    auto allocated = co_await file.allocate(0, target);
    if (!allocated && allocated.error() == Errc::kNoSpace) {
      // A part of it may have been given; a file that is larger than it needs to be would keep it from others.
      (void)co_await file.truncate(segment.allocated);
      if (target > bytes) {
        target = bytes;
        allocated = co_await file.allocate(0, target);
      }
    }
    if (!allocated) co_return failure(allocated.error());
    if (auto synced = co_await file.sync(); !synced) co_return failure(synced.error());
    segment.allocated = target;
  }
  if (!segment.created) {
    auto synced = co_await file_system::sync_directory(engine_.core(), partition.directory());
    if (!synced) co_return failure(synced.error());
    segment.created = true;
  }
  co_return pin;
}

Task<Result<uint64_t>> SegmentFiles::read(Partition& partition, Segment& segment, uint64_t position, MutableBytes into,
                                          IoClass io_class) {
  Pin pin(segment);
  Segment::Access& access = segment.make_access(engine_.core());
  co_await access.gate.acquire(1);
  Result<void> opened = co_await open(partition, segment, 0);
  access.gate.release(1);
  if (!opened) co_return failure(opened.error());
  co_return co_await access.file.read(position, into, io_class);
}

Task<Result<Bytes>> SegmentFiles::read_beside(std::string path) { return read_file(engine_.core(), std::move(path)); }

// Whoever comes second waits for the first: it would unlink the same name once more, perhaps when a new file has it.
Task<Result<void>> SegmentFiles::remove_doomed(Partition& partition, size_t files_max) {
  PartitionFolder& folder = partition.folder();
  while (folder.is_removing_doomed) co_await partition.changed().wait();
  Result<void> removed;
  if (folder.doomed.empty()) co_return removed;
  folder.is_removing_doomed = true;
  for (size_t files = 0; removed && !folder.doomed.empty() && files < files_max; ++files) {
    const std::string path = folder.doomed.back();
    removed = co_await file_system::unlink(engine_.core(), path);
    CHECK(folder.is_removing_doomed, "{} is unlinked by two", path);
    if (!removed && removed.error() == Errc::kNotFound) removed = Result<void>();
    if (removed) std::erase(folder.doomed, path);
  }
  folder.is_removing_doomed = false;
  partition.changed().notify_all();
  co_return removed;
}

Task<void> SegmentFiles::remove_doomed_slowly(Partition& partition) {
  reactor::Core& core = engine_.core();
  while (!partition.folder().doomed.empty()) {
    co_await removal_turn_.acquire(1);
    const GateHold hold(removal_turn_);
    const reactor::Instant begin = core.now();
    if (!co_await remove_doomed(partition, 1)) co_return;
    // A deletion waits for whoever uses the partition.
    const bool in_haste = engine_.disk_full() || engine_.stopping() || partition.mode() == Partition::Mode::kDeleting;
    if (in_haste) continue;
    co_await core.sleep(std::min(kRestPerRemoval * (core.now() - begin), kRestMax));
  }
}

Task<void> SegmentFiles::sweep(Partition& partition) {
  if (!partition.folder().is_created || partition.bytes().segments().front()->base_offset() == 0) co_return;
  auto listed = co_await file_system::list_directory(engine_.core(), partition.directory());
  if (!listed) co_return;
  for (const auto& entry : *listed) {
    const auto base = segment_file_base(entry.name);
    if (!base || *base >= partition.bytes().segments().front()->base_offset()) continue;
    (void)co_await file_system::unlink(engine_.core(), fmt::format("{}/{}", partition.directory(), entry.name));
  }
}

Task<Result<void>> SegmentFiles::remove_directory(Partition& partition) {
  reactor::Core& core = engine_.core();
  const std::string& root = engine_.host().options().data_directory;
  std::string aside = fmt::format("{}/{}", root, deleted_folder(partition.uid()));
  for (const auto& segment : partition.bytes().segments()) co_await close(*segment);
  auto moved = co_await file_system::rename(core, partition.directory(), aside);
  const bool no_room = !moved && moved.error() == Errc::kNoSpace;
  // No room for another name: it is emptied where it stands, and its name stays taken until it is removed.
  if (no_room) aside = partition.directory();
  if (!moved && !no_room && moved.error() != Errc::kNotFound) co_return moved;
  const auto make_names_durable = [&]() -> Task<Result<void>> {
    if (planted(kBugs["removal-not-durable"])) co_return Result<void>();
    co_return co_await file_system::sync_directory(core, root);
  };
  auto synced = co_await make_names_durable();
  if (!synced) co_return synced;
  auto removed = co_await remove_folder(core, aside);
  if (!removed) co_return failure(removed.error());
  // Its own name has gone only now, and no table will name the partition any more.
  if (no_room) {
    synced = co_await make_names_durable();
    if (!synced) co_return synced;
  }
  if (!*removed) {
    core.log(reactor::LogLevel::kWarning, "storage.foreign_files_left",
             fmt::format("folder={} reason=\"it holds what is not the broker's\"", aside));
  }
  co_return Result<void>();
}

Task<void> SegmentFiles::close(Segment& segment) {
  if (segment.access() == nullptr) co_return;
  Segment::Access& access = segment.make_access(engine_.core());
  co_await access.gate.acquire(1);
  if (access.file.valid() && segment.file_users == 0) {
    File file = std::exchange(access.file, File());
    (void)co_await file.close();
  }
  access.gate.release(1);
  segment.drop_access();
}

Task<void> SegmentFiles::shrink() {
  open_.remove_if([](const std::weak_ptr<Segment>& known) {
    const auto segment = known.lock();
    return segment == nullptr || !is_open(*segment);
  });
  for (size_t tries = open_.size(); open_.size() >= open_max_ && tries > 0; --tries) {
    const std::shared_ptr<Segment> oldest = open_.front().lock();
    open_.pop_front();
    if (oldest == nullptr || !is_open(*oldest)) continue;
    // Somebody waits for its gate or uses the file: it stays open.
    if (oldest->file_users > 0 || oldest->access()->gate.available() == 0) {
      open_.push_back(oldest);
    } else {
      co_await close(*oldest);
    }
  }
}

Task<void> SegmentFiles::tidy(Partition& partition, std::shared_ptr<Segment> segment) {
  if (segment->tidy || segment->removed || !segment->sealed) co_return;
  segment->tidy = true;
  reactor::Core& core = engine_.core();
  auto pin = co_await for_write(partition, segment, segment->size);
  if (!pin || segment->removed) co_return;
  if ((co_await segment->make_access(core).file.truncate(segment->size)).has_value())
    segment->allocated = align_up(segment->size);
  // False: the disk is full, nothing is better than a part.
  const auto write_beside = [&core](std::string path, const Bytes& content) -> Task<bool> {
    auto file = co_await File::open(core, path, reactor::kOpenWrite | reactor::kOpenCreate);
    if (!file) co_return file.error() != Errc::kNoSpace;
    (void)co_await file->truncate(0);
    const auto written = co_await file->write(0, content, 0, IoClass::kFileSystem);
    (void)co_await file->close();
    if (!written) (void)co_await file_system::unlink(core, path);
    co_return written || written.error() != Errc::kNoSpace;
  };
  // Without one every later start would walk over all headers again, and nothing would prove them.
  if (!segment->index_whole && partition.mode() == Partition::Mode::kOpen)
    (void)co_await partition.reader().ensure_index(segment);
  // Nobody keeps space back for these: they wait until there is some.
  if (engine_.disk_full()) co_return engine_.tidy_later(partition, segment);
  const FreeSpace::Use use(engine_.free_space());
  bool whole = true;
  const bool keep_index = segment->index_whole && !segment->has_bad_run() && !segment->removed;
  if (keep_index) whole = co_await write_beside(partition.segment_path(*segment, "index"), segment->index().encode());
  if (segment->extras() != nullptr && !segment->extras()->producer_snapshot.empty()) {
    Bytes& snapshot = segment->make_extras().producer_snapshot;
    whole &= co_await write_beside(partition.segment_path(*segment, "snapshot"), snapshot);
    if (whole) snapshot.clear();
  }
  if (!whole) engine_.tidy_later(partition, segment);
}

Task<Result<bool>> remove_folder(reactor::Core& core, std::string path) {
  auto listed = co_await file_system::list_directory(core, path);
  if (!listed) co_return listed.error() == Errc::kNotFound ? Result<bool>(true) : failure(listed.error());
  bool all_ours = true;
  for (const auto& entry : *listed) {
    if (entry.is_directory || !segment_file_base(entry.name)) {
      all_ours = false;
      continue;
    }
    auto removed = co_await file_system::unlink(core, fmt::format("{}/{}", path, entry.name));
    if (!removed && removed.error() != Errc::kNotFound) co_return failure(removed.error());
  }
  if (!all_ours) co_return false;
  auto removed = co_await file_system::remove_directory(core, path);
  if (!removed && removed.error() != Errc::kNotFound) co_return failure(removed.error());
  co_return true;
}

}  // namespace posthaste::storage
