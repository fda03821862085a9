#include "storage/journal/journal_stream.h"

#include <algorithm>
#include <utility>

#include "storage/journal/journal_files.h"
#include "storage/journal/journal_scan.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::FatalReason;
using reactor::File;
using reactor::Result;
using reactor::Task;

namespace {
// Pieces of one commit's write: enough for several cores that refer to their data.
constexpr size_t kSlicesMax = 4 * RecordWriter::kPiecesMax;
}  // namespace

JournalStream::JournalStream(reactor::Core& core, JournalOptions options, const TableStream& table)
    : core_(core),
      options_(std::move(options)),
      id_(table.id),
      table_pairs_(table.pairs),
      next_sequence_(table.next_file_sequence),
      durable_lsn_(table.low_water_lsn),
      low_water_{table.low_water_lsn, table.low_water_lsn},
      frontier_(core),
      promised_(options_.cores - 1U),
      idle_(core) {
  run_.self = written_.self = op_.self = frontier_.self = this;
  run_.run = [](reactor::Runnable& runnable) { static_cast<Run&>(runnable).self->run(); };
  written_.run = [](reactor::Runnable& runnable) { static_cast<Run&>(runnable).self->written(); };
}

JournalStream::~JournalStream() = default;

Task<Result<void>> JournalStream::open() {
  auto staging = core_.pool().allocate(options_.staging_bytes);
  auto header = core_.pool().allocate(kBlock);
  if (!staging || !header) co_return failure(Errc::kNoMemory);
  staging_ = std::move(*staging);
  header_block_ = std::move(*header);
  slices_.reserve(kSlicesMax);
  for (const uint16_t number : table_pairs_) {
    if (auto opened = co_await open_pair(number); !opened) co_return opened;
  }
  CHECK(pairs_.size() >= kPairsAtStart && pairs_.front()->number == 0, "recovery has made them");
  JournalPair& first = *free_.front();
  free_.pop_front();
  first.sequence = next_sequence_ - 1;
  first.start_lsn = durable_lsn_;
  live_.push_back(&first);
  co_return Result<void>();
}

bool JournalStream::has_pair(uint16_t number) const {
  return std::ranges::any_of(pairs_, [number](const auto& pair) { return pair->number == number; });
}

Task<Result<void>> JournalStream::open_pair(uint16_t number) {
  auto pair = std::make_unique<JournalPair>();
  pair->number = number;
  for (size_t side = 0; side < 2; ++side) {
    const std::string path = journal_file_path(options_.directory, size_t{2} * number + side);
    auto opened = co_await File::open(core_, path, reactor::kOpenWrite | reactor::kOpenDirect);
    if (!opened) co_return failure(opened.error());
    pair->files[side] = *opened;
  }
  free_.push_back(pair.get());
  pairs_.push_back(std::move(pair));
  co_return Result<void>();
}

// Makes what is missing of a pair, durably with the names. What is there may owe it to the page cache: a process that
// was killed had just made it.
Task<Result<void>> JournalStream::make_pair(uint16_t number, FreeSpace& space) {
  for (uint16_t side = 0; side < 2; ++side) {
    const auto slot = static_cast<uint16_t>(2 * number + side);
    auto ready = co_await journal_file_is_ready(core_, options_.directory, slot, options_.file_bytes);
    if (!ready) co_return failure(ready.error());
    Result<void> durable;
    if (*ready) {
      durable = co_await make_durable(core_, journal_file_path(options_.directory, slot));
    } else {
      durable = co_await make_journal_file(core_, options_.directory, slot, options_.file_bytes, &space);
    }
    if (!durable) co_return durable;
  }
  co_return co_await reactor::file_system::sync_directory(core_, options_.directory);
}

Task<void> JournalStream::grow(FreeSpace& space) {
  bool grown = false;
  for (uint16_t number = 0; number < options_.files / 2 && growing_; ++number) {
    if (has_pair(number)) continue;
    auto added = co_await make_pair(number, space);
    if (added) added = co_await open_pair(number);
    if (!added && added.error() == Errc::kStopping) break;
    if (!added) {
      // The broker serves with the files that there are; the next start tries again.
      core_.log(reactor::LogLevel::kWarning, "journal.grow_failed", fmt::format("error={}", to_string(added.error())));
      break;
    }
    grown = true;
    give_places();
    schedule();
  }
  if (grown && growing_ && pressure_ != nullptr) pressure_(pressure_context_);
}

Task<void> JournalStream::close() {
  stopping_ = true;
  frontier_.cancel();
  while (busy_ != Busy::kIdle) co_await idle_.wait();
  // From here on nothing is written: a table that becomes durable now may ask for the frontier that had no room.
  live_.clear();
  free_.clear();
  for (auto& pair : pairs_) {
    for (File& file : pair->files) (void)co_await file.close();
  }
}

