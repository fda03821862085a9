// Reassignments of replicas (KIP-455) as pure decisions in portions: begun, replaced and cancelled here, ended in
// partition_transition.h by whatever brings the last replica in sync. An image and a request go in; records and one
// answer per partition come out. It appends nothing itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/kafka/errors.h"
#include "replication/metadata/partition_cursor.h"
#include "replication/metadata/refusal.h"
#include "replication/metadata/replica_plan.h"

namespace posthaste::replication {

struct ReassignRequest {
  struct Partition {
    int32_t index = 0;
    std::optional<std::vector<int32_t>> replicas;  // nothing: what is under way is cancelled
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  std::vector<Topic> topics;
  bool may_change_factor = true;  // allow_replication_factor_change
};

struct ReassignResult {
  struct Partition {
    int32_t index = 0;
    net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
    std::string message;
  };
  std::string topic;
  std::vector<Partition> partitions;
};

// Used so: next_portion() until it returns false, each portion committed before the next is decided. What was committed
// of a request stays if the rest is never decided: each partition stands for itself.
class Reassignments {
 public:
  explicit Reassignments(ReassignRequest request) : request_(std::move(request)) {}

  // Adds the changes of the next portion to `records`, of the size of a sweep's; a partition that is named twice is
  // decided about twice, in two portions. False: that was the last one.
  bool next_portion(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);
  // In the order of the request.
  const std::vector<ReassignResult>& results() const { return results_; }

 private:
  std::optional<Refusal> reassign(const PartitionAt& at, const ElectionInputs& inputs,
                                  const std::optional<std::vector<int32_t>>& target,
                                  std::vector<MetadataRecord>& records) const;

  ReassignRequest request_;
  std::vector<ReassignResult> results_;
  size_t topic_ = 0;
  size_t partition_ = 0;  // of that topic
};

// What is under way, of some partitions or of all. Partitions that are not there, and those of which nothing is under
// way, are not named, as in Kafka.
class ReassignmentList {
 public:
  struct Topic {
    std::string name;
    std::vector<int32_t> partitions;
  };
  struct UnderWay {
    int32_t index = 0;
    ReplicaPlan plan;
  };
  struct Listed {
    std::string topic;
    std::vector<UnderWay> partitions;
  };

  explicit ReassignmentList(std::optional<std::vector<Topic>> topics) : topics_(std::move(topics)) {}

  // Looks at as many partitions as a portion of a sweep. The image may be another one each time. False: that was all.
  bool next_portion(const MetadataImage& image);
  const std::vector<Listed>& listed() const { return listed_; }

 private:
  bool next_of_named(const MetadataImage& image);
  void list(const PartitionAt& at);

  std::optional<std::vector<Topic>> topics_;
  std::vector<Listed> listed_;
  PartitionCursor cursor_;  // of all
  size_t topic_ = 0;        // of those named
  size_t partition_ = 0;    // of that topic
};

}  // namespace posthaste::replication
