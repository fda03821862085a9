#include "replication/isr_rules.h"

#include <algorithm>

#include "replication/planted_bugs.h"

namespace posthaste::replication {

using reactor::planted;

namespace {

const FollowerState* state_of(const IsrInputs& inputs, int32_t broker) {
  const auto found = std::ranges::find(inputs.followers, broker, &FollowerState::broker);
  return found == inputs.followers.end() ? nullptr : &*found;
}

int64_t epoch_of(const IsrInputs& inputs, int32_t broker) {
  const auto life = inputs.brokers.find(broker);
  return life == inputs.brokers.end() ? -1 : life->second.broker_epoch;
}

// What it has said in the life that the image knows, and of which the controller is told.
const FollowerState* heard_state(const IsrInputs& inputs, int32_t broker, int64_t broker_epoch) {
  const FollowerState* const state = state_of(inputs, broker);
  if (state == nullptr || state->broker_epoch == -1) return nullptr;
  if (planted(kBugs["isr-grows-by-earlier-life"])) return state;
  return state->broker_epoch == broker_epoch ? state : nullptr;
}

enum class Place : uint8_t { kOut, kIn, kVerified, kLost };

Place place_of_member(const IsrInputs& inputs, int32_t broker, const FollowerState* heard) {
  if (heard != nullptr && contains(inputs.partition.unverified, broker)) {
    // It had that: it was counted for the high watermark.
    if (heard->durable < inputs.log.high_watermark) return Place::kLost;
    if (holds_what_is_committed(*heard, inputs.log)) return Place::kVerified;
  }
  const FollowerState* const state = state_of(inputs, broker);
  const bool lags = state == nullptr || (state->is_behind_mark(epoch_of(inputs, broker)) &&
                                         inputs.now - state->marked_at >= inputs.lag_max);
  return lags ? Place::kOut : Place::kIn;
}

Place place_of(const IsrInputs& inputs, int32_t broker, const BrokerLife& life) {
  const FollowerState* const heard = heard_state(inputs, broker, life.broker_epoch);
  if (contains(inputs.partition.isr, broker)) return place_of_member(inputs, broker, heard);
  const bool enters = life.is_active && heard != nullptr && holds_what_is_committed(*heard, inputs.log);
  return enters ? Place::kIn : Place::kOut;
}

bool takes_part(const IsrInputs& inputs, const IsrChange::Member& member) {
  const auto life = inputs.brokers.find(member.broker);
  return life != inputs.brokers.end() && life->second.is_active && life->second.broker_epoch == member.broker_epoch;
}

IsrChange change_of(const IsrInputs& inputs) {
  return {.topic_id = inputs.topic_id,
          .index = inputs.index,
          .leader_epoch = inputs.partition.term.leader_epoch,
          .partition_epoch = inputs.partition.partition_epoch,
          .isr = {}};
}

}  // namespace

LedPartition led_partition(const PartitionImage& partition, const Term& term, int32_t min_isr) {
  return {.term = term,
          .partition_epoch = partition.partition_epoch,
          .replicas = partition.replicas,
          .isr = partition.isr,
          .unverified = partition.unsettled.unverified(),
          .recovery_state = partition.leader_recovery_state,
          .min_isr = min_isr};
}

bool holds_what_is_committed(const FollowerState& follower, const LeaderLog& log) {
  if (planted(kBugs["isr-grows-at-high-watermark"])) return follower.durable >= log.high_watermark;
  return follower.durable >= std::max(log.high_watermark, log.epoch_start);
}

void FollowerState::told(int64_t epoch, int64_t offset) {
  if (epoch < broker_epoch) return;
  durable = epoch == broker_epoch ? std::max(durable, offset) : offset;
  broker_epoch = epoch;
}

std::optional<IsrChange> wanted_isr(const IsrInputs& inputs) {
  const LedPartition& partition = inputs.partition;
  IsrChange change = change_of(inputs);
  bool differs = partition.recovery_state == kRecovering;
  for (const int32_t broker : partition.replicas) {
    const auto life = inputs.brokers.find(broker);
    if (life == inputs.brokers.end()) continue;
    const Place place = broker == inputs.us ? Place::kIn : place_of(inputs, broker, life->second);
    if (place == Place::kLost) change.lost.push_back(broker);
    if (place == Place::kVerified) change.verified.push_back(broker);
    const bool is_in = place == Place::kIn || place == Place::kVerified;
    if (is_in) change.isr.push_back({.broker = broker, .broker_epoch = life->second.broker_epoch});
    differs = differs || place == Place::kVerified || is_in != contains(partition.isr, broker);
  }
  const bool is_possible =
      std::ranges::all_of(change.isr, [&](const IsrChange::Member& member) { return takes_part(inputs, member); });
  if (!differs || !is_possible) return std::nullopt;
  return change;
}

std::optional<IsrChange> renewed_isr(const IsrInputs& inputs) {
  IsrChange change = change_of(inputs);
  change.recovery_state = inputs.partition.recovery_state;
  change.renews = true;
  for (const int32_t broker : inputs.partition.isr) {
    change.isr.push_back({.broker = broker, .broker_epoch = epoch_of(inputs, broker)});
    if (!takes_part(inputs, change.isr.back())) return std::nullopt;
  }
  return change;
}

}  // namespace posthaste::replication