void JournalStream::request_commit() { schedule(); }

void JournalStream::schedule() {
  if (busy_ == Busy::kIdle && !run_.is_linked()) core_.schedule(run_);
}

Task<RemoteCommit> JournalStream::commit_remote(reactor::CoreId from, std::span<const reactor::Slice> pieces,
                                                uint32_t used) {
  struct Awaiter {
    JournalStream& stream;
    RemoteSubBlock& block;
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> parent) {
      block.later.hold(parent);
      stream.remote_.push_back(block);
      stream.schedule();
    }
    void await_resume() {}
  };
  RemoteSubBlock block;
  block.pieces = pieces;
  block.used = used;
  block.core = from;
  CHECK(promised_ > 0 && std::cmp_less_equal(used, options_.remote_sub_block_bytes_max()),
        "a sub-block of {} bytes without a place", used);
  co_await Awaiter{*this, block};
  co_return block.outcome;
}

Task<void> JournalStream::wait_for_place() {
  struct Awaiter {
    JournalStream& stream;
    PlaceWaiter& waiter;
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> parent) {
      waiter.later.hold(parent);
      stream.place_waiters_.push_back(waiter);
      stream.give_places();
    }
    void await_resume() {}
  };
  PlaceWaiter waiter;
  co_await Awaiter{*this, waiter};
}

// To the waiters, in order, while there is room; our own contributor takes its turn in start_commit().
void JournalStream::give_places() {
  while (!place_waiters_.empty() && &place_waiters_.front() != &local_waiter_) {
    if (!has_room_beside_places(options_.place_bytes())) return want_table();
    PlaceWaiter& waiter = place_waiters_.pop_front();
    ++promised_;
    core_.schedule(waiter.later);
  }
}

// Whether a local sub-block of `bytes` may be built, beside the places that others hold and after those who waited
// longer. If not, the contributor waits with them.
bool JournalStream::may_build_local(uint64_t bytes) {
  if (local_ == nullptr || !local_->has_work()) return false;
  const bool is_first = place_waiters_.empty() || &place_waiters_.front() == &local_waiter_;
  if (is_first && has_room_beside_places(bytes)) return true;
  if (!local_waiter_.is_linked()) place_waiters_.push_back(local_waiter_);
  want_table();
  return false;
}

void JournalStream::want_table() {
  if (pressure_told_ || pressure_ == nullptr) return;
  pressure_told_ = true;
  pressure_(pressure_context_);
}

void JournalStream::run() {
  if (busy_ != Busy::kIdle || (live_.empty() && free_.empty())) return;
  if (!remote_.empty() || (local_ != nullptr && local_->has_work())) {
    start_commit(false);
  } else if (frontier_due_) {
    start_frontier();
  }
}

void JournalStream::start_frontier() {
  frontier_due_ = !has_room_beside_places(kBlock);
  frontier_due_ ? want_table() : start_commit(true);
}

// What the file of this side has left.
uint64_t JournalStream::rest_bytes(size_t side) const {
  if (live_.empty()) return 0;
  return options_.file_bytes - offset_[side] - (busy_ == Busy::kCommit && side == side_ ? commit_bytes_ : 0);
}

// True if the file whose turn it is has room; else takes the next pair into use, which is two writes of its own. There
// is one: nothing gets here without a place.
bool JournalStream::make_room(uint64_t bytes) {
  if (rest_bytes(side_) >= bytes) return true;
  CHECK(!free_.empty(), "no room for {} bytes: {} left, {} places promised", bytes, rest_bytes(side_), promised_);
  switch_pair();
  return false;
}

