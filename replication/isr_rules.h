// Whom the leader of a partition wants in sync, as plain functions of values: what the image says of the partition and
// of brokers, what its followers have said, how its own log stands, the time. isr_keeper.h asks them, and for the
// change.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>

#include "reactor/time.h"
#include "replication/metadata/isr_changes.h"
#include "replication/replica.h"

namespace posthaste::replication {

// A broker as the leader's image has it.
struct BrokerLife {
  int64_t broker_epoch = -1;
  bool is_active = false;  // neither fenced nor in controlled shutdown: only such a broker enters an ISR
  friend bool operator==(const BrokerLife&, const BrokerLife&) = default;
};
using BrokerLives = std::map<int32_t, BrokerLife>;

// What one image says of a partition that this broker leads.
struct LedPartition {
  Term term;
  int32_t partition_epoch = -1;
  PartitionBrokers replicas;
  PartitionBrokers isr;
  PartitionBrokers unverified;
  int8_t recovery_state = kRecovered;
  int32_t min_isr = 1;  // the effective one
  friend bool operator==(const LedPartition&, const LedPartition&) = default;
};
LedPartition led_partition(const PartitionImage& partition, const Term& term, int32_t min_isr);

// The leader's own log, of the moment.
struct LeaderLog {
  int64_t high_watermark = 0;
  int64_t end = 0;
  int64_t epoch_start = 0;  // where the records of its term begin
};

// What a follower has said in one term of its leader, and since when it has lacked some of the leader's log.
struct FollowerState {
  int32_t broker = -1;
  int64_t broker_epoch = -1;  // of the life that has said it; -1: not heard of
  int64_t durable = -1;
  // Where the leader's log ended at `marked_at`. Who has not reached that for the lag time lags; who has is measured by
  // a new mark. So a leader that takes records all the time, whose end nobody is ever at, has members nevertheless.
  int64_t marked_end = 0;
  reactor::Instant marked_at;

  // It is durable up to `offset`, in its life under `epoch`. Nothing if that is a life before.
  void told(int64_t epoch, int64_t offset);
  // What it has in the life under `epoch`; -1: nothing is known.
  int64_t durable_in(int64_t epoch) const { return epoch != -1 && epoch == broker_epoch ? durable : -1; }
  // At `now`, when `epoch` is its life.
  void look(int64_t epoch, const LeaderLog& log, reactor::Instant now) {
    if (durable_in(epoch) >= marked_end) mark(log.end, now);
  }
  void mark(int64_t end, reactor::Instant now) {
    marked_end = end;
    marked_at = now;
  }
  bool is_behind_mark(int64_t epoch) const { return durable_in(epoch) < marked_end; }
};

// It may be a member: whoever is elected of those who hold that much has all that was committed, in this term and
// before. The high watermark alone would not do, for a new leader may know an old one.
bool holds_what_is_committed(const FollowerState& follower, const LeaderLog& log);

struct IsrInputs {
  int32_t us = -1;
  Uuid topic_id;
  int32_t index = 0;
  const LedPartition& partition;
  std::span<const FollowerState> followers;
  const BrokerLives& brokers;
  LeaderLog log;
  reactor::Duration lag_max{};
  reactor::Instant now;
};

// The change that the leader is to ask for; nothing if the ISR is as it should be, or if the controller would refuse
// the change, because somebody in it, or the leader, takes no part just now.
std::optional<IsrChange> wanted_isr(const IsrInputs& inputs);
// The ISR as it is, to be asked for again: it moves the partition epoch, so that every copy of what was asked before is
// too late (IsrChange::renews). Nothing where the controller would refuse it.
std::optional<IsrChange> renewed_isr(const IsrInputs& inputs);

}  // namespace posthaste::replication
