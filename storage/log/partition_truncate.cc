// Partition: a log that is cut at its end, and how it stands still for that.
#include <algorithm>

#include "storage/engine.h"
#include "storage/journal/contributor.h"
#include "storage/log/partition.h"
#include "storage/planted_bugs.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

Task<Result<void>> Partition::truncate(int64_t offset) {
  check_core();
  if (offset < log_start_) co_return failure(Errc::kOutOfRange);
  if (auto possible = check_mode(); !possible) co_return possible;
  if (prefix_failing_) co_return failure(Errc::kIoError);
  const bool epoch_wrote_nothing =
      !planted(kBugs["empty-epoch-kept"]) && epochs_.latest() && epochs_.latest()->start_offset >= bytes_.end().offset;
  if (offset >= bytes_.end().offset && !epoch_wrote_nothing && producers_known_ && !damage_.damaged) {
    // Nothing to cut; but what is there is durable when this returns, as after a cut.
    const Use use(*this);
    const uint64_t end = bytes_.end().linear;
    while (commit_.durable().linear < end && mode_ != Mode::kDeleting && !damage_.damaged) {
      if (prefix_failing_) co_return failure(Errc::kIoError);
      co_await changed_.wait();
    }
    co_return Result<void>();
  }
  co_return co_await alone(cut(offset));
}

// For `work` that ends a generation of the journal's records: a checkpoint of one partition. Everything is flushed, so
// no record of the old generation is needed, nothing of the log is under way anywhere, and nothing is taken meanwhile.
Task<Result<void>> Partition::alone(Task<Result<void>> work) {
  mode_ = Mode::kTruncating;
  Result<void> done;
  {
    const Use use(*this);
    done = co_await quiesce();
    while (done && users_ > 1) co_await changed_.wait();
    if (done) done = co_await std::move(work);
  }
  mode_ = Mode::kOpen;
  changed_.notify_all();
  co_return done;
}

// Alone. After its record is durable every older one is dead.
Task<Result<void>> Partition::cut(int64_t offset) {
  Result<Boundary> found = failure(Errc::kDamaged);
  if (!damage_.damaged) found = co_await reader_.batch_boundary(offset);
  if (!found && found.error() == Errc::kDamaged) found = co_await reader_.last_whole_batch(offset);
  if (!found) co_return failure(found.error());
  // In a hole the log ends at the offset that was asked for. A log start inside the first removed batch stays where it
  // is: the log continues from there.
  const Boundary to{found->linear, std::max(std::min(found->offset, offset), log_start_)};
  const std::shared_ptr<Segment> last = bytes_.last_segment_up_to(to);
  if (auto removed = co_await remove_derived(last->base_offset()); !removed) co_return removed;
  co_await engine_.contributor().write(*this, {.type = RecordType::kTruncate,
                                               .uid = uid_,
                                               .generation = generation_ + 1,
                                               .segment_base = last->base_offset(),
                                               .position = to.linear - last->linear_start(),
                                               .first_offset = to.offset});
  cut_memory(to);
  meta_applied();
  if (auto indexed = co_await reader_.ensure_index(bytes_.segments().back()); !indexed) co_return indexed;
  bytes_.active().max_timestamp = bytes_.active().index().max_timestamp();
  if (bytes_.active().headers_known && bytes_.active().linear_end() == commit_.durable().linear) {
    commit_.know_proof_of_end();
  }
  if (producers_known_) co_return Result<void>();
  auto rebuilt = co_await rebuild_producers();
  producers_known_ = rebuilt.has_value();
  co_return rebuilt;
}

void Partition::cut_memory(const Boundary& to) {
  CHECK(to.linear <= commit_.flushed_linear());
  commit_.before_cut();
  LogBytes::Segments gone = bytes_.cut_to(to);
  doom(gone);
  engine_.space().follow(bytes_.active());
  go_on_from(to);
  if (stable_producers_.at.offset > to.offset) stable_producers_ = {};
  producers_known_ = producers_known_ && !producers_.reaches(to.offset);
  epochs_.truncate_from_end(to.offset);
  if (holes_from_ >= to.offset) holes_from_ = kNoHoles;
  high_watermark_ = std::min(high_watermark_, to.offset);
  waiters_.cut_to(to.offset);
  if (attachment_ != nullptr) attachment_->truncated();
  if (!gone.empty()) engine_.spawn(remove_gone(Use(*this), std::move(gone)));
}

// The log ends at `at`, in its last segment, and continues from there with records of a new generation. What was known
// of bytes behind it, or is on its way for them, is void.
void Partition::go_on_from(const Boundary& at) {
  ++generation_;
  damage_ = {};
  commit_.go_on_from(at);
  write_back_goal_.linear = at.linear;
  next_producers_ = {};
  reader_.forget_places();
  static_cast<reactor::ListNode<UnflushedTag>&>(*this).unlink();
}

// The newest snapshot of a sealed segment, and the headers behind it.
Task<Result<void>> Partition::rebuild_producers() {
  producers_.clear();
  const std::vector<std::shared_ptr<Segment>> segments(bytes_.segments().begin(), bytes_.segments().end());
  size_t first = 0;
  for (size_t i = segments.size(); i-- > 1;) {
    const Segment::Extras* const extras = segments[i - 1]->extras();
    Bytes snapshot_bytes = extras == nullptr ? Bytes() : extras->producer_snapshot;
    if (snapshot_bytes.empty()) {
      auto read = co_await engine_.files().read_beside(segment_path(*segments[i - 1], "snapshot"));
      if (read) snapshot_bytes = std::move(*read);
    }
    auto snapshot = ProducerState::decode(snapshot_bytes, config_->producers);
    if (!snapshot || snapshot->offset != segments[i]->base_offset()) continue;
    producers_ = std::move(snapshot->state);
    first = i;
    break;
  }
  // When they were appended is not known; what a client says of its records' time must not make a producer forgotten.
  const reactor::WallMillis now = engine_.core().wall_now();
  for (size_t i = first; i < segments.size(); ++i) {
    auto walked = co_await reader_.walk_headers(segments[i], 0, UINT64_MAX, [this, now](const RecordBatchView& batch) {
      producers_.append(batch, now);
      return true;
    });
    if (!walked) co_return walked;
  }
  co_return Result<void>();
}

}  // namespace posthaste::storage
