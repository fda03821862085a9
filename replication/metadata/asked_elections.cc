#include "replication/metadata/asked_elections.h"

#include <fmt/format.h>

#include "reactor/check.h"
#include "replication/metadata/elections.h"

namespace posthaste::replication {

using net::kafka::ElectionType;
using net::kafka::ErrorCode;

std::optional<std::string> election_message(const std::string& topic, const ElectionResult::Partition& partition) {
  switch (partition.error) {
    case ErrorCode::kNone:
      return std::nullopt;
    case ErrorCode::kUnknownTopicOrPartition:
      return fmt::format("There is no partition {}-{}", topic, partition.index);
    case ErrorCode::kElectionNotNeeded:
      return "Leader election not needed for topic partition.";
    case ErrorCode::kPreferredLeaderNotAvailable:
      return "The preferred leader was not available.";
    case ErrorCode::kEligibleLeadersNotAvailable:
      return "Eligible topic partition leaders are not available.";
    default:
      CHECK(false, "an election does not end with error {}", static_cast<int>(partition.error));
  }
}

std::optional<Refusal> AskedElections::check() const {
  if (request_.type == ElectionType::kPreferred || request_.type == ElectionType::kUnclean) return std::nullopt;
  return refuse(ErrorCode::kInvalidRequest, "Unknown election type {}", static_cast<int>(request_.type));
}

bool AskedElections::next_portion(const MetadataImage& image, const ElectionInputs& inputs,
                                  std::vector<MetadataRecord>& records) {
  CHECK(!check(), "a request that is refused is not decided");
  return request_.topics ? next_of_named(image, inputs, records) : next_of_all(image, inputs, records);
}

bool AskedElections::next_of_all(const MetadataImage& image, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  size_t looked_at = 0;
  return !cursor_.advance(image, [&](const PartitionAt& at) {
    if (is_portion_full(looked_at, records)) return false;
    ++looked_at;
    const ErrorCode error = elect(at, inputs, records);
    if (error == ErrorCode::kElectionNotNeeded) return true;
    if (results_.empty() || results_.back().topic != at.topic.name) results_.push_back({at.topic.name, {}});
    results_.back().partitions.push_back({.index = at.index, .error = error});
    return true;
  });
}

bool AskedElections::next_of_named(const MetadataImage& image, const ElectionInputs& inputs,
                                   std::vector<MetadataRecord>& records) {
  size_t looked_at = 0;
  for (; topic_ < request_.topics->size(); ++topic_) {
    const ElectLeaders::Topic& topic = (*request_.topics)[topic_];
    if (results_.size() == topic_) {
      if (is_portion_full(looked_at, records)) return true;
      ++looked_at;  // one without partitions is work too
      results_.push_back({topic.name, {}});
    }
    for (; partition_ < topic.partitions.size(); ++partition_) {
      if (is_portion_full(looked_at, records)) return true;
      ++looked_at;
      const int32_t index = topic.partitions[partition_];
      const ErrorCode error = elect_named(image, inputs, topic.name, index, records);
      results_.back().partitions.push_back({.index = index, .error = error});
    }
    partition_ = 0;
  }
  return false;
}

ErrorCode AskedElections::elect_named(const MetadataImage& image, const ElectionInputs& inputs,
                                      const std::string& topic, int32_t index, std::vector<MetadataRecord>& records) {
  const std::optional<PartitionAt> at = find_partition(image, topic, index);
  if (!at) return ErrorCode::kUnknownTopicOrPartition;
  if (elected_.contains({at->topic.id, index})) return ErrorCode::kNone;
  const ErrorCode error = elect(*at, inputs, records);
  if (error == ErrorCode::kNone) elected_.insert({at->topic.id, index});
  return error;
}

// kNone: what it takes is in `records`.
ErrorCode AskedElections::elect(const PartitionAt& at, const ElectionInputs& inputs,
                                std::vector<MetadataRecord>& records) const {
  const PartitionImage& partition = at.partition();
  const int32_t preferred = partition.replicas.front();
  if (request_.type == ElectionType::kPreferred) {
    if (partition.leader == preferred) return ErrorCode::kElectionNotNeeded;
    auto record = next_state(at, inputs, {.preferred = true});
    if (!record || record->leader != preferred) return ErrorCode::kPreferredLeaderNotAvailable;
    records.emplace_back(std::move(*record));
    return ErrorCode::kNone;
  }
  if (partition.leader != kNobody) return ErrorCode::kElectionNotNeeded;
  auto record = next_state(at, inputs, {.unclean = true});
  if (!record || record->leader.value_or(kNobody) == kNobody) return ErrorCode::kEligibleLeadersNotAvailable;
  records.emplace_back(std::move(*record));
  return ErrorCode::kNone;
}

}  // namespace posthaste::replication
