// What Raft promises, checked against what was seen.
#include "tests/quorum/checker.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::quorum_model {

std::string describe(const quorum::ReplicaKey& key) { return fmt::format("{}/{}", key.id, key.directory.low); }

std::string describe(const quorum::VoterSet& voters) {
  std::string text;
  for (const quorum::ReplicaKey& voter : voters) text += " " + describe(voter);
  return text;
}

// Equal at one offset is equal before it (Q3), so the last record that counts is enough.
bool Checker::holds(const Log& log, quorum::Epoch committed_below) const {
  for (auto at = committed_.rbegin(); at != committed_.rend(); ++at) {
    if (at->second.under >= committed_below) continue;
    if (at->first < log.snapshot->id.offset) return true;
    if (at->first == log.snapshot->id.offset) return log.snapshot->chain == at->second.entry.chain;
    const Entry* const there = log.ending_at(at->first);
    return there != nullptr && there->chain == at->second.entry.chain;
  }
  return true;
}

void Checker::became_leader(const quorum::ReplicaKey& self, quorum::Epoch epoch, const Log& log) {
  const auto [known, is_new] = leaders_.emplace(epoch, self);
  if (!is_new) fail(fmt::format("epoch {} has two leaders: {} and {}", epoch, describe(known->second), describe(self)));
  if (!holds(log, epoch)) {
    fail(fmt::format("{} leads epoch {} without what is committed: its log ends at {}, committed is {}", describe(self),
                     epoch, log.end(), committed_end()));
  }
}

void Checker::appended(const Log& log, size_t first_entry) {
  for (size_t i = first_entry; i < log.entries.size(); ++i) {
    const Entry& entry = log.entries[i];
    const auto [known, is_new] = chains_.emplace(std::pair(entry.batch.base_offset, entry.batch.epoch), entry.chain);
    if (!is_new && known->second != entry.chain) {
      fail(fmt::format("two logs differ before offset {} of epoch {}", entry.batch.base_offset, entry.batch.epoch));
    }
  }
}

bool Checker::committed(const quorum::ReplicaKey& self, quorum::Epoch epoch, const Log& log, Offset from, Offset to) {
  bool is_news = false;
  for (size_t i = log.index_from(from); i < log.entries.size() && log.entries[i].batch.base_offset < to; ++i) {
    const Entry& entry = log.entries[i];
    const Offset end = entry.batch.end_offset();
    if (end > to) fail(fmt::format("{} commits a part of the batch that ends at {}", describe(self), end));
    if (entry.batch.base_offset == committed_end()) {
      committed_.emplace(end, Decided{entry, epoch});
      is_news = true;
      continue;
    }
    const auto known = committed_.find(end);
    if (known == committed_.end() || known->second.entry.chain != entry.chain) {
      fail(fmt::format("{} commits other records up to {} than were committed before", describe(self), end));
    }
  }
  if (to > committed_end()) fail(fmt::format("{} commits up to {}, which it does not hold", describe(self), to));
  return is_news;
}

void Checker::voted(const quorum::ReplicaKey& self, quorum::Epoch epoch, const quorum::ReplicaKey& candidate) {
  const auto [known, is_new] = votes_.emplace(std::pair(self, epoch), candidate);
  if (!is_new && known->second != candidate) {
    fail(fmt::format("{} votes twice in epoch {}: for {} and {}", describe(self), epoch, describe(known->second),
                     describe(candidate)));
  }
}

void Checker::forget_votes(const quorum::ReplicaKey& self, quorum::Epoch above) {
  std::erase_if(votes_, [&](const auto& vote) { return vote.first.first == self && vote.first.second > above; });
}

void Checker::changed_voters(const Log& log, const quorum::VoterSet& before, bool has_committed_in_epoch) {
  const Entry& entry = log.entries.back();
  const quorum::VoterSet& after = entry.batch.voters;
  const auto missing = [](const quorum::VoterSet& from, const quorum::VoterSet& in) {
    return std::ranges::count_if(from, [&](const quorum::ReplicaKey& key) { return !in.contains(key); });
  };
  if (missing(before, after) + missing(after, before) != 1) fail("voters change by more than one at a time");
  if (!has_committed_in_epoch) fail("a leader changes the voters before it has committed in its epoch");
  for (auto at = log.entries.rbegin() + 1; at != log.entries.rend(); ++at) {
    if (at->batch.kind != quorum::BatchKind::kVoters) continue;
    if (at->batch.end_offset() > committed_end()) fail("a leader changes voters while a change is not committed");
    break;
  }
}

void Checker::wrote_snapshot(const Snapshot& snapshot) {
  const auto known = committed_.find(snapshot.id.offset);
  if (known == committed_.end() || known->second.entry.chain != snapshot.chain) {
    return fail(fmt::format("a snapshot of {} that was never committed", snapshot.id.offset));
  }
  for (auto at = std::make_reverse_iterator(std::next(known)); at != committed_.rend(); ++at) {
    if (at->second.entry.batch.kind != quorum::BatchKind::kVoters) continue;
    if (at->second.entry.batch.voters != snapshot.voters) {
      fail(fmt::format("the snapshot of {} does not say who votes there", snapshot.id.offset));
    }
    break;
  }
  const auto [same, is_new] = snapshots_.emplace(snapshot.id.offset, snapshot);
  if (!is_new && (same->second.voters != snapshot.voters || same->second.id != snapshot.id)) {
    fail(fmt::format("two snapshots of {} differ", snapshot.id.offset));
  }
}

}  // namespace posthaste::quorum_model
