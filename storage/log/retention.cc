#include "storage/log/retention.h"

#include <algorithm>
#include <numeric>

namespace posthaste::storage {
namespace {

int64_t age_stamp(const SegmentSummary& segment) {
  return segment.max_timestamp >= 0 ? segment.max_timestamp : segment.last_append.value;
}

bool too_old(const SegmentSummary& segment, int64_t retention_ms, int64_t now) {
  return retention_ms >= 0 && now - age_stamp(segment) > retention_ms;
}

// Kafka deletes a segment for size only if the log stays at or above the limit without it.
bool not_needed_for_size(const SegmentSummary& segment, int64_t retention_bytes, uint64_t total) {
  return retention_bytes >= 0 && total >= static_cast<uint64_t>(retention_bytes) + segment.size_bytes;
}

}  // namespace

std::string_view to_string(RetentionReason reason) {
  switch (reason) {
    case RetentionReason::kAge:
      return "retention.ms";
    case RetentionReason::kSize:
      return "retention.bytes";
    case RetentionReason::kLogStart:
      return "log_start";
    case RetentionReason::kNone:
      break;
  }
  return "none";
}

RetentionDecision decide_retention(std::span<const SegmentSummary> segments, const RetentionRules& rules,
                                   int64_t log_start_offset, int64_t high_watermark, reactor::WallMillis now) {
  RetentionDecision decision{.log_start_offset = log_start_offset};
  if (segments.empty()) return decision;
  const auto sealed = segments.first(segments.size() - 1);
  uint64_t total =
      std::accumulate(segments.begin(), segments.end(), uint64_t{0},
                      [](uint64_t sum, const SegmentSummary& segment) { return sum + segment.size_bytes; });
  // The three rules one after the other, each from where the one before stopped.
  const auto delete_while = [&](RetentionReason reason, auto condition) {
    while (decision.delete_count < sealed.size()) {
      const SegmentSummary& segment = sealed[decision.delete_count];
      if (segment.next_offset > high_watermark || !condition(segment)) return;
      total -= segment.size_bytes;
      decision.reason = reason;
      ++decision.delete_count;
    }
  };
  const auto expired = [&](const SegmentSummary& segment) { return too_old(segment, rules.retention_ms, now.value); };
  const auto surplus = [&](const SegmentSummary& segment) {
    return not_needed_for_size(segment, rules.retention_bytes, total);
  };
  delete_while(RetentionReason::kAge, expired);
  delete_while(RetentionReason::kSize, surplus);
  delete_while(RetentionReason::kLogStart,
               [&](const SegmentSummary& segment) { return segment.next_offset <= log_start_offset; });

  const SegmentSummary& first_kept = segments[decision.delete_count];
  decision.log_start_offset = std::max(log_start_offset, first_kept.base_offset);
  decision.future_timestamp = rules.retention_ms >= 0 && first_kept.size_bytes > 0 && age_stamp(first_kept) > now.value;
  const bool only_active_left = decision.delete_count == sealed.size();
  decision.roll_active = only_active_left && first_kept.size_bytes > 0 && first_kept.next_offset <= high_watermark &&
                         (expired(first_kept) || surplus(first_kept));
  return decision;
}

}  // namespace posthaste::storage
