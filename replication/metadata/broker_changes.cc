#include "replication/metadata/broker_changes.h"

#include <algorithm>
#include <set>
#include <utility>

#include "reactor/check.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using reactor::Instant;

std::optional<MetadataRecord> fence(const MetadataImage& image, int32_t broker) {
  const RegisterBrokerRecord* registration = image.broker(broker);
  if (registration == nullptr || registration->fenced) return std::nullopt;
  return BrokerRegistrationChangeRecord{.broker_id = broker,
                                        .broker_epoch = registration->broker_epoch,
                                        .fenced = BrokerRegistrationChangeRecord::Fenced::kFence};
}

bool is_among(const std::vector<Uuid>& ids, const Uuid& id) { return std::ranges::find(ids, id) != ids.end(); }

// Every directory that the broker had is still there.
bool has_all_directories(const RegisterBrokerRecord& before, const RegisterRequest& request) {
  return std::ranges::all_of(before.log_dirs, [&](const Uuid& id) { return is_among(request.log_dirs, id); });
}

std::optional<Refusal> check_form(const std::string& cluster_id, const RegisterRequest& request) {
  if (request.cluster_id != cluster_id) {
    return refuse(ErrorCode::kInconsistentClusterId, "Broker {} belongs to cluster {}, this is {}", request.broker_id,
                  request.cluster_id, cluster_id);
  }
  if (request.broker_id < 0) return refuse(ErrorCode::kInvalidRequest, "Broker id {} is negative", request.broker_id);
  if (request.incarnation_id.is_zero()) return refuse(ErrorCode::kInvalidRequest, "A registration has no incarnation");
  if (request.log_dirs.empty()) return refuse(ErrorCode::kInvalidRequest, "No log directories specified");
  std::set<Uuid> seen;
  for (const Uuid& directory : request.log_dirs) {
    if (directory.is_zero()) return refuse(ErrorCode::kInvalidRequest, "A log directory has no id");
    if (!seen.insert(directory).second) {
      return refuse(ErrorCode::kInvalidRequest, "Log directory {} is named twice", to_string(directory));
    }
  }
  return std::nullopt;
}

// A broker must understand what the cluster has finalized.
std::optional<Refusal> check_features(const MetadataImage& image, const RegisterRequest& request) {
  for (const auto& [name, level] : image.features()) {
    const auto known = std::ranges::find(request.features, name, &RegisterBrokerRecord::Feature::name);
    const int16_t least = known == request.features.end() ? int16_t{0} : known->least;
    const int16_t most = known == request.features.end() ? int16_t{0} : known->most;
    if (level >= least && level <= most) continue;
    return refuse(ErrorCode::kUnsupportedVersion, "Broker {} supports levels {} to {} of {}, the cluster uses {}",
                  request.broker_id, least, most, name, level);
  }
  return std::nullopt;
}

