// Engine: room, in memory and on the disk. It is requested here, freed room is announced here, and waiters wait here.
// SpaceAccount, SpaceReserve and ChunkCache decide how much room there is and who gets it.
#include <algorithm>

#include "reactor/mail.h"
#include "storage/engine.h"
#include "storage/journal/journal_stream.h"
#include "storage/recovery/checkpoint.h"
#include "storage/space/space_reserve.h"

namespace posthaste::storage {

using reactor::Core;
using reactor::Task;

namespace {
// wait_for_room() returns at the latest after this: memory may come back from elsewhere.
constexpr reactor::Duration kRoomWait = std::chrono::milliseconds(10);
}  // namespace

void Engine::note_unflushed(Partition& partition) {
  auto& node = static_cast<reactor::ListNode<UnflushedTag>&>(partition);
  if (!node.is_linked()) unflushed_.push_back(partition);
  if (cache_->dirty_bytes() > cache_->dirty_bytes_max() / 2) memory_wanted();
}

// The partitions that have waited longest write back, their last blocks too: that frees their chunks.
void Engine::memory_wanted() {
  check_core();
  for (uint32_t i = 0; i < 2 * WriteBack::kRunners && !unflushed_.empty(); ++i) {
    Partition& partition = unflushed_.pop_front();
    unflushed_.push_back(partition);
    write_back_.request(partition, partition.commit().durable_linear(), true);
  }
}

void Engine::grow_journal() {
  if (stream_ != nullptr) spawn(stream_->grow(free_space_));
}

void Engine::room_made() {
  room_.notify_all();
  if (cache_->dirty_bytes() > cache_->dirty_bytes_max() / 2) memory_wanted();
}

void Engine::take_credit(const SpaceAccount::Credit& credit) {
  const bool was_full = disk_full();
  space_.take(credit);
  if (was_full && !disk_full()) tidy_the_rest();
  room_made();
}

Task<uint64_t> Engine::take_from_reserve(uint64_t bytes, bool found_full) {
  check_core();
  const SpaceReserve::Given given = co_await reactor::on_core(
      core_, 0,
      [host = &host_, core = core_.id(), bytes, found_full](Core&) {
        return host->reserve_->give_up(core, bytes, found_full);
      },
      reactor::MessageClass::kPush);
  take_credit(given.credit);
  co_return given.bytes;
}

void Engine::took_from_reserve(uint64_t bytes) {
  if (bytes == 0) return;
  spawn(reactor::on_core(
      core_, 0, [host = &host_, bytes](Core&) { host->reserve_->taken(bytes); }, reactor::MessageClass::kPush));
}

// Once the debt of the tables is a good part of the credit a table is written, which pays it.
void Engine::table_grows(uint64_t bytes) {
  space_.table_grows(bytes);
  if (table_asked_for_ || space_.table_growth() < space_.credit() / 4) return;
  table_asked_for_ = true;
  spawn(reactor::on_core(
      core_, 0, [host = &host_](Core&) { host->checkpoint_->request(); }, reactor::MessageClass::kPush));
}

void Engine::grow_ahead(Partition& partition, std::shared_ptr<Segment> segment, uint64_t bytes) {
  if (segment->growing) return;
  segment->growing = true;
  spawn(grow_task(*this, Partition::Use(partition), std::move(segment), bytes));
}

Task<void> Engine::grow_task(Engine& engine, Partition::Use use, std::shared_ptr<Segment> segment, uint64_t bytes) {
  if (!segment->removed) (void)co_await engine.files_.for_write(use.partition(), segment, bytes);
  segment->growing = false;
  engine.room_made();
}

Task<void> Engine::wait_for_room() {
  check_core();
  memory_wanted();
  co_await room_.wait_until(core_.now() + kRoomWait);
}

Task<reactor::Buffer> Engine::take_prefix_block() {
  check_core();
  co_await prefix_room_.acquire(1);
  const auto block = std::ranges::find_if(prefix_blocks_, [](const reactor::Buffer& one) { return bool(one); });
  CHECK(block != prefix_blocks_.end());
  co_return std::move(*block);
}

void Engine::give_back_prefix_block(reactor::Buffer block) {
  *std::ranges::find_if(prefix_blocks_, [](const reactor::Buffer& one) { return !one; }) = std::move(block);
  prefix_room_.release(1);
}

std::string Engine::describe_room() const {
  std::string text = stream_ == nullptr ? std::string("journal on another core") : stream_->describe_room();
  text += fmt::format("; tail: {} of {} bytes", cache_->dirty_bytes(), cache_->dirty_bytes_max());
  for (const auto& [uid, partition] : by_uid_) {
    Partition& one = *partition;
    if (one.commit().flushed_linear() == one.bytes().end().linear && one.commit().metas_pending() == 0) continue;
    text += fmt::format(
        "; {}-{}: flushed {} durable {} submitted {} end {}, {} metas, journal from {}{}{}{}{}", one.topic_name(),
        one.partition(), one.commit().flushed_linear(), one.commit().durable_linear(), one.commit().submitted_linear(),
        one.bytes().end().linear, one.commit().metas_pending(), one.commit().oldest_live_lsn().value_or(0),
        one.write_back_goal().running ? ", write-back runs" : "",
        one.is_loading_prefix() ? ", waits for its prefix" : "", one.commit().is_prefix_due() ? ", prefix due" : "",
        one.mode() == Partition::Mode::kOpen ? "" : ", being cut, deleted or stopped");
  }
  return text;
}

}  // namespace posthaste::storage
