#include "storage/log/write_back.h"

#include <algorithm>

#include "storage/engine.h"
#include "storage/log/segment_files.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::Result;
using reactor::Task;

namespace {
constexpr size_t kSlicesMax = 16;
constexpr uint64_t kWriteBytesMax = 1024 * 1024;
// After an error that may pass: nothing is lost by waiting, appends are refused when the tail is full.
constexpr reactor::Duration kRetryDelay = std::chrono::milliseconds(500);
// A stop does not wait longer for room on a disk that is full, or for a file that it may not write: the journal has all
// that was acknowledged.
constexpr uint32_t kTriesAtStop = 4;

// What was acknowledged has no place in its segment, and a stop has waited for one long enough.
[[noreturn]] void give_up_at_stop(std::string_view folder, Errc error) {
  constexpr std::string_view kKept =
      "what was acknowledged and is not in its place yet stays in the journal, and the next start puts it there";
  if (error == Errc::kNoSpace) {
    reactor::fatal(reactor::FatalReason::kDiskFullAtStop, fmt::format("the disk is full: {}. Make room first", kKept));
  }
  reactor::fatal(reactor::FatalReason::kNoPermissionAtStop,
                 fmt::format("{} may not be written: {}. First {}", folder, kKept, kPermissionRemedy));
}

struct GatheredWrite : reactor::OperationAwaiter {
  using OperationAwaiter::OperationAwaiter;
  std::array<reactor::Slice, kSlicesMax> pieces{};
  std::array<ChunkLease, kSlicesMax> leases;
};
}  // namespace

Result<void> WriteBack::open() {
  for (reactor::Buffer& buffer : bounce_) buffer = TRY(engine_.core().pool().allocate(kBlock));
  return {};
}

void WriteBack::request(Partition& partition, uint64_t goal, bool partial) {
  partition.write_back_goal().linear = std::max(partition.write_back_goal().linear, goal);
  partition.write_back_goal().partial |= partial;
  if (partition.write_back_goal().running) return;  // it looks at the goal again before it ends
  auto& node = static_cast<reactor::ListNode<WriteBackTag>&>(partition);
  if (!node.is_linked()) queue_.push_back(partition);
  for (uint32_t i = 0; i < kRunners; ++i) {
    if (running_[i]) continue;
    running_[i] = true;
    engine_.spawn(run(i));
    return;
  }
}

Task<void> WriteBack::run(uint32_t runner) {
  while (!queue_.empty()) {
    Partition& partition = queue_.pop_front();
    const Partition::Use use(partition);
    partition.write_back_goal().running = true;
    co_await write_partition(partition, bounce_[runner].bytes());
    partition.write_back_goal().running = false;
    partition.changed().notify_all();
  }
  running_[runner] = false;
  idle_.notify_all();
}

Task<void> WriteBack::drain() {
  while (std::ranges::any_of(running_, [](bool running) { return running; })) co_await idle_.wait();
}

Task<void> WriteBack::write_partition(Partition& partition, MutableBytes bounce) {
  Errc told{};
  for (uint32_t tries_at_stop = 0;;) {
    const Step step = co_await write_once(partition, bounce);
    if (step.progress) continue;
    if (step.error == Errc{} || partition.mode() == Partition::Mode::kDeleting) break;
    if (std::exchange(told, step.error) != step.error) {
      engine_.core().log(reactor::LogLevel::kError, "storage.write_back_waits",
                         fmt::format("partition={}-{} folder={} error={} consequence=\"what was acknowledged stays in "
                                     "the journal; tried again\"{}",
                                     partition.topic_name(), partition.partition(), partition.directory(),
                                     to_string(step.error), remedy_field(step.error)));
    }
    const bool may_last = step.error == Errc::kNoSpace || step.error == Errc::kPermission;
    if (may_last && engine_.stopping() && ++tries_at_stop > kTriesAtStop) {
      give_up_at_stop(partition.directory(), step.error);
    }
    co_await engine_.core().sleep(kRetryDelay);
  }
  partition.write_back_goal().partial = false;
}