void JournalStream::start_commit(bool frontier) {
  const uint32_t header_bytes = commit_header_bytes(options_.cores);
  // Room worth starting a local sub-block for: a commit of a few bytes at the end of a file is no use.
  const uint64_t local_min = std::min<uint64_t>({options_.commit_bytes_max, 64 * 1024, options_.place_bytes()});
  const bool local_work = may_build_local(local_min);
  uint64_t wanted = frontier ? kBlock : 0;
  if (local_work) wanted = std::max(wanted, local_min);
  if (!remote_.empty()) wanted = std::max<uint64_t>(wanted, align_up(header_bytes) + remote_.front().padded_bytes());
  if (wanted == 0 || !make_room(wanted)) return;
  const JournalPair& pair = *live_.back();
  const uint64_t room = rest_bytes(side_);

  CommitHeader header{.stream = id_,
                      .flags = frontier ? kCommitFrontier : uint16_t{0},
                      .header_bytes = header_bytes,
                      .lsn = durable_lsn_,
                      .sequence = commit_sequence_ + 1,
                      .durable_lsn = durable_lsn_,
                      .table_number = std::max(table_number_[0], table_number_[1]),
                      .slot = static_cast<uint16_t>(2 * pair.number + side_),
                      .block = static_cast<uint32_t>(offset_[side_] / kBlock),
                      .file_sequence = pair.sequence,
                      .file_start_lsn = pair.start_lsn};
  size_t used = 0;
  if (local_work) {
    // Another core's sub-block that waits is not starved by ours, and what was promised is kept.
    const uint64_t waiting = remote_.empty() ? 0 : remote_.front().padded_bytes();
    const uint64_t most = std::min<uint64_t>(options_.commit_bytes_max, room - std::max(waiting, promised_bytes()));
    used = local_->build(staging_.bytes().subspan(header_bytes), header_bytes, most - header_bytes);
    if (used > 0 || most >= local_min) local_waiter_.unlink();
  }
  local_included_ = used > 0;
  add_own(header_bytes, used);
  const auto own = local_included_ ? local_->pieces() : std::span<const reactor::Slice>();
  header.sub_blocks.push_back({static_cast<uint32_t>(used), core_.id(), hash_sub_block(id_, core_.id(), own, used)});
  uint64_t total = align_up(header_bytes + used);
  while (!remote_.empty() && total + remote_.front().padded_bytes() <= room &&
         header.sub_blocks.size() < options_.cores && slices_.size() + remote_.front().pieces.size() <= kSlicesMax) {
    RemoteSubBlock& block = remote_.pop_front();
    remote_in_flight_.push_back(block);
    --promised_;
    header.sub_blocks.push_back({block.used, block.core, hash_sub_block(id_, block.core, block.pieces, block.used)});
    slices_.insert(slices_.end(), block.pieces.begin(), block.pieces.end());
    total += block.padded_bytes();
  }
  // All that is dirty waits for a disk read.
  if (!frontier && !local_included_ && header.sub_blocks.size() == 1) return give_places();
  header.total_bytes = static_cast<uint32_t>(total);
  encode_commit_header(header, staging_.bytes());
  commit_sequence_ = header.sequence;
  commit_bytes_ = total;
  commit_is_frontier_ = frontier;
  frontier_.cancel();
  frontier_due_ = false;
  busy_ = Busy::kCommit;
  CHECK(has_room_beside_places(0), "a commit of {} bytes took places that were promised", total);
  write(pair.files[side_], offset_[side_]);
  give_places();
}

// The commit header's place and the sub-block of this core behind it, in whole blocks.
void JournalStream::add_own(size_t header_bytes, size_t used) {
  slices_.clear();
  if (used == 0) {
    const size_t padded = align_up(header_bytes);
    std::fill(staging_.data() + header_bytes, staging_.data() + padded, std::byte{0});
    slices_.push_back({staging_.data(), padded});
    return;
  }
  const auto own = local_->pieces();
  CHECK(own.front().data == staging_.data() + header_bytes);
  slices_.assign(own.begin(), own.end());
  slices_.front() = {staging_.data(), header_bytes + own.front().size};
}

void JournalStream::switch_pair() {
  JournalPair& next = *free_.front();
  free_.pop_front();
  next.start_lsn = durable_lsn_;
  next.sequence = next_sequence_++;
  live_.push_back(&next);
  offset_ = {kBlock, kBlock};
  side_ = 0;
  CHECK(has_room_beside_places(0));
  busy_ = Busy::kFirstHeader;
  write_pair_header(0);
  if (under_pressure() && pressure_ != nullptr) pressure_(pressure_context_);
}

// One after the other: recovery knows from the second that the first was there.
void JournalStream::write_pair_header(size_t side) {
  const JournalPair& pair = *live_.back();
  encode_file_header({.slot = static_cast<uint16_t>(2 * pair.number + side),
                      .stream = id_,
                      .sequence = pair.sequence,
                      .start_lsn = pair.start_lsn,
                      .file_bytes = options_.file_bytes},
                     header_block_.bytes());
  slices_.assign(1, {header_block_.data(), kBlock});
  write(pair.files[side], 0);
}

void JournalStream::write(const File& file, uint64_t offset) {
  op_.kind = reactor::OpKind::kWrite;
  op_.io_class = reactor::IoClass::kJournal;
  op_.flags = reactor::kWriteDurable;
  op_.file = file.id();
  op_.offset = offset;
  op_.slices = slices_.data();
  op_.slice_count = static_cast<uint32_t>(slices_.size());
  op_.complete = [](reactor::Op& op) {
    auto& self = *static_cast<WriteOp&>(op).self;
    self.core_.schedule(self.written_);
  };
  core_.submit(op_);
}

