// Partition: what is no part of the log any more at its beginning (retention, DeleteRecords), and the files of all that
// goes. Which segments retention may take is decided in retention.h.
#include "storage/engine.h"
#include "storage/journal/contributor.h"
#include "storage/log/partition.h"

namespace posthaste::storage {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

Task<Result<void>> Partition::set_log_start(int64_t offset) {
  check_core();
  if (offset > high_watermark_) co_return failure(Errc::kOutOfRange);
  if (offset <= log_start_) co_return Result<void>();
  if (mode_ == Mode::kTruncating) co_return failure(Errc::kBusy);
  if (mode_ == Mode::kDeleting) co_return failure(Errc::kNotFound);
  if (mode_ == Mode::kStopping) co_return failure(Errc::kStopping);
  const Use use(*this);
  co_await engine_.contributor().write(
      *this, {.type = RecordType::kLogStart, .uid = uid_, .generation = generation_, .first_offset = offset});
  log_start_ = std::max(log_start_, offset);
  remove_segments_below_log_start();
  meta_applied();
  co_return Result<void>();
}

// Their files go before their names are used again.
void Partition::doom(const LogBytes::Segments& gone) {
  for (const auto& segment : gone) {
    CHECK(segment->removed);
    engine_.space().follow(*segment);
    for (const std::string_view extension : {"log", "index", "snapshot"}) {
      folder_.doomed.push_back(segment_path(*segment, extension));
    }
  }
}

// Segments that end below the log start are not part of the log any more; their files follow in the background.
void Partition::remove_segments_below_log_start() {
  LogBytes::Segments gone = bytes_.drop_below(log_start_, commit_.durable_segment());
  if (gone.empty()) return;
  doom(gone);
  const uint64_t first = bytes_.segments().front()->linear_start();
  // Not at the log start: that may lie inside a batch, whose epoch is still wanted.
  epochs_.truncate_from_start(bytes_.segments().front()->base_offset());
  if (commit_.flushed_linear() < first) {
    commit_.dropped_below(first);
    if (commit_.is_all_flushed()) static_cast<reactor::ListNode<UnflushedTag>&>(*this).unlink();
  }
  changed_.notify_all();
  engine_.spawn(remove_gone(Use(*this), std::move(gone)));
}

Task<void> Partition::remove_gone(Use /*use*/, LogBytes::Segments gone) {
  for (const auto& segment : gone) co_await engine_.files().close(*segment);
  co_await engine_.files().remove_doomed_slowly(*this);
}

Task<Result<void>> Partition::apply_retention(reactor::WallMillis now) {
  check_core();
  if (mode_ != Mode::kOpen || damage_.damaged) co_return Result<void>();
  producers_.expire(now);
  if (roll_is_due(0, now)) roll();
  const std::vector<SegmentSummary> summaries = bytes_.summaries();
  const RetentionDecision decision = decide_retention(summaries, config_->retention, log_start_, high_watermark_, now);
  if (decision.roll_active) roll();
  if (decision.log_start_offset <= log_start_) co_return Result<void>();
  uint64_t bytes = 0;
  for (size_t i = 0; i < decision.delete_count; ++i) bytes += summaries[i].size_bytes;
  const Result<void> done = co_await set_log_start(decision.log_start_offset);
  if (done) {
    engine_.core().log(reactor::LogLevel::kInfo, "retention.removed",
                       fmt::format("partition={}-{} segments={} bytes={} log_start={} reason={}", topic_name_,
                                   partition_, decision.delete_count, bytes, log_start_, to_string(decision.reason)));
  }
  co_return done;
}

}  // namespace posthaste::storage
