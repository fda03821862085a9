// Brokers that come, are fenced and go for good, as pure decisions in portions (elections.h): an image and a request go
// in, records come out. Each portion is committed as one change before the next is decided. It appends nothing itself.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "replication/metadata/elections.h"
#include "replication/metadata/refusal.h"
#include "replication/metadata/sessions.h"

namespace posthaste::replication {

// A process that wants to be the broker with this id. Its fields are those of RegisterBrokerRecord.
struct RegisterRequest {
  int32_t broker_id = -1;
  std::string cluster_id;
  Uuid incarnation_id;  // drawn at each start
  std::vector<RegisterBrokerRecord::Endpoint> endpoints;
  std::vector<RegisterBrokerRecord::Feature> features;
  std::optional<std::string> rack;
  std::vector<Uuid> log_dirs;
  bool is_unverified = false;  // another boot than at its last stop, and that was no orderly one
};

// Whether it may. A living broker keeps its id, and a directory belongs to one broker: else a folder that was copied
// would make two processes take turns.
std::optional<Refusal> check_registration(const MetadataImage& image, const Sessions& sessions,
                                          const std::string& cluster_id, const RegisterRequest& request,
                                          reactor::Instant now);

// A registration that was checked. First the partitions forget what lay on directories that the broker has no longer,
// and doubt the rest if it may have lied: of these there may be many, and a record by which they all change is one step
// of every broker. The last portion is its record alone, fenced: Sessions unfence it when it has followed the metadata.
// A sweep of its partitions follows.
class BrokerRegistration {
 public:
  explicit BrokerRegistration(RegisterRequest request);

  // `next_offset` is that of the record that the next portion begins with; the last portion's is the broker epoch.
  // False: that was the last portion. Nothing is added by one that finds the same incarnation there: its answer was
  // lost.
  bool next_portion(const MetadataImage& image, const ElectionInputs& inputs, int64_t next_offset,
                    std::vector<MetadataRecord>& records);
  const RegisterRequest& request() const { return request_; }

 private:
  bool has_lost(const MetadataImage& image) const;

  RegisterRequest request_;
  std::optional<PartitionSweep> sweep_;
  bool is_swept_ = false;
};

// A session that is over, or one for whose end there is evidence (`early`): the broker is fenced in the first portion
// and its partitions follow.
class BrokerFencing {
 public:
  enum class When : uint8_t { kSessionOver, kEarly };
  BrokerFencing(int32_t broker, int64_t broker_epoch, When when)
      : broker_(broker),
        broker_epoch_(broker_epoch),
        sweep_(when == When::kEarly ? PartitionSweep::of_early_fenced(broker) : PartitionSweep::of_broker(broker)) {}

  bool next_portion(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);

 private:
  int32_t broker_;
  int64_t broker_epoch_;
  PartitionSweep sweep_;
};

// UnregisterBroker: fenced, then out of all partitions as if its disks were lost, then forgotten. Who uses its id later
// is somebody else. Sessions is told of its begin and its end, so that the broker does not come back in between; a
// registration that was there before its first portion is the one that goes, and if another one takes its place all the
// same, that one stays.
class BrokerRemoval {
 public:
  explicit BrokerRemoval(int32_t broker) : broker_(broker), sweep_(PartitionSweep::of_lost(broker, {})) {}

  // BROKER_ID_NOT_REGISTERED.
  std::optional<Refusal> check(const MetadataImage& image) const;
  bool next_portion(const MetadataImage& image, const ElectionInputs& inputs, std::vector<MetadataRecord>& records);

 private:
  int32_t broker_;
  std::optional<int64_t> broker_epoch_;  // once it has begun
  PartitionSweep sweep_;
};

}  // namespace posthaste::replication
