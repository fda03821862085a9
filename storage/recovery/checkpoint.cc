#include "storage/recovery/checkpoint.h"

#include <exception>

#include <algorithm>

#include "reactor/file.h"
#include "reactor/mail.h"
#include "storage/journal/journal_format.h"
#include "storage/journal/journal_stream.h"
#include "storage/planted_bugs.h"
#include "storage/space/space_reserve.h"

namespace posthaste::storage {

using reactor::Core;
using reactor::CoreId;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;

namespace {
// Between two tables that follow each other because the first freed too little.
constexpr reactor::Duration kAgainDelay = std::chrono::milliseconds(5);
// A table's file is made so much larger than the table, or half of it if that is more: it grows while there is room.
constexpr uint64_t kTableHeadroomMin = uint64_t{64} << 10;
// Between two tries to write a table on a full disk, and how many of them a stop waits for.
constexpr reactor::Duration kRoomDelay = std::chrono::milliseconds(500);
constexpr uint32_t kTriesAtStop = 4;

// Room for `bytes` in a table's file, before any of them is written.
Task<Result<void>> make_table_room(Core& core, const std::string& path, File& file, uint64_t bytes, TableRoom room) {
  const auto found = co_await reactor::file_system::stat(core, path);
  if (!found) co_return failure(found.error());
  if (found->size_bytes >= bytes) co_return Result<void>();
  if (room == TableRoom::kAhead) {
    auto allocated = co_await file.allocate(0, align_up(bytes + std::max(bytes / 2, kTableHeadroomMin)));
    if (allocated || allocated.error() != reactor::Errc::kNoSpace) co_return allocated;
    (void)co_await file.truncate(found->size_bytes);
  }
  auto allocated = co_await file.allocate(0, align_up(bytes));
  // A part of it may have been given.
  if (!allocated) (void)co_await file.truncate(found->size_bytes);
  co_return allocated;
}
}  // namespace

// A table makes room in the journal, so no mail of it may queue behind calls that wait for that room: appends come as
// kRequest and keep their credits while they wait for room. What is called here waits for the disk alone.
template <class Work>
auto Checkpoint::ask(CoreId core, Work work) {
  return reactor::on_core(core_, core, std::move(work), reactor::MessageClass::kPush);
}

Checkpoint::Checkpoint(EngineHost& host, Core& core, uint64_t number, size_t newest_slot)
    : host_(host),
      core_(core),
      number_(number),
      newest_slot_(newest_slot),
      one_at_a_time_(core, 1),
      wake_(core),
      closed_(host.cores()),
      growth_(host.cores()) {}

Checkpoint::~Checkpoint() {
  CHECK(!runs_ || core_.abandoned() || std::uncaught_exceptions() > 0, "the loop of tables has lost its owner");
}

Task<void> Checkpoint::run() {
  CHECK(!runs_, "a second loop of tables");
  runs_ = true;
  while (!stopping_) {
    if (!wanted_) {
      co_await wake_.wait();
      continue;
    }
    wanted_ = false;
    co_await write_now(true);
    const reactor::Instant again = core_.now() + kAgainDelay;
    while (wanted_ && !stopping_ && co_await wake_.wait_until(again)) {
    }
  }
  runs_ = false;
  wake_.notify_all();
}

Task<void> Checkpoint::ended() {
  CHECK(stopping_, "it would run for ever");
  while (runs_) co_await wake_.wait();
}

Task<void> Checkpoint::write_now(bool write_back) {
  co_await one_at_a_time_.acquire(1);
  // Who waited here while the cores closed comes too late: the table of the stop says all of it.
  if (!stopping_) co_await gather_and_write(write_back);
  one_at_a_time_.release(1);
}

Task<void> Checkpoint::gather_and_write(bool write_back) {
  struct StreamView {
    bool open = false;
    uint64_t bound_lsn = 0;
    uint64_t write_back_below_lsn = 0;
    TableStream table;
  };
  const auto streams = static_cast<uint16_t>(host_.recovered_.streams.size());
  TableSnapshot table{.number = number_ + 1, .cores = host_.cores(), .next_uid = 0, .owner = host_.options().owner};
  std::vector<StreamView> views;
  for (uint16_t s = 0; s < streams; ++s) {
    const CoreId owner = host_.stream_owner(s);
    if (closed_[owner]) {
      const TableStream& closed = closed_[owner]->closed_stream;
      table.streams.push_back(closed);
      views.push_back({true, closed.low_water_lsn, 0, closed});
      continue;
    }
    const StreamView view = co_await ask(owner, [host = &host_, owner](Core&) -> StreamView {
      if (host->engines_[owner] == nullptr || host->engines_[owner]->own_stream() == nullptr) return {};
      const JournalStream& stream = *host->engines_[owner]->own_stream();
      return {true, stream.bound_lsn(), stream.write_back_below_lsn(), stream.table_stream()};
    });
    if (!view.open) {
      wanted_ = true;  // not all cores are open yet
      co_return;
    }
    table.streams.push_back(view.table);
    views.push_back(view);
  }
  TableEntries entries;
  std::vector<uint64_t> low_water(streams);
  for (uint16_t s = 0; s < streams; ++s) low_water[s] = views[s].bound_lsn;
  for (CoreId c = 0; c < host_.cores(); ++c) {
    const uint16_t s = host_.stream_of(c);
    Engine::TablePart part;
    if (closed_[c]) {
      part = *closed_[c];
    } else {
      const uint64_t below = write_back ? views[s].write_back_below_lsn : 0;
      auto answer = co_await ask(
          c, [host = &host_, c, below, bound = views[s].bound_lsn](Core&) -> Task<std::optional<Engine::TablePart>> {
            Engine* engine = host->engines_[c].get();
            if (engine == nullptr || engine->contributor_ == nullptr) co_return std::nullopt;
            if (below > 0) co_await engine->write_back_below(below);
            co_return co_await engine->table_part(bound);
          });
      if (!answer) {
        wanted_ = true;
        co_return;
      }
      part = std::move(*answer);
    }
    entries.add(std::move(part.entries));
    growth_[c] = part.growth;
    table.next_uid = std::max(table.next_uid, part.next_uid);
    low_water[s] = std::min(low_water[s], part.low_water_lsn);
  }
  for (uint16_t s = 0; s < streams; ++s) table.streams[s].low_water_lsn = low_water[s];
  co_await write_table(std::move(table), std::move(entries));
  for (uint16_t s = 0; s < streams; ++s) {
    const CoreId owner = host_.stream_owner(s);
    if (closed_[owner]) continue;
    const bool again = co_await ask(owner, [host = &host_, owner, number = number_, low = low_water[s]](Core&) mutable {
      JournalStream& stream = *host->engines_[owner]->own_stream();
      if (planted(kBugs["low-water-from-memory"])) {
        low = stream.bound_lsn();
        for (const auto& [uid, partition] : host->engines_[owner]->by_uid_) {
          low = partition->commit().oldest_needed_lsn(low);
        }
      }
      stream.table_durable(number, low);
      return stream.under_pressure();
    });
    wanted_ |= again;
  }
}

Task<void> Checkpoint::write_table(TableSnapshot table, TableEntries entries) {
  TableFile file(table, entries.count(), entries.bytes());
  for (Bytes& piece : entries.take_pieces()) {
    file.add(piece);
    Bytes().swap(piece);
    co_await core_.yield(reactor::CpuClass::kBackground);
  }
  file.finish();
  co_await write_slot(file);
  while (file.drop_chunk()) co_await core_.yield(reactor::CpuClass::kBackground);
}

// The older slot is overwritten; until that is durable the newest one is untouched.
Task<void> Checkpoint::write_slot(const TableFile& file) {
  const size_t slot = 1 - newest_slot_;
  Result<void> done = co_await try_slot(slot, file, false);
  bool told = false;
  for (uint32_t tries_at_stop = 0; !done && done.error() == reactor::Errc::kNoSpace;) {
    done = co_await try_slot(slot, file, true);
    if (!done && done.error() == reactor::Errc::kNoSpace) {
      if (!std::exchange(told, true)) {
        core_.log(reactor::LogLevel::kError, "storage.table_waits", fmt::format("error={}", to_string(done.error())));
      }
      if (core_.stopping() && ++tries_at_stop > kTriesAtStop) {
        reactor::fatal(reactor::FatalReason::kDiskFullAtStop,
                       "the disk is full: the last table cannot be written, the next start makes it from the journal. "
                       "Make room first");
      }
      co_await core_.sleep(kRoomDelay);
    }
  }
  if (!done) {
    reactor::fatal(reactor::FatalReason::kDurableWriteFailed,
                   fmt::format("writing {} failed: {}", host_.table_path(slot), to_string(done.error())));
  }
  newest_slot_ = slot;
  ++number_;
}

// What the table's file grows by comes out of the reserve while the disk is full, and then it is not free to grow by
// more.
Task<Result<void>> Checkpoint::try_slot(size_t slot, const TableFile& file, bool found_full) {
  const auto found = co_await reactor::file_system::stat(core_, host_.table_path(slot));
  const uint64_t there = found ? found->size_bytes : 0;
  SpaceReserve& reserve = *host_.reserve_;
  uint64_t given = 0;
  if (there < file.bytes() && (found_full || reserve.disk_full())) {
    given = co_await reserve.give_up_for_table(file.bytes() - there, growth_, found_full);
  }
  FreeSpace& space = host_.engines_[core_.id()]->free_space();
  std::optional<FreeSpace::Use> use;
  if (space.may_be_taken()) use.emplace(space);
  Result<void> done =
      co_await write_table_file(core_, host_.table_path(slot), file, use ? TableRoom::kAhead : TableRoom::kExact);
  reserve.taken(given);
  co_return done;
}

Task<void> Checkpoint::core_closed(CoreId core, Engine::TablePart part) {
  co_await one_at_a_time_.acquire(1);
  closed_[core] = std::move(part);
  one_at_a_time_.release(1);
  wake_.notify_all();
}

Task<void> Checkpoint::wait_until_closed() {
  while (!std::ranges::all_of(closed_, [](const auto& part) { return part.has_value(); })) co_await wake_.wait();
}

// All engines are closed and everything is flushed: no journal record is needed any more.
Task<void> Checkpoint::write_last() {
  co_await one_at_a_time_.acquire(1);
  TableSnapshot table{.number = number_ + 1,
                      .cores = host_.cores(),
                      .streams = host_.recovered_.streams,
                      .owner = host_.options().owner};
  TableEntries entries;
  for (CoreId c = 0; c < host_.cores(); ++c) {
    auto& part = closed_[c];
    growth_[c] = part->growth;
    entries.add(std::move(part->entries));
    table.next_uid = std::max(table.next_uid, part->next_uid);
  }
  const auto streams = static_cast<uint16_t>(table.streams.size());
  for (uint16_t s = 0; s < streams; ++s) {
    table.streams[s] = closed_[host_.stream_owner(s)]->closed_stream;
  }
  co_await write_table(std::move(table), std::move(entries));
  one_at_a_time_.release(1);
}

Task<Result<void>> write_table_file(Core& core, std::string path, const TableFile& file, TableRoom room) {
  auto opened = co_await File::open(core, path, reactor::kOpenWrite | reactor::kOpenCreate);
  if (!opened) co_return failure(opened.error());
  // One flush makes data and size durable; the file may be new, so data alone would not be enough.
  Result<void> done = co_await make_table_room(core, path, *opened, file.bytes(), room);
  uint64_t position = 0;
  for (const Bytes& chunk : file.chunks()) {
    if (!done) break;
    const Result<uint64_t> written = co_await opened->write(position, chunk, 0, reactor::IoClass::kWriteBack);
    if (!written) done = failure(written.error());
    position += chunk.size();
  }
  if (done) done = co_await opened->sync();
  Result<void> closed = co_await opened->close();
  co_return done ? closed : done;
}

}  // namespace posthaste::storage
