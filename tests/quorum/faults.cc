// Faults of the model world.
#include "tests/quorum/faults.h"

#include <algorithm>

namespace posthaste::quorum_model {

Faults::Faults(World& world) : world_(world) {
  Random& random = world.random();
  start_at_.assign(world.machines().size(), Instant::never());
  if (world.options().voters >= 3 && random.below(4) == 0) {
    liar_ = random.below(world.options().voters);
    world.heal_network();  // else it may wait for a leader so long that it trusts itself
  } else {
    wipes_ = random.below(2) == 0;
    if (random.below(3) == 0) kill_new_leaders();
    if (random.below(4) == 0) kill_who_voted();
  }
}

// An epoch that nobody but its leader has a record of: what Raft's figure 8 is made of.
void Faults::kill_new_leaders() {
  const uint64_t one_in = 1 + world_.random().below(4);
  world_.on_leader = [this, one_in](size_t machine) {
    if (world_.random().below(one_in) != 0) return;
    world_.later(Duration(world_.random().between(0, 300'000'000)), [this, machine] {
      if (!has_healed_) crash(machine, World::End::kKill);
    });
  };
}

// What it said must be on its disk when it is back, a moment later.
void Faults::kill_who_voted() {
  const uint64_t one_in = 1 + world_.random().below(3);
  world_.on_vote = [this, one_in](size_t machine) {
    if (world_.random().below(one_in) != 0) return;
    world_.later(Duration(world_.random().between(0, 20'000'000)), [this, machine] {
      if (has_healed_ || !world_.runs(machine)) return;
      ++world_.counts().kills;
      world_.end(machine, World::End::kKill);
      world_.later(Duration(world_.random().between(1'000'000, 300'000'000)), [this, machine] {
        if (!world_.runs(machine)) world_.start(machine);
      });
    });
  };
}

void Faults::start_later(size_t machine, Duration at_most) {
  start_at_[machine] = world_.now() + Duration(world_.random().between(1'000'000, at_most.count()));
}

void Faults::crash(size_t machine, World::End how) {
  if (!world_.runs(machine)) return;
  ++(how == World::End::kPower ? world_.counts().power_losses : world_.counts().kills);
  world_.end(machine, how);
  start_later(machine, world_.random().below(3) == 0 ? 6s : 500ms);
}

void Faults::crash_all() {
  const auto how = world_.random().below(2) == 0 ? World::End::kPower : World::End::kKill;
  for (size_t i = 0; i < world_.machines().size(); ++i) crash(i, how);
}

void Faults::isolate(size_t machine) {
  const bool is_cut = world_.random().below(2) == 0;
  for (size_t other = 0; other < world_.machines().size(); ++other) {
    if (other == machine) continue;
    world_.cut(machine, other, is_cut);
    world_.cut(other, machine, is_cut);
  }
}

bool Faults::leaves_majority(const quorum::VoterSet& voters, const quorum::ReplicaKey& without) const {
  const auto left = std::ranges::count_if(
      voters, [&](const quorum::ReplicaKey& voter) { return voter != without && world_.has_disk(voter); });
  return voters.empty() || static_cast<size_t>(left) >= voters.majority();
}

// Every set of voters in any log, from its snapshot on: one of them is in force.
bool Faults::may_wipe(size_t machine) const {
  const quorum::ReplicaKey key = world_.machines()[machine].key;
  const auto bears_it = [&](const Log& log) {
    return leaves_majority(log.snapshot->voters, key) && std::ranges::all_of(log.entries, [&](const Entry& entry) {
             return entry.batch.kind != quorum::BatchKind::kVoters || leaves_majority(entry.batch.voters, key);
           });
  };
  return std::ranges::all_of(world_.machines(), [&](const Machine& other) {
    return bears_it(other.disk->log) && (other.life == nullptr || bears_it(other.life->log));
  });
}

bool Faults::all_is_well() const {
  for (size_t i = 0; i < world_.machines().size(); ++i) {
    const Machine& machine = world_.machines()[i];
    if (!world_.runs(i) || machine.life->machine.is_unverified() || machine.paused_until > world_.now()) return false;
    for (size_t other = 0; other < world_.machines().size(); ++other) {
      if (world_.is_cut(i, other)) return false;
    }
  }
  return world_.leader().has_value();
}

// The promise covers a host that lies and loses power alone; it takes seconds to boot, and its old connections are
// gone.
void Faults::lie() {
  const quorum::ReplicaKey key = world_.machines()[*liar_].key;
  mend_links();
  for (Machine& machine : world_.machines()) machine.disk_latency = Duration(0);
  if (!all_is_well()) return;
  for (const Machine& machine : world_.machines()) {
    const quorum::VoterSet& voters = machine.life->machine.voters();
    if (voters.contains(key) && voters.size() < 3) return;
  }
  ++world_.counts().lies;
  world_.end(*liar_, World::End::kLyingPower);
  start_at_[*liar_] = world_.now() + Duration(world_.random().between(3'000'000'000, 6'000'000'000));
  is_liar_recovering_ = true;
}

// While it distrusts its disk the leader may die once, and returns soon: what the liar has forgotten is there.
void Faults::attend_liar() {
  if (all_is_well()) {
    is_liar_recovering_ = false;
    return;
  }
  const bool is_up = world_.runs(*liar_) && world_.machines()[*liar_].life->machine.is_unverified();
  const auto leader = world_.leader();
  if (!is_up || !leader || leader_died_for_liar_ == world_.counts().lies || world_.random().below(2) == 0) return;
  leader_died_for_liar_ = world_.counts().lies;
  ++world_.counts().kills;
  world_.end(*leader, World::End::kKill);
  start_later(*leader, 2s);
}

void Faults::mend_links() {
  for (size_t to = 0; to < world_.machines().size(); ++to) {
    for (size_t from = 0; from < world_.machines().size(); ++from) world_.cut(from, to, false);
  }
}

void Faults::disturb() {
  for (size_t i = 0; i < start_at_.size(); ++i) {
    if (world_.now() < start_at_[i]) continue;
    start_at_[i] = Instant::never();
    world_.start(i);
  }
  if (is_liar_recovering_) return attend_liar();
  Random& random = world_.random();
  if (liar_ && random.below(2) == 0) return lie();
  const size_t machine = any();
  const size_t other = any();
  switch (random.below(18)) {
    case 0:
    case 1:
      return crash(machine, World::End::kKill);
    case 2:
      if (machine != liar_) crash(machine, World::End::kPower);
      return;
    case 3:
      return crash(machine, World::End::kStop);
    case 4:
      if (!liar_ && random.below(3) == 0) crash_all();
      return;
    case 5:
    case 6:
      if (machine != other) world_.cut(machine, other, true);
      return;
    case 7:
    case 8:
      return isolate(machine);
    case 9:
    case 10:
      return mend_links();
    case 11:
      world_.machines()[machine].paused_until = world_.now() + Duration(random.between(1'000'000, 6'000'000'000));
      return;
    case 12:
      world_.machines()[machine].clock += Duration(random.between(1'000'000, 5'000'000'000));
      return world_.event(machine, quorum::TimerFired{});
    case 13:
      world_.machines()[machine].disk_latency =
          random.below(2) == 0 ? Duration(0) : Duration(random.between(0, 2'000'000'000));
      return;
    case 14:
      if (!wipes_ || !world_.runs(machine) || !may_wipe(machine)) return;
      ++world_.counts().wipes;
      world_.end(machine, World::End::kPower);
      world_.wipe(machine);
      return start_later(machine, 2s);
    case 15:
      // The one that matters most.
      if (const auto leader = world_.leader()) crash(*leader, World::End::kKill);
      return;
    case 16:
      if (world_.machines()[machine].paused_until > world_.now()) return;
      return world_.event(machine, quorum::ResignRequested{});
    default:
      return;
  }
}

void Faults::write() {
  const auto leader = world_.leader();
  const size_t to = leader && world_.random().below(4) > 0 ? *leader : any();
  if (world_.is_paused(to)) return;
  world_.event(to,
               quorum::AppendRequested{.count = static_cast<int32_t>(1 + world_.random().below(3)), .body = ++bodies_});
}

void Faults::change_voters() {
  // Two voters, one of which may have lost what it said, are no majority of anything.
  if (is_liar_recovering_) return;
  const auto leader = world_.leader();
  if (!leader || world_.is_paused(*leader)) return;
  const quorum::VoterSet voters = world_.machines()[*leader].life->machine.voters();
  const quorum::ReplicaKey chosen = world_.machines()[any()].key;
  const quorum::ReplicaKey named = voters.with_id(chosen.id);
  if (named == quorum::kNoReplica) {
    if (leaves_majority(voters.with(chosen), {})) world_.event(*leader, quorum::AddVoterRequested{chosen});
  } else if (voters.size() > 1 && leaves_majority(voters.without(named), {})) {
    world_.event(*leader, quorum::RemoveVoterRequested{named});
  }
}

void Faults::heal() {
  has_healed_ = true;
  world_.heal_network();
  mend_links();
  for (size_t i = 0; i < world_.machines().size(); ++i) {
    world_.machines()[i].disk_latency = Duration(0);
    start_at_[i] = Instant::never();
    if (!world_.runs(i)) world_.start(i);
  }
}

}  // namespace posthaste::quorum_model
