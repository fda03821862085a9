#include "replication/producer_ids.h"

#include "reactor/check.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;

// The next block is asked for while this many ids are left, so that producers rarely wait for the log.
constexpr int64_t kAskAhead = kProducerIdBlock / 10;

}  // namespace

ProducerIdAllocator::ProducerIdAllocator(int32_t broker_id, int64_t broker_epoch, int64_t next_producer_id,
                                         size_t waiting_limit)
    : broker_id_(broker_id),
      broker_epoch_(broker_epoch),
      waiting_limit_(waiting_limit),
      recorded_end_(next_producer_id) {
  CHECK(next_producer_id >= 0, "producer id {}", next_producer_id);
}

void ProducerIdAllocator::ask_for_block(Output& out) {
  if (in_flight_ || spare_begin_ != spare_end_ || recorded_end_ > INT64_MAX - kProducerIdBlock) return;
  in_flight_ = true;
  out.record = ProducerIdsRecord{broker_id_, broker_epoch_, recorded_end_ + kProducerIdBlock};
}

void ProducerIdAllocator::request(uint64_t token, Output& out) {
  if (next_ == end_ && spare_begin_ != spare_end_) {
    next_ = spare_begin_;
    end_ = spare_end_;
    spare_begin_ = spare_end_;
  }
  if (next_ != end_) {
    out.answers.push_back({token, ErrorCode::kNone, next_++});
    if (ids_left() <= kAskAhead) ask_for_block(out);
    return;
  }
  ask_for_block(out);
  if (!in_flight_ || waiting_.size() >= waiting_limit_) {
    out.answers.push_back({token, ErrorCode::kCoordinatorNotAvailable, -1});
    return;
  }
  waiting_.push_back(token);
}

void ProducerIdAllocator::persisted(Output& out) {
  CHECK(in_flight_, "no block was asked for");
  in_flight_ = false;
  spare_begin_ = recorded_end_;
  recorded_end_ += kProducerIdBlock;
  spare_end_ = recorded_end_;
  std::deque<uint64_t> served;
  served.swap(waiting_);
  for (const uint64_t token : served) request(token, out);
}

void ProducerIdAllocator::persist_failed(Output& out) {
  CHECK(in_flight_, "no block was asked for");
  in_flight_ = false;
  // The record may or may not be in the log in the end; its block is skipped so that it is never used twice.
  if (recorded_end_ <= INT64_MAX - kProducerIdBlock) recorded_end_ += kProducerIdBlock;
  for (const uint64_t token : waiting_) out.answers.push_back({token, ErrorCode::kCoordinatorNotAvailable, -1});
  waiting_.clear();
}

}  // namespace posthaste::replication
