// What goes wrong in the model world, drawn from the seed: machines that stop, crash, lose power, lie, pause or are
// wiped; links that are cut one way; clocks that jump; slow disks; and an operator who changes the voters meanwhile. It
// leaves a majority of every set of voters that may be in force with its disks, and mends all else at the end; a pause
// ends by itself.
#pragma once
#include <optional>

#include "tests/quorum/world.h"

namespace posthaste::quorum_model {

class Faults {
 public:
  explicit Faults(World& world);
  void disturb();
  // A record of a client, to anybody.
  void write();
  void change_voters();
  void heal();

 private:
  size_t any() { return world_.random().below(world_.machines().size()); }
  void start_later(size_t machine, Duration at_most);
  void crash(size_t machine, World::End how);
  void crash_all();
  void isolate(size_t machine);
  void lie();
  void attend_liar();
  void mend_links();
  void kill_new_leaders();
  void kill_who_voted();
  bool may_wipe(size_t machine) const;
  bool all_is_well() const;
  bool leaves_majority(const quorum::VoterSet& voters, const quorum::ReplicaKey& without) const;

  World& world_;
  uint64_t bodies_ = 0;
  std::optional<size_t> liar_;  // one host whose flushes lie, in some seeds
  bool wipes_ = false;
  bool is_liar_recovering_ = false;
  uint64_t leader_died_for_liar_ = 0;
  bool has_healed_ = false;
  std::vector<Instant> start_at_;
};

}  // namespace posthaste::quorum_model
