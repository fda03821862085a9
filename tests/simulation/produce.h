// What the models that produce share: a request for one partition, and the part of an answer that is about it. It sends
// nothing and judges nothing.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/kafka/produce.h"
#include "reactor/core.h"
#include "storage/batch/record_batch_builder.h"
#include "tests/simulation/oracle.h"

namespace posthaste::simulation::detail {

inline constexpr int16_t kProduceVersion = 9;
inline constexpr int16_t kAcksLeader = 1;
inline constexpr int16_t kAcksAll = -1;

// A batch of one record without a key, of this moment.
inline storage::Bytes batch_of_one(reactor::Core& core, std::string_view payload) {
  storage::RecordBatchBuilder builder({});
  builder.add({.timestamp = core.wall_now().value, .key = {}, .value = storage::bytes_of(payload)});
  return builder.finish();
}

// The request keeps a view of `batch`, which must outlive it.
inline net::kafka::ProduceRequest produce_request(const PartitionName& partition, const storage::Bytes& batch,
                                                  int16_t acks, reactor::Duration timeout = std::chrono::seconds(3)) {
  net::kafka::ProduceRequest request{.acks = acks,
                                     .timeout_ms = static_cast<int32_t>(timeout / std::chrono::milliseconds(1))};
  request.topic_data.push_back({.name = partition.topic});
  net::kafka::ProduceRequest::Topic::Partition entry{.index = partition.index};
  entry.records.whole = batch;
  request.topic_data.back().partition_data.push_back(entry);
  return request;
}

// The one partition of an answer to such a request; nothing if the answer has another shape.
inline std::optional<net::kafka::ProduceResponse::Topic::Partition> only_partition(
    const net::kafka::ProduceResponse& answer, const PartitionName& partition) {
  if (answer.responses.size() != 1 || answer.responses[0].name != partition.topic) return std::nullopt;
  const auto& partitions = answer.responses[0].partition_responses;
  if (partitions.size() != 1 || partitions[0].index != partition.index) return std::nullopt;
  return partitions[0];
}

}  // namespace posthaste::simulation::detail
