#include "tests/rig/replica_checker.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::rig {
namespace {

// The first record at or after `offset`.
auto at_or_after(std::span<const ReplicaRecord> log, int64_t offset) {
  return std::ranges::lower_bound(log, offset, {}, &ReplicaRecord::offset);
}

constexpr const char* kBelowHighWatermark = "below a high watermark";

}  // namespace

void ReplicaChecker::violation(std::string what) {
  if (!violation_) violation_ = std::move(what);
}

void ReplicaChecker::observe(const ReplicaState& state) {
  check_bounds(state);
  check_below_high_watermark(state);
  if (!state.leads) return;
  check_term(state);
  if (state.leader_epoch == newest_term()) check_holds_committed(state);
}

void ReplicaChecker::check_bounds(const ReplicaState& state) {
  if (state.durable > state.end || state.high_watermark > state.end) {
    violation(fmt::format("replica {}: durable {} and high watermark {}, but the log ends at {}", state.replica,
                          state.durable, state.high_watermark, state.end));
  }
  int64_t previous = state.log_start - 1;
  for (const ReplicaRecord& record : state.log) {
    if (record.offset <= previous || record.offset >= state.end) {
      violation(fmt::format("replica {}: offset {} stands behind {} in a log from {} to {}", state.replica,
                            record.offset, previous, state.log_start, state.end));
    }
    previous = record.offset;
  }
}

// A replica that reports offsets below it as committed has them, and all such replicas have the same.
void ReplicaChecker::check_below_high_watermark(const ReplicaState& state) {
  for (auto at = state.log.begin(); at != state.log.end() && at->offset < state.high_watermark; ++at) {
    commit(state, *at);
  }
  for (auto known = committed_.lower_bound(state.log_start);
       known != committed_.end() && known->first < state.high_watermark; ++known) {
    const auto found = at_or_after(state.log, known->first);
    if (found != state.log.end() && found->offset == known->first) continue;
    violation(fmt::format("replica {}: offset {} ('{:x}', {}) is missing below its high watermark {}", state.replica,
                          known->first, known->second.payload_hash, known->second.how, state.high_watermark));
  }
  committed_end_ = std::max(committed_end_, state.high_watermark);
}

void ReplicaChecker::commit(const ReplicaState& state, const ReplicaRecord& record) {
  const auto [known, fresh] =
      committed_.try_emplace(record.offset, Committed{record.epoch, record.payload_hash, kBelowHighWatermark});
  if (fresh) return;
  Committed& committed = known->second;
  if (committed.payload_hash != record.payload_hash || committed.epoch.value_or(record.epoch) != record.epoch) {
    violation(
        fmt::format("replica {}: offset {} is '{:x}' of term {} below its high watermark {}, but '{:x}' of term "
                    "{} was {}",
                    state.replica, record.offset, record.payload_hash, record.epoch, state.high_watermark,
                    committed.payload_hash, committed.epoch.value_or(-1), committed.how));
  }
  committed.epoch = record.epoch;
}

void ReplicaChecker::check_term(const ReplicaState& state) {
  const auto [known, fresh] = leaders_.try_emplace(state.leader_epoch, Term{state.replica, state.high_watermark});
  Term& term = known->second;
  if (term.leader != state.replica) {
    violation(
        fmt::format("term {} has two leaders: replicas {} and {}", state.leader_epoch, term.leader, state.replica));
  }
  if (state.high_watermark < term.high_watermark) {
    violation(fmt::format("replica {}: the high watermark of term {} falls from {} to {}", state.replica,
                          state.leader_epoch, term.high_watermark, state.high_watermark));
  }
  term.high_watermark = state.high_watermark;
}

void ReplicaChecker::check_holds_committed(const ReplicaState& state) {
  if (state.end < committed_end_) {
    violation(fmt::format("replica {} leads term {} with a log that ends at {}, but {} was committed", state.replica,
                          state.leader_epoch, state.end, committed_end_ - 1));
  }
  for (auto known = committed_.lower_bound(state.log_start); known != committed_.end(); ++known) {
    const auto& [offset, committed] = *known;
    const auto found = at_or_after(state.log, offset);
    if (found == state.log.end() || found->offset != offset) {
      violation(fmt::format("replica {} leads term {} without offset {} ('{:x}'), which was {}", state.replica,
                            state.leader_epoch, offset, committed.payload_hash, committed.how));
    } else if (found->payload_hash != committed.payload_hash ||
               committed.epoch.value_or(found->epoch) != found->epoch) {
      violation(fmt::format("replica {} leads term {} with '{:x}' at offset {}, but '{:x}' was {}", state.replica,
                            state.leader_epoch, found->payload_hash, offset, committed.payload_hash, committed.how));
    }
  }
}

void ReplicaChecker::in_sync(const ReplicaState& leader, std::span<const ReplicaState> members) {
  for (const ReplicaState& member : members) {
    if (member.durable >= leader.high_watermark) continue;
    violation(
        fmt::format("replica {}: high watermark {} in term {}, but replica {} of its in-sync set is durable to {}",
                    leader.replica, leader.high_watermark, leader.leader_epoch, member.replica, member.durable));
  }
}

void ReplicaChecker::promise(int64_t offset, uint64_t payload_hash, const char* how) {
  const auto [known, fresh] = committed_.try_emplace(offset, Committed{std::nullopt, payload_hash, how});
  if (!fresh && known->second.payload_hash != payload_hash) {
    violation(fmt::format("offset {}: '{:x}' was {}, but '{:x}' was {}", offset, payload_hash, how,
                          known->second.payload_hash, known->second.how));
  }
  committed_end_ = std::max(committed_end_, offset + 1);
}

void ReplicaChecker::high_watermark_shown(int64_t high_watermark) {
  committed_end_ = std::max(committed_end_, high_watermark);
}

void ReplicaChecker::converged(std::span<const ReplicaState> states) {
  for (const ReplicaState& state : states) {
    observe(state);
    if (state.durable != state.end || state.high_watermark != state.end) {
      violation(fmt::format("replica {}: in a quiet world durable is {} and the high watermark {}, but the end {}",
                            state.replica, state.durable, state.high_watermark, state.end));
    }
    if (state.end < committed_end_) {
      violation(
          fmt::format("replica {}: ends at {}, but {} was committed", state.replica, state.end, committed_end_ - 1));
    }
  }
}

}  // namespace posthaste::rig
