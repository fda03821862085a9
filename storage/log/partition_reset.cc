// Partition: a log that is reset, and the end that is left of a damaged one. What a replica that has fallen too far
// behind, or that has lost bytes, does before it is filled again.
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

// What was derived from the bytes of the segments from this one on must not outlive them.
Task<Result<void>> Partition::remove_derived(int64_t from_base) {
  if (!folder_.is_created) co_return Result<void>();
  for (const auto& segment : bytes_.segments()) {
    if (segment->base_offset() < from_base) continue;
    for (const std::string_view extension : {"index", "snapshot"}) {
      auto removed = co_await reactor::file_system::unlink(engine_.core(), segment_path(*segment, extension));
      if (!removed && removed.error() != Errc::kNotFound) co_return removed;
    }
  }
  co_return co_await reactor::file_system::sync_directory(engine_.core(), directory());
}

Task<Result<void>> Partition::reset(int64_t offset) {
  check_core();
  if (offset < 0 || offset == INT64_MAX) co_return failure(Errc::kOutOfRange);
  if (auto possible = check_mode(); !possible) co_return possible;
  co_return co_await alone(start_over(offset));
}

// Alone, as a truncation: after its record every older one is dead.
Task<Result<void>> Partition::start_over(int64_t offset) {
  if (auto removed = co_await remove_derived(0); !removed) co_return removed;
  const bool is_waited_for = !planted(kBugs["reset-not-waited-for"]);
  const JournalRecord record{
      .type = RecordType::kReset, .uid = uid_, .generation = generation_ + 1, .first_offset = offset};
  if (is_waited_for) co_await engine_.contributor().write(*this, record);
  if (!is_waited_for) engine_.contributor().add_detached(*this, record);
  LogBytes::Segments gone = forget_all(offset);
  if (is_waited_for) meta_applied();
  // Now, not beside what comes: the new segment may have the name of an old one. What cannot be removed now goes before
  // the name is used, or stays without a meaning.
  co_await remove_gone(Use(*this), std::move(gone));
  co_return Result<void>();
}

LogBytes::Segments Partition::forget_all(int64_t offset) {
  CHECK(!write_back_goal_.running);
  commit_.before_cut();
  // Bytes count on from here: waiters for a difference see none.
  const Boundary start{commit_.durable().linear, offset};
  LogBytes::Segments gone = bytes_.begin_anew(start);
  doom(gone);
  go_on_from(start);
  stable_producers_ = {};
  producers_.clear();
  producers_known_ = true;
  epochs_.clear();
  holes_from_ = kNoHoles;
  log_start_ = high_watermark_ = offset;
  fail_waiters(Errc::kStale);
  waiters_.end_moved();
  if (attachment_ != nullptr) attachment_->truncated();
  return gone;
}

}  // namespace posthaste::storage
