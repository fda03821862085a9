// ElectLeaders: somebody asks for other leaders, as a pure decision in portions (elections.h). An image and a request
// go in; records and one answer per partition come out. It appends nothing itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/kafka/errors.h"
#include "net/kafka/reassignment.h"
#include "replication/metadata/partition_cursor.h"
#include "replication/metadata/refusal.h"

namespace posthaste::replication {

struct ElectLeaders {
  struct Topic {
    std::string name;
    std::vector<int32_t> partitions;
  };
  net::kafka::ElectionType type = net::kafka::ElectionType::kPreferred;
  std::optional<std::vector<Topic>> topics;  // nothing: all partitions there are
};

// A million of these may be one answer, so the words are made when it is written: election_message().
struct ElectionResult {
  struct Partition {
    int32_t index = 0;
    net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  };
  std::string topic;
  std::vector<Partition> partitions;
};

// What the error of one partition says to people. Nothing for kNone.
std::optional<std::string> election_message(const std::string& topic, const ElectionResult::Partition& partition);

// Used so: check(), then next_portion() until it returns false. What was committed of a request stays if the rest is
// never decided: each partition stands for itself.
class AskedElections {
 public:
  explicit AskedElections(ElectLeaders request) : request_(std::move(request)) {}

  // What refuses the request as a whole: INVALID_REQUEST.
  std::optional<Refusal> check() const;
  // Adds the changes of the next portion to `records`, of the size of a sweep's. False: that was the last one.
  bool next_portion(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);
  // In the order of the request. Of a request for all: by name, and only what was elected or could not be, as in Kafka.
  const std::vector<ElectionResult>& results() const { return results_; }

 private:
  using ErrorCode = net::kafka::ErrorCode;

  bool next_of_all(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);
  bool next_of_named(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);
  ErrorCode elect_named(const MetadataImage& image, const ElectionInputs& inputs, const std::string& topic,
                        int32_t index, std::vector<MetadataRecord>& records);
  ErrorCode elect(const PartitionAt& at, const ElectionInputs& inputs, std::vector<MetadataRecord>& records) const;

  ElectLeaders request_;
  std::vector<ElectionResult> results_;
  PartitionCursor cursor_;                      // of all
  size_t topic_ = 0;                            // of those named
  size_t partition_ = 0;                        // of that topic
  std::set<std::pair<Uuid, int32_t>> elected_;  // of those named: one may be named twice
};

}  // namespace posthaste::replication