std::optional<Refusal> check_directories(const MetadataImage& image, const RegisterRequest& request) {
  for (const auto& [id, other] : image.brokers()) {
    if (id == request.broker_id) continue;
    for (const Uuid& directory : request.log_dirs) {
      if (!is_among(other.log_dirs, directory)) continue;
      return refuse(ErrorCode::kDuplicateBrokerRegistration,
                    "Log directory {} belongs to broker {}: it is a copy, or broker {} was given another id",
                    to_string(directory), id, id);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> check_registration(const MetadataImage& image, const Sessions& sessions,
                                          const std::string& cluster_id, const RegisterRequest& request, Instant now) {
  if (auto refusal = check_form(cluster_id, request)) return refusal;
  if (auto refusal = check_features(image, request)) return refusal;
  if (auto refusal = check_directories(image, request)) return refusal;
  const RegisterBrokerRecord* before = image.broker(request.broker_id);
  if (before == nullptr || before->incarnation_id == request.incarnation_id) return std::nullopt;
  if (sessions.is_being_removed(request.broker_id)) {
    return refuse(ErrorCode::kDuplicateBrokerRegistration, "Broker {} is being removed; try again", request.broker_id);
  }
  const bool is_living = sessions.is_living(request.broker_id, before->broker_epoch, now);
  // Other disks cost the broker its places: not while it may be about to return with its own.
  const bool may_return = sessions.has_session(request.broker_id, before->broker_epoch, now);
  if (!is_living && (!may_return || has_all_directories(*before, request))) return std::nullopt;
  return refuse(ErrorCode::kDuplicateBrokerRegistration,
                "Broker {} is alive: another process has this id. If it was restarted a moment ago, its session ends "
                "within {} s",
                request.broker_id, std::chrono::duration_cast<std::chrono::seconds>(kSessionTimeout).count());
}

BrokerRegistration::BrokerRegistration(RegisterRequest request) : request_(std::move(request)) {}

// Something may be counted on that is not there. Of a broker that nobody knows, everything.
bool BrokerRegistration::has_lost(const MetadataImage& image) const {
  const RegisterBrokerRecord* before = image.broker(request_.broker_id);
  return before == nullptr || !has_all_directories(*before, request_);
}

bool BrokerRegistration::next_portion(const MetadataImage& image, const ElectionInputs& inputs, int64_t next_offset,
                                      std::vector<MetadataRecord>& records) {
  const RegisterBrokerRecord* before = image.broker(request_.broker_id);
  if (before != nullptr && before->incarnation_id == request_.incarnation_id) return false;
  if (!sweep_ && !is_swept_ && has_lost(image)) {
    sweep_ = PartitionSweep::of_lost(request_.broker_id, request_.log_dirs, request_.is_unverified);
    if (auto record = fence(image, request_.broker_id)) records.emplace_back(std::move(*record));
    return true;
  }
  if (!sweep_ && !is_swept_ && request_.is_unverified) sweep_ = PartitionSweep::of_doubted(request_.broker_id);
  if (sweep_) {
    is_swept_ = !sweep_->next_portion(image, inputs, records);
    if (is_swept_) sweep_.reset();
    if (!is_swept_ || !records.empty()) return true;
  }
  records.emplace_back(RegisterBrokerRecord{.broker_id = request_.broker_id,
                                            .incarnation_id = request_.incarnation_id,
                                            .broker_epoch = next_offset,
                                            .endpoints = request_.endpoints,
                                            .features = request_.features,
                                            .rack = request_.rack,
                                            .fenced = true,
                                            .log_dirs = request_.log_dirs,
                                            .is_unverified = request_.is_unverified});
  return false;
}

bool BrokerFencing::next_portion(const MetadataImage& image, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  const RegisterBrokerRecord* registration = image.broker(broker_);
  const bool is_meant = registration != nullptr && registration->broker_epoch == broker_epoch_;
  if (auto record = is_meant ? fence(image, broker_) : std::nullopt) {
    // The sweep has to see that it is fenced.
    records.emplace_back(std::move(*record));
    return true;
  }
  return sweep_.next_portion(image, inputs, records);
}

std::optional<Refusal> BrokerRemoval::check(const MetadataImage& image) const {
  if (image.broker(broker_) != nullptr) return std::nullopt;
  return refuse(ErrorCode::kBrokerIdNotRegistered, "Broker ID {} is not currently registered", broker_);
}

bool BrokerRemoval::next_portion(const MetadataImage& image, const ElectionInputs& inputs,
                                 std::vector<MetadataRecord>& records) {
  const RegisterBrokerRecord* registration = image.broker(broker_);
  if (registration == nullptr) return false;
  if (!broker_epoch_) broker_epoch_ = registration->broker_epoch;
  if (registration->broker_epoch != *broker_epoch_) return false;
  if (auto record = fence(image, broker_)) {
    records.emplace_back(std::move(*record));
    return true;
  }
  if (sweep_.next_portion(image, inputs, records)) return true;
  records.emplace_back(UnregisterBrokerRecord{.broker_id = broker_, .broker_epoch = registration->broker_epoch});
  return false;
}

}  // namespace posthaste::replication
