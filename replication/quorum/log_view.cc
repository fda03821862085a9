// The log as the quorum sees it.
#include "replication/quorum/log_view.h"

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::replication::quorum {

LogView::LogView(SnapshotId snapshot, VoterSet voters)
    : snapshot_(snapshot), end_offset_(snapshot.offset), durable_offset_(snapshot.offset), voters_(std::move(voters)) {}

LogPosition LogView::end() const {
  return {.offset = end_offset_, .epoch = epochs_.empty() ? snapshot_.epoch : epochs_.back().epoch};
}

LogPosition LogView::end_of_epoch(Epoch epoch) const {
  Offset next_start = end_offset_;
  for (auto at = epochs_.rbegin(); at != epochs_.rend(); ++at) {
    if (at->epoch <= epoch) return {.offset = next_start, .epoch = at->epoch};
    next_start = at->offset;
  }
  return snapshot_;
}

bool LogView::fits(const Batch& batch) const {
  return batch.base_offset == end_offset_ && batch.count > 0 && batch.epoch >= end().epoch &&
         (batch.kind == BatchKind::kVoters) == !batch.voters.empty() && batch.voters.size() <= kVotersMax;
}

void LogView::take(const Batch& batch) {
  CHECK(fits(batch));
  if (epochs_.empty() || epochs_.back().epoch < batch.epoch) epochs_.push_back({batch.epoch, batch.base_offset});
  if (batch.kind == BatchKind::kVoters) voters_.add(batch.base_offset, batch.voters);
  end_offset_ = batch.end_offset();
}

uint64_t LogView::append(std::span<const Batch> batches) {
  for (const Batch& batch : batches) take(batch);
  writes_.push_back({++last_write_, end_offset_});
  return last_write_;
}

// What is cut is not durable from this moment, though a write of it may still complete before the cut does.
uint64_t LogView::truncate(Offset to) {
  CHECK(to >= snapshot_.offset && to <= end_offset_);
  end_offset_ = to;
  durable_offset_ = std::min(durable_offset_, to);
  for (Write& write : writes_) write.end = std::min(write.end, to);
  while (!epochs_.empty() && epochs_.back().offset >= to) epochs_.pop_back();
  voters_.truncate(to);
  writes_.push_back({++last_write_, to});
  return last_write_;
}

void LogView::persisted(uint64_t number) {
  while (!writes_.empty() && writes_.front().number <= number) {
    durable_offset_ = std::max(durable_offset_, writes_.front().end);
    writes_.pop_front();
  }
  CHECK(durable_offset_ <= end_offset_);
}

void LogView::recovered(const Batch& batch) {
  take(batch);
  durable_offset_ = end_offset_;
}

void LogView::trim(SnapshotId snapshot) {
  CHECK(snapshot.offset >= snapshot_.offset && snapshot.offset <= end_offset_ && reaches(snapshot));
  CHECK(snapshot.offset <= durable_offset_, "a snapshot that is ahead of its log on disk");
  snapshot_ = snapshot;
  voters_.trim(snapshot.offset);
  // The last epoch that begins below goes on behind the snapshot.
  while (epochs_.size() > 1 && epochs_[1].offset <= snapshot.offset) epochs_.erase(epochs_.begin());
  if (!epochs_.empty() && epochs_.front().offset < snapshot.offset) epochs_.front().offset = snapshot.offset;
  if (!epochs_.empty() && end_offset_ == snapshot.offset) epochs_.clear();
}

void LogView::reset(SnapshotId snapshot, VoterSet voters) {
  snapshot_ = snapshot;
  end_offset_ = durable_offset_ = snapshot.offset;
  epochs_.clear();
  writes_.clear();
  voters_.reset(std::move(voters));
}

}  // namespace posthaste::replication::quorum
