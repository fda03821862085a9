#include "tests/quorum/drivers_cluster.h"

#include <fmt/format.h>

#include "tests/quorum/drivers_member.h"

namespace posthaste::quorum_model {

using reactor::Duration;
using reactor::simulated::Host;

DriversCluster::DriversCluster(reactor::simulated::World& world, const Options& options)
    : world_(world), options_(options), members_(options.members), is_unverified_(options.members) {}

quorum::ReplicaKey DriversCluster::key_of(size_t member) {
  return {.id = static_cast<quorum::NodeId>(member), .directory = {.low = member + 100}};
}

quorum::VoterSet DriversCluster::first_voters() const {
  std::vector<quorum::ReplicaKey> voters;
  for (size_t i = 0; i < options_.voters; ++i) voters.push_back(key_of(i));
  return quorum::VoterSet(std::move(voters));
}

// What has left counts, whether it arrives or not.
void DriversCluster::note_votes(size_t from, quorum::NodeId to, const quorum::Message& message) {
  if (const auto* vote = std::get_if<quorum::VoteResponse>(&message)) {
    if (vote->is_granted && !vote->is_pre_vote) checker_.voted(key_of(from), vote->asked_epoch, {.id = to});
  } else if (const auto* asked = std::get_if<quorum::VoteRequest>(&message); asked != nullptr && !asked->is_pre_vote) {
    checker_.voted(key_of(from), asked->epoch, {.id = asked->candidate.id});
  }
}

void DriversCluster::send(size_t from, quorum::NodeId to, quorum::PeerMessage message) {
  note_votes(from, to, message.message);
  const auto target = static_cast<size_t>(to);
  CHECK(target < members_.size() && target != from);
  if (random().chance(options_.lost_per_million)) return;
  const int copies = random().chance(options_.doubled_per_million) ? 2 : 1;
  auto shared = std::make_shared<const quorum::PeerMessage>(std::move(message));
  for (int copy = 0; copy < copies; ++copy) {
    const Duration delay(random().between(50'000, options_.latency_max.count()));
    world_.after(delay, [this, from, target, shared] { deliver(from, target, *shared); });
  }
}

void DriversCluster::deliver(size_t from, size_t to, const quorum::PeerMessage& message) {
  if (world_.network().blocked(host(from), host(to))) return;
  DriverMember* const target = members_[to];
  if (target != nullptr) return target->arrives(static_cast<quorum::NodeId>(from), message);
  // The machine is there, the process is not: it refuses, if the word of that gets back.
  const bool is_told =
      host(to).machine_is_on() && !host(to).running() && !world_.network().blocked(host(to), host(from));
  if (is_told && members_[from] != nullptr) members_[from]->is_refused_by(static_cast<quorum::NodeId>(to));
}

void DriversCluster::became_leader(size_t member, quorum::Epoch epoch) {
  ++counts_.leaders;
  const auto [known, is_new] = leaders_.emplace(epoch, member);
  if (!is_new) checker_.fail(fmt::format("epoch {} has two leaders: {} and {}", epoch, known->second, member));
}

void DriversCluster::acknowledged(quorum::Offset offset, uint64_t payload) {
  ++counts_.acknowledged;
  acknowledged_.push_back({offset, payload});
}

void DriversCluster::committed(quorum::Offset offset, uint64_t payload) {
  const auto [known, is_new] = committed_.emplace(offset, payload);
  if (!is_new && known->second != payload) checker_.fail(fmt::format("two records are committed at {}", offset));
}

void DriversCluster::judge_acknowledged() {
  std::set<uint64_t> seen;
  for (const auto& [offset, payload] : committed_) {
    if (!seen.insert(payload).second) checker_.fail(fmt::format("record {} is committed twice", payload));
  }
  for (const Acknowledged& one : acknowledged_) {
    const auto there = committed_.find(one.offset);
    if (there != committed_.end() && there->second == one.payload) continue;
    checker_.fail(fmt::format("record {} was acknowledged at {} and is not there", one.payload, one.offset));
  }
}

}  // namespace posthaste::quorum_model
