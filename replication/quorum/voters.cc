// Sets of voters, and which of them the log says.
#include "replication/quorum/voters.h"

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::replication::quorum {

VoterSet::VoterSet(std::vector<ReplicaKey> voters) : voters_(std::move(voters)) {
  std::ranges::sort(voters_);
  CHECK(std::ranges::adjacent_find(voters_) == voters_.end(), "a voter is named twice");
}

bool VoterSet::contains(const ReplicaKey& key) const { return std::ranges::binary_search(voters_, key); }

ReplicaKey VoterSet::with_id(NodeId id) const {
  const auto found = std::ranges::find(voters_, id, &ReplicaKey::id);
  return found == voters_.end() ? kNoReplica : *found;
}

VoterSet VoterSet::with(const ReplicaKey& key) const {
  std::vector<ReplicaKey> voters = voters_;
  voters.push_back(key);
  return VoterSet(std::move(voters));
}

VoterSet VoterSet::without(const ReplicaKey& key) const {
  VoterSet rest = *this;
  std::erase(rest.voters_, key);
  return rest;
}

const VoterSet& VoterHistory::at(Offset end) const {
  const VoterSet* found = &first_;
  for (const Change& change : changes_) {
    if (change.offset < end) found = &change.voters;
  }
  return *found;
}

bool VoterHistory::contains_since(Offset end, const ReplicaKey& key) const {
  return at(end).contains(key) || std::ranges::any_of(changes_, [&](const Change& change) {
           return change.offset >= end && change.voters.contains(key);
         });
}

void VoterHistory::add(Offset offset, VoterSet voters) {
  CHECK(offset > latest_offset());
  changes_.push_back({offset, std::move(voters)});
}

void VoterHistory::truncate(Offset to) {
  while (!changes_.empty() && changes_.back().offset >= to) changes_.pop_back();
}

void VoterHistory::trim(Offset start) {
  first_ = at(start);
  std::erase_if(changes_, [start](const Change& change) { return change.offset < start; });
}

void VoterHistory::reset(VoterSet first) {
  first_ = std::move(first);
  changes_.clear();
}

}  // namespace posthaste::replication::quorum
