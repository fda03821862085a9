// What brokers say that their logs hold, of partitions in which nobody can lead whose log is beyond doubt: the fullest
// one is elected then (elections.h). Known only to the controller that was told, and gone with it. Plain value of one
// core.
#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "replication/metadata/image.h"

namespace posthaste::replication {

// The end of what a replica holds durably. Compared as logs are: the later epoch first, then the longer one.
struct ReplicaPosition {
  int32_t last_epoch = -1;
  int64_t durable = 0;
  friend auto operator<=>(const ReplicaPosition&, const ReplicaPosition&) = default;
};

class LogReports {
 public:
  // Of registration `broker_epoch` of `broker`. Only who is an unverified member of a partition that has no leader is
  // listened to, which bounds what is kept here by what the image holds; all else is false and forgotten.
  bool add(const MetadataImage& image, const Uuid& topic, int32_t index, int32_t broker, int64_t broker_epoch,
           ReplicaPosition position) {
    const RegisterBrokerRecord* registration = image.broker(broker);
    const TopicImage* found = image.topic(topic);
    if (registration == nullptr || registration->broker_epoch != broker_epoch || found == nullptr) return false;
    if (index < 0 || static_cast<size_t>(index) >= found->partitions.size()) return false;
    const PartitionImage& partition = found->partitions[static_cast<size_t>(index)];
    const Unsettled::View unverified = partition.unsettled.unverified();
    if (partition.leader != -1 || std::ranges::find(unverified, broker) == unverified.end()) return false;
    reports_[{topic, index}].insert_or_assign(broker, Report{.broker_epoch = broker_epoch, .position = position});
    return true;
  }
  // What this registration has said.
  std::optional<ReplicaPosition> of(const Uuid& topic, int32_t index, const RegisterBrokerRecord& registration) const {
    const auto partition = reports_.find({topic, index});
    if (partition == reports_.end()) return std::nullopt;
    const auto report = partition->second.find(registration.broker_id);
    if (report == partition->second.end() || report->second.broker_epoch != registration.broker_epoch) {
      return std::nullopt;
    }
    return report->second.position;
  }
  // It has a leader, or is gone.
  void forget(const Uuid& topic, int32_t index) { reports_.erase({topic, index}); }
  bool empty() const { return reports_.empty(); }

 private:
  struct Report {
    int64_t broker_epoch = -1;
    ReplicaPosition position;
  };
  std::map<std::pair<Uuid, int32_t>, std::map<int32_t, Report>> reports_;
};

}  // namespace posthaste::replication
