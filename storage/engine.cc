#include "storage/engine.h"

#include <algorithm>

#include "reactor/mail.h"
#include "reactor/pace.h"
#include "storage/folder_names.h"
#include "storage/journal/contributor.h"
#include "storage/journal/journal_stream.h"
#include "storage/planted_bugs.h"
#include "storage/recovery/checkpoint.h"

namespace posthaste::storage {

using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

namespace {
// How long a creation waits until tables have caught up with those before it.
constexpr reactor::Duration kCreateWait = std::chrono::seconds(10);
// Of a table that are encoded without a pause: a fifth of a millisecond.
constexpr size_t kEntriesAtOnce = 128;
}  // namespace

Engine::Engine(EngineHost& host, Core& core)
    : CoreOwned(core),
      host_(host),
      core_(core),
      cache_(std::make_shared<ChunkCache>(core.pool(), host.options().tail_bytes_max, host.options().cache_bytes_max)),
      producer_count_(std::make_shared<ProducerCount>(ProducerCount{.max = host.options().producers_max})),
      files_(*this, host.options().open_files_max),
      write_back_(*this, core),
      free_space_(core, space_),
      room_(core),
      read_room_(core, host.options().cache_bytes_max),
      prefix_room_(core, kPrefixLoads),
      changed_(core) {}

Engine::~Engine() = default;

Task<Result<void>> Engine::open(const TableSnapshot& recovered) {
  const uint16_t stream = host_.stream_of(core_.id());
  const CoreId owner = host_.stream_owner(stream);
  next_uid_ = recovered.next_uid + core_.id();
  if (auto opened = write_back_.open(); !opened) co_return opened;
  for (reactor::Buffer& block : prefix_blocks_) {
    auto allocated = core_.pool().allocate(kBlock);
    if (!allocated) co_return failure(allocated.error());
    block = std::move(*allocated);
  }
  const JournalOptions journal = host_.journal_options(stream);
  if (owner == core_.id()) {
    stream_ = std::make_unique<JournalStream>(core_, journal, recovered.streams[stream]);
    if (auto opened = co_await stream_->open(); !opened) co_return opened;
    stream_->on_pressure(
        [](void* context) {
          Engine& engine = *static_cast<Engine*>(context);
          engine.spawn(reactor::on_core(
              engine.core_, 0, [host = &engine.host_](Core&) { host->checkpoint_->request(); },
              reactor::MessageClass::kPush));
        },
        this);
  }
  contributor_ = std::make_unique<Contributor>(*this, stream_.get(), owner,
                                               static_cast<size_t>(journal.remote_sub_block_bytes_max()));
  if (auto opened = contributor_->open(); !opened) co_return opened;
  if (stream_ != nullptr) stream_->set_local(contributor_.get());
  for (const TableEntry& entry : recovered.entries) {
    if (entry.core != core_.id() || entry.deleted) continue;
    auto partition = std::make_shared<Partition>(*this, entry, LogConfig{});
    partition->set_created();
    by_key_[{entry.topic_id, entry.partition}] = partition.get();
    by_uid_[entry.uid] = std::move(partition);
  }
  spawn(sweep(*this));
  co_return Result<void>();
}

Task<void> Engine::run_background(Engine& engine, Task<void> task) {
  co_await task;
  if (--engine.background_ == 0) engine.changed_.notify_all();
}

void Engine::spawn(Task<void> task) {
  check_core();
  ++background_;
  core_.scope().spawn_job(run_background(*this, std::move(task)));
}

std::shared_ptr<const LogConfig> Engine::share(const LogConfig& config) {
  check_core();
  const auto same =
      std::ranges::find_if(configs_, [&](const auto& kept) { return kept != nullptr && *kept == config; });
  if (same != configs_.end()) return *same;
  auto& kept = configs_[next_config_++ % kConfigsKept];
  kept = std::make_shared<const LogConfig>(config);
  return kept;
}

Partition* Engine::find(const TopicId& topic_id, int32_t partition) {
  check_core();
  const auto found = by_key_.find({topic_id, partition});
  return found == by_key_.end() ? nullptr : found->second;
}

Partition* Engine::find(Uid uid) {
  check_core();
  const auto found = by_uid_.find(uid);
  return found == by_uid_.end() ? nullptr : found->second.get();
}

void Engine::for_each(const std::function<void(Partition&)>& visit) {
  check_core();
  for (const auto& [key, partition] : by_key_) visit(*partition);
}

Task<Result<Partition*>> Engine::create_partition(PartitionSpec spec) {
  check_core();
  if (stopping_) co_return failure(Errc::kStopping);
  const std::optional<std::string> folder = partition_folder(spec.topic_name, spec.partition);
  if (!folder) co_return failure(Errc::kInvalidArgument);
  if (find(spec.topic_id, spec.partition) != nullptr) co_return failure(Errc::kExists);
  if (host_.foreign_folders().contains(*folder)) {
    core_.log(reactor::LogLevel::kError, "storage.folder_in_the_way",
              fmt::format("folder={}/{} reason=\"it was there before the partition and is not the broker's\" "
                          "remedy=\"move it away and start again\"",
                          host_.options().data_directory, *folder));
    co_return failure(Errc::kPermission);
  }
  for (const reactor::Instant deadline = core_.now() + kCreateWait;;) {
    const Result<void> admitted = space_.admit(SpaceAccount::kPartitionBytes, false);
    if (admitted) break;
    if (admitted.error() != Errc::kNoMemory || core_.now() >= deadline) co_return failure(admitted.error());
    co_await wait_for_room();
    if (stopping_) co_return failure(Errc::kStopping);
    if (find(spec.topic_id, spec.partition) != nullptr) co_return failure(Errc::kExists);
  }
  table_grows(SpaceAccount::kPartitionBytes);
  TableEntry entry{.uid = next_uid_,
                   .topic_id = spec.topic_id,
                   .topic_name = spec.topic_name,
                   .partition = spec.partition,
                   .core = core_.id(),
                   .segments = {SegmentEntry{}}};
  next_uid_ += host_.cores();
  auto made = std::make_shared<Partition>(*this, entry, spec.config);
  Partition& partition = *made;
  const Partition::Use use(partition);
  by_key_[{spec.topic_id, spec.partition}] = &partition;
  by_uid_[entry.uid] = std::move(made);
  co_await contributor_->write(partition, {.type = RecordType::kCreate,
                                           .uid = entry.uid,
                                           .topic_id = spec.topic_id,
                                           .topic_name = spec.topic_name,
                                           .partition = spec.partition,
                                           .core = core_.id()});
  partition.set_created();
  partition.meta_applied();
  co_return &partition;
}

Task<Result<void>> Engine::delete_partition(Partition& partition) {
  check_core();
  if (auto begun = partition.begin_deletion(); !begun) co_return begun;
  const std::shared_ptr<Partition> kept = by_uid_.at(partition.uid());
  ++leaving_[partition.directory()];
  // What is on its way to the journal arrives there first; then nothing refers to the partition any more.
  while (!partition.is_settled_for_deletion()) co_await partition.changed().wait();
  by_key_.erase({partition.topic_id(), partition.partition()});
  changed_.notify_all();
  partition.announce_deletion();
  co_await contributor_->write(partition, {.type = RecordType::kDelete, .uid = partition.uid()});
  tombstones_[partition.uid()] = partition.end_deletion();
  by_uid_.erase(partition.uid());
  spawn(remove_files(*this, kept));
  co_return Result<void>();
}

// One partition after the other, in the background of the start.
Task<void> Engine::sweep(Engine& engine) {
  for (auto at = engine.by_uid_.begin(); at != engine.by_uid_.end() && !engine.stopping_;) {
    const std::shared_ptr<Partition> partition = at->second;
    {
      const Partition::Use use(*partition);
      if (partition->mode() == Partition::Mode::kOpen) co_await engine.files_.sweep(*partition);
    }
    at = engine.by_uid_.upper_bound(partition->uid());
  }
}

Task<void> Engine::remove_files(Engine& engine, std::shared_ptr<Partition> partition) {
  while (partition->is_in_use()) co_await partition->changed().wait();
  for (const auto& segment : partition->bytes().segments()) {
    segment->removed = true;
    segment->drop_chunks();
    engine.space_.follow(*segment);
  }
  engine.room_made();
  Result<void> removed;
  if (partition->folder().was_tried) removed = co_await engine.files_.remove_directory(*partition);
  if (removed) {
    engine.tombstones_.erase(partition->uid());
  } else {
    engine.core_.log(reactor::LogLevel::kWarning, "storage.delete_later",
                     fmt::format("directory={} error={}", partition->directory(), to_string(removed.error())));
  }
  const auto leaving = engine.leaving_.find(partition->directory());
  if (--leaving->second == 0) engine.leaving_.erase(leaving);
  engine.changed_.notify_all();
}

Task<void> Engine::wait_for_name(Partition& partition) {
  if (planted(kBugs["folder-name-not-waited-for"])) co_return;
  const std::string folder = partition.directory();
  // Its own removal waits for those that use it, such as the caller.
  while (leaving_.contains(folder) && partition.mode() != Partition::Mode::kDeleting) co_await changed_.wait();
  if (planted(kBugs["other-cores-name-not-waited-for"])) co_return;
  // The one that had the name before may belong to another core.
  for (CoreId other = 0; other < host_.cores(); ++other) {
    if (other == core_.id() || partition.mode() == Partition::Mode::kDeleting) continue;
    auto work = [host = &host_, &folder](Core& there) { return wait_until_left(*host, there, folder); };
    co_await reactor::on_core(core_, other, std::move(work), reactor::MessageClass::kPush);
  }
}

Task<void> Engine::wait_until_left(EngineHost& host, Core& there, const std::string& folder) {
  // One that is not open yet removes nothing.
  Engine* const engine = host.engines_[there.id()].get();
  while (engine != nullptr && engine->leaving_.contains(folder)) co_await engine->changed_.wait();
}

void Engine::tidy(Partition& partition, std::shared_ptr<Segment> segment) {
  if (!segment->tidy) spawn(tidy_task(*this, Partition::Use(partition), std::move(segment)));
}

Task<void> Engine::tidy_task(Engine& engine, Partition::Use use, std::shared_ptr<Segment> segment) {
  co_await engine.files_.tidy(use.partition(), std::move(segment));
}

void Engine::tidy_later(Partition& partition, const std::shared_ptr<Segment>& segment) {
  segment->tidy = false;
  untidy_.push_back({partition.uid(), segment});
}

void Engine::tidy_the_rest() {
  for (const Untidy& untidy : std::exchange(untidy_, {})) {
    const auto segment = untidy.segment.lock();
    Partition* const partition = find(untidy.uid);
    if (segment != nullptr && partition != nullptr && !stopping_) tidy(*partition, segment);
  }
}

Task<void> Engine::checkpoint() {
  co_await reactor::on_core(core_, 0, [host = &host_](Core&) { return host->checkpoint_->write_now(true); });
}

Engine::Stats Engine::stats() const {
  check_core();
  return {.commits = stream_ == nullptr ? 0 : stream_->commits(),
          .dirty_bytes = cache_->dirty_bytes(),
          .clean_bytes = cache_->clean_bytes(),
          .refused_ranges = refused_ranges_};
}

// Those with records in old journal files, so that a table can free these.
Task<void> Engine::write_back_below(uint64_t lsn) {
  struct Wanted {
    std::shared_ptr<Partition> partition;
    uint64_t goal;
    uint32_t generation;
  };
  std::vector<Wanted> wanted;
  for (const auto& [uid, partition] : by_uid_) {
    const std::optional<uint64_t> oldest = partition->commit().oldest_live_lsn();
    if (!oldest || *oldest >= lsn) continue;
    if (partition->mode() == Partition::Mode::kDeleting) continue;
    wanted.push_back({partition, partition->commit().durable_linear(), partition->generation()});
    write_back_.request(*partition, partition->commit().durable_linear(), true);
  }
  for (const Wanted& wait : wanted) {
    Partition& partition = *wait.partition;
    const Partition::Use use(partition);
    // A truncation meanwhile has flushed all of the old generation, and no write-back of the new one was requested.
    while (partition.generation() == wait.generation && partition.commit().flushed_linear() < wait.goal &&
           partition.mode() != Partition::Mode::kDeleting) {
      co_await partition.changed().wait();
    }
  }
}

// Waits for nothing that needs room in the journal: a table is what makes room.
Task<Engine::TablePart> Engine::table_part(uint64_t bound_lsn) {
  TablePart part{.low_water_lsn = bound_lsn};
  reactor::Pace pace(kEntriesAtOnce);
  for (auto at = by_uid_.begin(); at != by_uid_.end();) {
    const Uid uid = at->first;
    const std::shared_ptr<Partition> partition = at->second;
    {
      const Partition::Use use(*partition);
      while (partition->commit().metas_unapplied() > 0) co_await partition->changed().wait();
      if (by_uid_.contains(uid) && partition->is_created()) {
        // One that is being deleted is gone as far as the table is concerned, before its record of that is in the
        // journal: its bytes must not keep the room that this record waits for.
        TableEntry entry = partition->table_entry();
        entry.deleted = partition->mode() == Partition::Mode::kDeleting;
        part.entries.add(entry);
        if (!entry.deleted) {
          part.low_water_lsn = std::min(part.low_water_lsn, partition->commit().oldest_needed_lsn(bound_lsn));
        }
      }
    }
    if (pace.is_due(1)) co_await core_.yield(reactor::CpuClass::kBackground);
    at = by_uid_.upper_bound(uid);
  }
  for (const auto& [uid, tombstone] : tombstones_) part.entries.add(tombstone);
  part.next_uid = next_uid_;
  space_.table_made();
  part.growth = space_.growth_of_table();
  table_asked_for_ = false;
  co_return part;
}

Task<void> Engine::abandon() {
  stopping_ = true;
  if (stream_ != nullptr) stream_->stop_growing();
  while (background_ > 0) co_await changed_.wait();
  if (stream_ != nullptr) co_await stream_->close();
  for (const auto& [uid, partition] : by_uid_) {
    for (const auto& segment : partition->bytes().segments()) co_await files_.close(*segment);
  }
}

Task<void> Engine::close() {
  check_core();
  stopping_ = true;
  if (stream_ != nullptr) stream_->stop_growing();
  // All of it side by side; below, each is waited for.
  for (const auto& [uid, partition] : by_uid_) {
    if (partition->commit().flushed_linear() < partition->commit().durable_linear()) {
      write_back_.request(*partition, partition->commit().durable_linear(), true);
    }
  }
  // Deletions and truncations under way end first.
  for (auto at = by_uid_.begin(); at != by_uid_.end();) {
    const Uid uid = at->first;
    const std::shared_ptr<Partition> partition = at->second;
    {
      const Partition::Use use(*partition);
      while (partition->mode() == Partition::Mode::kTruncating) co_await partition->changed().wait();
      if (partition->mode() == Partition::Mode::kOpen) {
        (void)co_await partition->quiesce();
        partition->stop();
      }
    }
    at = by_uid_.upper_bound(uid);
  }
  co_await write_back_.drain();
  while (background_ > 0) co_await changed_.wait();
  const uint16_t stream = host_.stream_of(core_.id());
  const CoreId owner = host_.stream_owner(stream);
  if (owner == core_.id()) {
    while (detached_ + 1 < host_.cores_of_stream(stream)) co_await changed_.wait();
    co_await stream_->close();
  }
  TablePart part = co_await table_part(UINT64_MAX);
  if (owner == core_.id()) {
    part.closed_stream = stream_->table_stream();
    part.closed_stream.low_water_lsn = stream_->closed_lsn();
  }
  for (const auto& [uid, partition] : by_uid_) {
    for (const auto& segment : partition->bytes().segments()) co_await files_.close(*segment);
  }
  co_await reactor::on_core(core_, 0, [host = &host_, core = core_.id(), &part](Core&) {
    return host->checkpoint_->core_closed(core, std::move(part));
  });
  if (owner == core_.id()) co_return;
  co_await reactor::on_core(core_, owner, [host = &host_](Core& there) -> Task<void> {
    Engine* of = co_await host->when_open(there);
    ++of->detached_;
    of->changed_.notify_all();
  });
}

}  // namespace posthaste::storage