void JournalStream::written() {
  if (const auto outcome = op_.outcome(); !outcome) {
    reactor::fatal(outcome.error() == Errc::kNoSpace ? FatalReason::kJournalFull : FatalReason::kDurableWriteFailed,
                   fmt::format("journal write failed: {}", to_string(outcome.error())));
  }
  const Busy was = busy_;
  if (was == Busy::kFirstHeader) {
    busy_ = Busy::kSecondHeader;
    return write_pair_header(1);
  }
  busy_ = Busy::kIdle;
  if (was == Busy::kCommit) finish_commit();
  if (stopping_) idle_.notify_all();
  const bool work = !remote_.empty() || (local_ != nullptr && local_->has_work());
  if (work) {
    schedule();
  } else if (!commit_is_frontier_ && !stopping_) {
    frontier_.arm(core_.now() + options_.frontier_delay, [](reactor::Timer& timer) {
      JournalStream& self = *static_cast<FrontierTimer&>(timer).self;
      if (self.busy_ == Busy::kIdle && !self.stopping_) self.start_frontier();
    });
  }
}

void JournalStream::finish_commit() {
  const CommitPlace place{durable_lsn_, live_.back()->start_lsn};
  offset_[side_] += commit_bytes_;
  durable_lsn_ += commit_bytes_;
  // A frontier has no contents to lose: what follows may lie behind it.
  if (!commit_is_frontier_) side_ = 1 - side_;
  ++commits_;
  while (!remote_in_flight_.empty()) {
    RemoteSubBlock& block = remote_in_flight_.pop_front();
    block.outcome.place = place;
    // The next one as well, unless others wait for room.
    block.outcome.has_place = place_waiters_.empty() && has_room_beside_places(options_.place_bytes());
    if (block.outcome.has_place) ++promised_;
    core_.schedule(block.later);
  }
  if (local_included_) {
    local_included_ = false;
    local_->durable(place);
  }
}

// A pair counts when its headers are durable. A closed stream needs none.
uint64_t JournalStream::bound_lsn() const {
  if (live_.empty()) return durable_lsn_;
  const bool starting = busy_ == Busy::kFirstHeader || busy_ == Busy::kSecondHeader;
  return starting ? live_[live_.size() - 2]->start_lsn : live_.back()->start_lsn;
}

TableStream JournalStream::table_stream() const {
  TableStream stream{.id = id_, .next_file_sequence = next_sequence_, .file_bytes = options_.file_bytes};
  for (const auto& pair : pairs_) stream.pairs.push_back(pair->number);
  stream.in_use = !live_.empty();
  return stream;
}

uint64_t JournalStream::write_back_below_lsn() const {
  if (live_.size() < 2) return bound_lsn();
  // While files are free, many at once, for each table costs two flushes. When none is, the oldest ones alone: those
  // who wait for them continue soon, and not in bursts of half a journal.
  const size_t wanted = free_.empty() ? std::max<size_t>(1, live_.size() / 8) : live_.size() / 2;
  return live_[wanted]->start_lsn;
}

bool JournalStream::under_pressure() const { return live_.size() > 1 && free_.size() <= pairs_.size() / 2; }

std::string JournalStream::describe_room() const {
  return fmt::format(
      "journal: {} pairs live from {}, {} free, {} and {} bytes left, {} places of {} bytes held, {} wait for one, low "
      "water {} and {}, {}",
      live_.size(), live_.empty() ? 0 : live_.front()->start_lsn, free_.size(), rest_bytes(0), rest_bytes(1), promised_,
      options_.place_bytes(), place_waiters_.count(), low_water_[0], low_water_[1],
      busy_ == Busy::kIdle ? "idle" : "writing");
}

void JournalStream::table_durable(uint64_t number, uint64_t low_water_lsn) {
  pressure_told_ = false;
  const size_t older = table_number_[0] <= table_number_[1] ? 0 : 1;
  table_number_[older] = number;
  CHECK(low_water_lsn >= low_water_[older], "low water went back");
  low_water_[older] = low_water_lsn;
  // The older of the two tables on disk decides: either of them may turn out rotten.
  const uint64_t low_water =
      planted(kBugs["journal-freed-by-newest-table"]) ? low_water_lsn : std::min(low_water_[0], low_water_[1]);
  // A pair ends where the next one starts.
  const size_t decides = planted(kBugs["journal-recycled-early"]) ? 0 : 1;
  while (live_.size() > 1 && live_[decides]->start_lsn <= low_water) {
    free_.push_back(live_.front());
    live_.pop_front();
  }
  give_places();
  schedule();
}

}  // namespace posthaste::storage
