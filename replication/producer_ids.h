// Producer ids for idempotent producers: unique for the life of the cluster. They come in blocks that are recorded in
// the metadata log before the first id of a block is given out, so a crash loses at most the rest of a block and never
// hands an id out twice (KIP-730). A pure state machine: no I/O; the driver appends the record and reports back.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "net/kafka/errors.h"
#include "replication/metadata/records.h"

namespace posthaste::replication {

// Ids per block, as in Kafka.
inline constexpr int64_t kProducerIdBlock = 1'000;

// Owned by one core. Waiting requests are bounded by `waiting_limit`; above it a request is told to come back.
class ProducerIdAllocator {
 public:
  struct Answer {
    uint64_t token = 0;
    net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
    int64_t producer_id = -1;
  };
  struct Output {
    std::vector<Answer> answers;
    // To append to the metadata log; at most one is under way. Report it with persisted() or persist_failed().
    std::optional<ProducerIdsRecord> record;
  };

  // `next_producer_id`: the first id that no record has given away (MetadataImage::next_producer_id()).
  ProducerIdAllocator(int32_t broker_id, int64_t broker_epoch, int64_t next_producer_id, size_t waiting_limit);

  // One id for the request `token`: at once, or after the next block is recorded. Every token is answered exactly once.
  void request(uint64_t token, Output& out);
  // The record is durable: its block is ours.
  void persisted(Output& out);
  // It will never be in the log: who waits gets a retriable code; the next request tries again.
  void persist_failed(Output& out);

  size_t waiting_count() const { return waiting_.size(); }
  int64_t ids_left() const { return end_ - next_; }

 private:
  void ask_for_block(Output& out);

  int32_t broker_id_;
  int64_t broker_epoch_;
  size_t waiting_limit_;
  // [next_, end_) may be given out now.
  int64_t next_ = 0;
  int64_t end_ = 0;
  // The block recorded ahead of need; empty when equal.
  int64_t spare_begin_ = 0;
  int64_t spare_end_ = 0;
  int64_t recorded_end_;  // everything below is given away by records
  bool in_flight_ = false;
  std::deque<uint64_t> waiting_;
};

}  // namespace posthaste::replication