// One write of adjoining blocks of one segment.
Task<WriteBack::Step> WriteBack::write_once(Partition& partition, MutableBytes bounce) {
  const std::shared_ptr<Segment> segment = partition.bytes().segment_of(partition.commit().flushed_linear());
  const uint64_t start = segment->linear_start();
  const auto durable_now = [&] {
    return planted(kBugs["split-batch-goes-back"]) ? partition.commit().durable().linear
                                                   : partition.commit().durable_linear();
  };
  const auto limit_now = [&] {
    return std::min({partition.write_back_goal().linear, durable_now(), segment->linear_end()}) - start;
  };
  if (partition.write_back_goal().linear <= start || durable_now() <= start) co_return Step{};
  const uint64_t flushed = std::max(partition.commit().flushed_linear(), start) - start;
  uint64_t limit = limit_now();
  const bool closes = segment->sealed && limit == segment->size;
  if (!partition.write_back_goal().partial && !closes) limit = align_down(limit);
  if (limit <= flushed) co_return Step{};
  limit = std::min(limit, align_down(flushed) + kWriteBytesMax);

  auto pin = co_await engine_.files().for_write(partition, segment, limit);
  if (!pin) co_return Step{.error = pin.error()};
  if (segment->removed) co_return Step{.progress = true};

  GatheredWrite op(engine_.core(), reactor::OpKind::kWrite, reactor::IoClass::kWriteBack);
  uint64_t at = align_down(flushed);
  const uint64_t from = at;
  while (at < limit && op.slice_count < kSlicesMax) {
    Chunk* chunk = segment->chunk_at(at);
    CHECK(chunk != nullptr && at >= uint64_t{chunk->position} + chunk->begin, "unflushed bytes are not in memory");
    const uint64_t chunk_end = uint64_t{chunk->position} + chunk->capacity();
    const uint64_t whole_end = std::min(align_down(limit), chunk_end);
    const uint32_t slot = op.slice_count++;
    op.leases[slot] = ChunkLease(chunk);
    if (at < whole_end) {
      op.pieces[slot] = {chunk->buffer.data() + (at - chunk->position), static_cast<size_t>(whole_end - at)};
      at = whole_end;
    } else {
      // The block that the end lies in may change while it is written: a copy goes, with zeroes behind the end.
      const auto tail = static_cast<size_t>(limit - at);
      std::copy_n(chunk->buffer.data() + (at - chunk->position), tail, bounce.data());
      std::fill(bounce.begin() + static_cast<ptrdiff_t>(tail), bounce.end(), std::byte{0});
      if (planted(kBugs["write-back-loses-a-byte"]) && tail == kBlock - 1) bounce[tail - 1] = std::byte{0};
      op.pieces[slot] = {bounce.data(), kBlock};
      at = limit;
    }
  }
  op.file = segment->access()->file.id();
  op.offset = from;
  op.flags = reactor::kWriteDurable;
  op.slices = op.pieces.data();
  const Result<uint64_t> written = co_await op;
  // A file with holes, as a copy may have: no byte was written that is not in the journal too.
  if (!written && written.error() == Errc::kNoSpace) {
    (void)co_await engine_.take_from_reserve(0, true);
    co_return Step{.error = Errc::kNoSpace};
  }
  if (!written) {
    reactor::fatal(reactor::FatalReason::kDurableWriteFailed,
                   fmt::format("write-back of {}-{} failed: {}", partition.topic_name(), partition.partition(),
                               to_string(written.error())));
  }
  if (segment->removed) co_return Step{.progress = true};
  partition.flushed_to(start + at);
  if (segment->sealed && at == segment->size) engine_.tidy(partition, segment);
  co_return Step{.progress = true};
}

}  // namespace posthaste::storage
