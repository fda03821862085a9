#include "tests/simulation/oracle.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::simulation {

void Oracle::violation(std::string what) {
  if (!violation_) violation_ = std::move(what);
}

void Oracle::place(Log& log, const PartitionName& partition, int64_t offset, const std::string& payload,
                   const char* how) {
  const auto known = log.offset_of.find(payload);
  if (known != log.offset_of.end() && known->second != offset) {
    violation(fmt::format("{}-{}: record '{}' {} at offset {} and earlier at {}", partition.topic, partition.index,
                          payload, how, offset, known->second));
  }
  log.offset_of[payload] = offset;
  for (const auto* other : {&log.acked, &log.seen}) {
    const auto there = other->find(offset);
    if (there != other->end() && there->second != payload) {
      violation(fmt::format("{}-{}: offset {} {} as '{}' but was '{}'", partition.topic, partition.index, offset, how,
                            payload, there->second));
    }
  }
}

void Oracle::acked(const PartitionName& partition, int64_t offset, const std::string& payload) {
  partitions_.insert(partition);
  Log& log = logs_[partition];
  place(log, partition, offset, payload, "acked");
  if (log.acked.emplace(offset, payload).second) ++acked_records_;
}

void Oracle::seen(const PartitionName& partition, int64_t offset, const std::string& payload) {
  partitions_.insert(partition);
  Log& log = logs_[partition];
  place(log, partition, offset, payload, "seen");
  if (log.seen.emplace(offset, payload).second) ++seen_records_;
}

int64_t Oracle::known_end(const PartitionName& partition) const {
  const auto found = logs_.find(partition);
  if (found == logs_.end()) return 0;
  const Log& log = found->second;
  const int64_t acked_end = log.acked.empty() ? 0 : log.acked.rbegin()->first + 1;
  const int64_t seen_end = log.seen.empty() ? 0 : log.seen.rbegin()->first + 1;
  return std::max(acked_end, seen_end);
}

void Oracle::log_end(const PartitionName& partition, int64_t end, int64_t known_before) {
  if (end >= known_before) return;
  violation(fmt::format("{}-{}: the log ends at {}, but {} was acked or seen before the question", partition.topic,
                        partition.index, end, known_before - 1));
}

void Oracle::read_whole(const PartitionName& partition, const std::map<int64_t, std::string>& records) {
  const Log& log = logs_[partition];
  for (const auto* expected : {&log.acked, &log.seen}) {
    for (const auto& [offset, payload] : *expected) {
      const auto found = records.find(offset);
      if (found == records.end()) {
        violation(fmt::format("{}-{}: offset {} ('{}') was {} and is gone", partition.topic, partition.index, offset,
                              payload, expected == &log.acked ? "acked" : "seen"));
      } else if (found->second != payload) {
        violation(fmt::format("{}-{}: offset {} was '{}' and is '{}'", partition.topic, partition.index, offset,
                              payload, found->second));
      }
    }
  }
  std::set<std::string> payloads;
  for (const auto& [offset, payload] : records) {
    if (!payloads.insert(payload).second) {
      violation(fmt::format("{}-{}: record '{}' is there twice, again at offset {}", partition.topic, partition.index,
                            payload, offset));
    }
  }
}

void Oracle::joined(const std::string& group, int32_t generation) {
  Group& state = groups_[group];
  state.newest_generation = std::max(state.newest_generation, generation);
}

void Oracle::assigned(const std::string& group, int32_t generation, const std::string& member,
                      const PartitionName& partition) {
  joined(group, generation);
  const auto [owner, fresh] = groups_[group].owners.emplace(std::pair(generation, partition), member);
  if (!fresh && owner->second != member) {
    violation(fmt::format("group {}: {}-{} in generation {} belongs to {} and to {}", group, partition.topic,
                          partition.index, generation, owner->second, member));
  }
}

int32_t Oracle::newest_generation(const std::string& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? -1 : found->second.newest_generation;
}

void Oracle::commit_acked(const std::string& group, int32_t generation, int32_t newest_when_sent,
                          const PartitionName& partition, int64_t offset) {
  ++commits_;
  if (generation < newest_when_sent) {
    violation(fmt::format("group {}: a commit of generation {} was accepted after generation {} began", group,
                          generation, newest_when_sent));
  }
  int64_t& committed = groups_[group].committed.try_emplace(partition, -1).first->second;
  committed = std::max(committed, offset);
}

int64_t Oracle::committed_floor(const std::string& group, const PartitionName& partition) const {
  const auto found = groups_.find(group);
  if (found == groups_.end()) return -1;
  const auto at = found->second.committed.find(partition);
  return at == found->second.committed.end() ? -1 : at->second;
}

void Oracle::committed(const std::string& group, const PartitionName& partition, int64_t offset, int64_t floor) {
  if (offset < floor) {
    violation(fmt::format("group {}: committed offset of {}-{} is {}, but {} was acked", group, partition.topic,
                          partition.index, offset, floor));
  }
}

}  // namespace posthaste::simulation
