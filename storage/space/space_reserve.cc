#include "storage/space/space_reserve.h"

#include <algorithm>

#include "reactor/mail.h"
#include "storage/engine.h"

namespace posthaste::storage {

using reactor::CoreId;
using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;
namespace file_system = reactor::file_system;

namespace {
// The reserve takes no more than this part of a file system.
constexpr uint64_t kPartOfDisk = 16;
// But for this: with less a core could hardly accept anything.
constexpr uint64_t kCoreBytesMin = uint64_t{64} << 10;
// Of a reserve that is not whole this much and more is added at a time; so much is also left to others.
constexpr uint64_t kStepBytes = uint64_t{256} << 10;
// How often a full disk is looked at: service resumes within this time.
constexpr reactor::Duration kLookInterval = std::chrono::milliseconds(250);
}  // namespace

SpaceReserve::SpaceReserve(EngineHost& host, reactor::Core& core)
    : host_(host), core_(core), one_at_a_time_(core, 1), wake_(core), scope_(core), credits_(host.cores()) {}

// A quarter stays for tables and starts.
uint64_t SpaceReserve::core_share(uint64_t of_bytes) const {
  return align_down((of_bytes - of_bytes / 4) / host_.cores());
}

// What must be free beside a whole reserve before a full disk counts as one with room: else the next append would fill
// it again.
uint64_t SpaceReserve::spare_bytes() const { return std::max(target_ / 4, 2 * kStepBytes); }

// A file system that does not tell (some of those in user space) has room until it says otherwise.
Task<Result<reactor::SpaceStat>> SpaceReserve::measure() {
  auto space = co_await file_system::space(core_, host_.options().data_directory);
  if (space && space->total_bytes == 0) space->total_bytes = space->available_bytes = UINT64_MAX;
  co_return space;
}

Task<Result<void>> SpaceReserve::make_way() {
  const EngineOptions& options = host_.options();
  const auto space = co_await measure();
  if (!space) co_return failure(space.error());
  const uint64_t per_core = std::min(2 * options.tail_bytes_max, options.reserve_bytes_max);
  const uint64_t part = std::max(space->total_bytes / kPartOfDisk, host_.cores() * kCoreBytesMin);
  target_ = align_down(std::min(part, host_.cores() * (per_core + per_core / 3)));
  const std::string path = options.data_directory + "/.reserve";
  auto opened = co_await File::open(core_, path, reactor::kOpenWrite | reactor::kOpenCreate);
  if (!opened) co_return failure(opened.error());
  file_ = *opened;
  const auto found = co_await file_system::stat(core_, path);
  if (!found) co_return failure(found.error());
  size_ = align_down(found->size_bytes);
  durable_ = size_ > 0;
  if (size_ != found->size_bytes || size_ > target_) co_await shrink(size_ - std::min(size_, target_));
  // As much as could be owed, and as much again: the tables grow by more than they must while there is room.
  gave_way_ = space->available_bytes < 2 * size_;
  if (gave_way_) co_await shrink(size_);
  co_return Result<void>();
}

Task<Result<void>> SpaceReserve::open() {
  std::ranges::fill(credits_, core_share(size_));
  table_credit_ = size_ - host_.cores() * core_share(size_);
  // As much of it as can be had: a superuser's process may allocate more than the file system says is available.
  for (uint64_t wanted = target_ - size_; size_ < target_ && wanted >= kBlock; wanted = align_down(wanted / 2)) {
    auto grown = co_await grow(std::min(wanted, target_ - size_));
    if (!grown && grown.error() != Errc::kNoSpace) co_return grown;
  }
  if (size_ == target_ && !gave_way_) co_return Result<void>();
  co_return co_await look();
}

void SpaceReserve::begin() { scope_.spawn_job(run(*this)); }

Task<void> SpaceReserve::close() {
  closing_ = true;
  wake_.notify_all();
  co_await scope_.join();
  if (file_.valid()) (void)co_await file_.close();
}

// What this start has allocated is made durable here, not before the broker is ready: file systems keep the order of
// such changes, so it is on disk before whatever is synced after it. The name is durable with those of the tables.
Task<void> SpaceReserve::run(SpaceReserve& self) {
  while (!self.closing_) {
    (void)co_await self.wake_.wait_until(self.core_.now() + kLookInterval);
    if (self.closing_) break;
    co_await self.one_at_a_time_.acquire(1);
    if (self.full_) (void)co_await self.look();
    if (!self.durable_) {
      reactor::OperationAwaiter sync(self.core_, reactor::OpKind::kSync, reactor::IoClass::kFileSystem);
      sync.file = self.file_.id();
      self.durable_ = (co_await sync).has_value();
    }
    self.one_at_a_time_.release(1);
  }
}

// Fills the reserve with what there is, and decides whether the disk is still full.
Task<Result<void>> SpaceReserve::look() {
  const auto space = co_await measure();
  if (!space) co_return failure(space.error());
  const uint64_t missing = target_ - size_;
  uint64_t available = space->available_bytes - std::min(space->available_bytes, given_);
  uint64_t wanted = missing;
  if (available < missing + kStepBytes) wanted = align_down(available - std::min(available, kStepBytes));
  if (wanted > 0 && (wanted == missing || wanted >= kStepBytes)) {
    auto grown = co_await grow(wanted);
    if (!grown && grown.error() != Errc::kNoSpace) co_return grown;
    if (grown) available -= std::min(available, wanted);
  }
  set_full(size_ < target_ || available < spare_bytes(), available);
  tell_all();
  co_return Result<void>();
}

Task<Result<void>> SpaceReserve::grow(uint64_t bytes) {
  const uint64_t before = size_;
  auto allocated = co_await file_.allocate(before, bytes);
  if (!allocated) {
    // A file system may have given a part of it.
    (void)co_await file_.truncate(before);
    co_return allocated;
  }
  size_ += bytes;
  durable_ = false;
  share_out(bytes);
  co_return Result<void>();
}

// The space is free when this returns: file systems give it out again once the change is on disk.
Task<void> SpaceReserve::shrink(uint64_t bytes) {
  size_ -= bytes;
  auto truncated = co_await file_.truncate(size_);
  if (truncated) truncated = co_await file_.sync();
  if (!truncated) {
    core_.log(reactor::LogLevel::kWarning, "storage.reserve_not_given",
              fmt::format("error={}", to_string(truncated.error())));
  }
}

// A quarter of what was gained goes to the tables, the rest to those cores first that have used up most.
void SpaceReserve::share_out(uint64_t bytes) {
  const uint64_t share = core_share(target_);
  const uint64_t of_tables = target_ - credits_.size() * share;
  const uint64_t to_tables = std::min(of_tables - std::min(of_tables, table_credit_), align_up(bytes / 4));
  table_credit_ += to_tables;
  bytes -= to_tables;
  std::vector<CoreId> poorest(credits_.size());
  for (size_t core = 0; core < poorest.size(); ++core) poorest[core] = static_cast<CoreId>(core);
  std::ranges::sort(poorest, {}, [this](CoreId core) { return credits_[core]; });
  for (size_t i = 0; i < poorest.size(); ++i) {
    uint64_t& credit = credits_[poorest[i]];
    const uint64_t gain = std::min(share - std::min(share, credit), align_down(bytes / (poorest.size() - i)));
    credit += gain;
    bytes -= gain;
  }
  table_credit_ += bytes;
}

void SpaceReserve::set_full(bool full, uint64_t available_bytes) {
  ++version_;
  if (std::exchange(full_, full) == full) return;
  const std::string numbers = fmt::format("folder={} available_bytes={} reserve_bytes={} of={}",
                                          host_.options().data_directory, available_bytes, size_, target_);
  if (full) {
    core_.log(reactor::LogLevel::kError, "storage.disk_full",
              fmt::format("{} consequence=\"records and new topics are refused; reads, deletions, retention and "
                          "commits go on\" remedy=\"delete topics, shorten their retention or make room\"",
                          numbers));
  } else {
    core_.log(reactor::LogLevel::kWarning, "storage.disk_has_room",
              fmt::format("{} consequence=\"all is accepted again\"", numbers));
  }
}

// Each core knows it when this returns, and takes nothing any more that it was not given.
Task<void> SpaceReserve::become_full() {
  if (full_) co_return;
  set_full(true, 0);
  for (CoreId core = 0; core < host_.cores(); ++core) co_await tell(*this, core);
}

void SpaceReserve::tell_all() {
  for (CoreId core = 0; core < host_.cores(); ++core) scope_.spawn_job(tell(*this, core));
}

Task<void> SpaceReserve::tell(SpaceReserve& self, CoreId core) {
  co_await reactor::on_core(
      self.core_, core,
      [host = &self.host_, credit = self.credit(core)](reactor::Core& there) {
        return take_news(*host, there.id(), credit);
      },
      reactor::MessageClass::kNews);
}

Task<void> SpaceReserve::take_news(EngineHost& host, CoreId core, SpaceAccount::Credit credit) {
  Engine* const engine = host.engine_if_open(core);
  if (engine == nullptr) co_return;
  engine->take_credit(credit);
  if (credit.disk_full) co_await engine->free_space().wait_until_left();
}

Task<SpaceReserve::Given> SpaceReserve::give_up(CoreId core, uint64_t bytes, bool found_full) {
  co_await one_at_a_time_.acquire(1);
  uint64_t given = 0;
  if (full_ || found_full) {
    co_await become_full();
    given = std::min(align_up(bytes), credits_[core]);
    credits_[core] -= given;
    given_ += given;
    ++version_;
    if (given > 0) co_await shrink(given);
  }
  one_at_a_time_.release(1);
  co_return Given{given, credit(core)};
}

Task<uint64_t> SpaceReserve::give_up_for_table(uint64_t bytes, std::vector<uint64_t>& growth, bool found_full) {
  co_await one_at_a_time_.acquire(1);
  uint64_t given = 0;
  if (full_ || found_full) {
    co_await become_full();
    for (size_t core = 0; core < growth.size(); ++core) {
      const uint64_t pays = std::min({align_up(bytes) - given, align_down(growth[core]), credits_[core]});
      growth[core] -= pays;
      credits_[core] -= pays;
      given += pays;
    }
    const uint64_t rest = std::min(align_up(bytes) - given, table_credit_);
    table_credit_ -= rest;
    given += rest;
    given_ += given;
    ++version_;
    tell_all();
    if (given > 0) co_await shrink(given);
  }
  one_at_a_time_.release(1);
  co_return given;
}

}  // namespace posthaste::storage
