// What the parts of one toy cluster share: the members, the coordinator that says which one leads in which term, and
// the replicas that live now, for the judge to look at. The toy is a replication that is as small as one can be that
// needs all of the rig: one partition, one leader at a time, in each term; every member must hold a record durably
// before it is committed; a follower cuts its log to where it agrees with the leader; every member may lead. Lives in
// the run, outlives the hosts. All in one thread.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "reactor/core.h"
#include "tests/rig/replica_checker.h"
#include "tests/rig/toy_bugs.h"

namespace posthaste::rig {

class ToyReplica;

inline constexpr const char* kToyPort = ":7000";
inline constexpr const char* kCoordinatorAddress = "10.0.1.1:7000";
inline std::string toy_ip(uint32_t replica) { return "10.0.0." + std::to_string(replica + 1); }

struct Assignment {
  int32_t term = -1;
  uint32_t leader = 0;
  uint64_t leader_incarnation = 0;  // of the process that leads; another one does not, not even on the same host
  std::set<uint32_t> members;       // all of them must hold what is committed
};

class ToyCluster {
 public:
  ToyCluster(uint32_t replicas, ToyBug bug);

  uint32_t size() const { return size_; }
  bool has(ToyBug bug) const { return bug_ == bug; }
  ReplicaChecker& checker() { return checker_; }

  // --- The coordinator's state. It learns of every new incarnation before that one does anything.
  const Assignment& assignment() const { return assignment_; }
  // A new term, led by this member.
  void elect(uint32_t leader);
  // It is lost permanently and no member any more. If it led, another one leads now.
  void remove(uint32_t replica);
  // A replica asks which member leads.
  const Assignment& polled(uint32_t replica, uint64_t incarnation);

  // --- The replicas that live now.
  void lives(uint32_t replica, ToyReplica& object) { live_[replica] = &object; }
  void gone(uint32_t replica) { live_.erase(replica); }
  const std::map<uint32_t, ToyReplica*>& live() const { return live_; }
  // Shows each to the judge.
  void look();

  // --- The clients.
  uint64_t new_payload() { return ++payloads_; }
  bool load_over = false;     // producers end with their next acknowledgement
  uint32_t producers = 0;     // that have not ended
  uint64_t acknowledged = 0;  // records

 private:
  uint32_t size_;
  ToyBug bug_;
  ReplicaChecker checker_;
  Assignment assignment_;
  std::map<uint32_t, uint64_t> incarnations_;
  std::map<uint32_t, ToyReplica*> live_;
  uint64_t payloads_ = 0;
};

// Programs of the hosts.
reactor::Task<void> run_toy_replica(reactor::Core& core, ToyCluster& cluster, uint32_t replica);
reactor::Task<void> run_toy_coordinator(reactor::Core& core, ToyCluster& cluster);
// `producers` that send until the load is over, and as many readers, for ever.
reactor::Task<void> run_toy_clients(reactor::Core& core, ToyCluster& cluster, uint32_t producers);

}  // namespace posthaste::rig
