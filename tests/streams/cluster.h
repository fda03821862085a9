// A cluster whose metadata is the tests' own: a coordinator that names leaders, terms and in-sync sets, is asked by the
// cores of the brokers again and again, and grants or refuses the in-sync sets that leaders ask for, as a controller
// does (replication/metadata/isr_changes.h). What stands still or is cut off goes on in the term that it knew. Beside
// it the judges, and what main and clients share. Messages say which request or answer they are; what is in it lies
// here.
//
// It gives out broker epochs; who comes with another disk is out of every in-sync set until its leader has seen it
// catch up. A set never shrinks below kInSyncMin by a leader's wish, so that one disk may be lost at a time.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "reactor/program.h"
#include "reactor/simulated/random.h"
#include "replication/isr_rules.h"
#include "storage/bytes/bytes.h"
#include "tests/rig/replica_checker.h"

namespace posthaste::streams {

class Node;
struct NodeLife;

inline constexpr size_t kInSyncMin = 2;
inline constexpr const char* kCoordinatorAddress = "10.0.1.1:7000";
inline std::string node_ip(uint32_t node) { return "10.0.0." + std::to_string(node + 1); }
// Where the clients of one core of a broker ask.
inline std::string client_address(uint32_t node, uint32_t core) {
  return node_ip(node) + ":" + std::to_string(7000 + core);
}

struct Assignment {
  int32_t leader_epoch = -1;
  uint32_t leader = 0;
  int64_t leader_broker_epoch = -1;
  int32_t partition_epoch = 0;
  std::map<uint32_t, int64_t> in_sync;  // broker -> broker epoch
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

struct Poll {
  uint32_t node = 0;
  uint64_t incarnation = 0;
  uint64_t disk = 0;
  uint64_t request = 0;  // 0: none
};

class Cluster {
 public:
  Cluster(reactor::simulated::Random& random, uint32_t nodes, uint32_t partitions);

  uint32_t nodes() const { return nodes_; }
  // Of a broker's machine: brokers have different numbers, and a partition is anywhere.
  uint32_t cores(uint32_t node) const { return cores_[node]; }
  uint32_t core_of(uint32_t node, uint32_t partition) const { return placed_[node][partition]; }
  uint32_t partitions() const { return static_cast<uint32_t>(assignments_.size()); }

  // --- The coordinator.
  struct Answer {
    int64_t broker_epoch = -1;  // below 0: the incarnation is over
    std::vector<Assignment> assignments;
    std::map<uint32_t, int64_t> broker_epochs;
    std::vector<replication::IsrChangeResult> results;
  };
  // What messages speak of, by number.
  uint64_t keep(replication::AlterIsrRequest request) {
    requests_[++kept_] = std::move(request);
    return kept_;
  }
  uint64_t keep(Answer answer) {
    answers_[++kept_] = std::move(answer);
    return kept_;
  }
  Answer answer(uint64_t number) { return answers_[number]; }
  Answer polled(const Poll& poll, reactor::Duration now);
  // Another leader, any of the in-sync set: all hold what is committed.
  void elect(uint32_t partition);
  // Of partitions whose leader has not been heard of for long.
  void replace_silent(reactor::Duration now);
  const Assignment& assignment(uint32_t partition) const { return assignments_[partition]; }

  // --- Disks.
  // Whether all that is committed is on another disk too.
  bool may_wipe(uint32_t node) const;
  void wiped(uint32_t node);
  uint64_t disk_of(uint32_t node) const { return disks_[node]; }

  // --- Who lives.
  // The cores of one life of a broker share it; it goes with their frames.
  std::shared_ptr<NodeLife> life_of(uint32_t id, reactor::Core& core);
  void lives(uint32_t id, uint32_t core, Node& node) { live_[{id, core}] = &node; }
  void gone(uint32_t id, uint32_t core) { live_.erase({id, core}); }
  // The core of a broker that has its replica of a partition; null if it does not run, or has not begun.
  Node* node_of(uint32_t id, uint32_t partition) const;
  bool all_live() const;
  // All leaders against the members of the sets that they count. Outside of the hosts' turns.
  void look();

  rig::ReplicaChecker& checker(uint32_t partition) { return checkers_[partition]; }
  std::optional<std::string> violated() const;

  // --- Clients.
  uint64_t new_payload() { return ++payloads_; }
  bool load_over = false;     // producers end with their next acknowledgement
  uint32_t producers = 0;     // that have not ended
  uint64_t acknowledged = 0;  // batches
  bool deletes = false;       // leaders delete the oldest records now and then

  // --- What happened.
  uint64_t cuts = 0;
  uint64_t resets = 0;
  uint64_t fuses = 0;
  uint64_t bytes = 0;
  uint64_t far = 0;    // partitions that a follower went to catch up with
  uint64_t close = 0;  // and had caught up with
  uint64_t wipes = 0;
  uint64_t joins = 0;
  uint64_t leaves = 0;
  uint64_t refusals = 0;  // of in-sync sets
  uint64_t moves = 0;     // partitions that were found on another core of their leader's

 private:
  struct Known {
    uint64_t incarnation = 0;
    uint64_t disk = 0;
    int64_t broker_epoch = -1;
    reactor::Duration heard_at{};
  };
  void register_again(const Poll& poll);
  replication::IsrChangeResult decide(const Poll& poll, const replication::IsrChange& change);
  void grant(Assignment& assignment, const replication::IsrChange& change);

  reactor::simulated::Random& random_;
  uint32_t nodes_;
  std::vector<Assignment> assignments_;
  std::vector<rig::ReplicaChecker> checkers_;
  std::map<uint32_t, Known> known_;
  std::set<uint64_t> over_;  // incarnations
  std::vector<uint64_t> disks_;
  int64_t broker_epochs_ = 0;
  std::map<std::pair<uint32_t, uint32_t>, Node*> live_;
  std::map<uint32_t, std::weak_ptr<NodeLife>> lives_;
  std::vector<uint32_t> cores_;
  std::vector<std::vector<uint32_t>> placed_;  // node -> partition -> core
  std::map<uint64_t, replication::AlterIsrRequest> requests_;
  std::map<uint64_t, Answer> answers_;
  uint64_t kept_ = 0;
  uint64_t payloads_ = 0;
};

// The batch that is produced for a payload, and what both clients and the judge know it by.
storage::Bytes batch_of(uint64_t payload);
uint64_t hash_of(storage::ByteView batch);

// Programs of the hosts.
reactor::Task<void> run_node(reactor::Core& core, Cluster& cluster, uint32_t id, std::shared_ptr<NodeLife> life);
reactor::Task<void> run_coordinator(reactor::Core& core, Cluster& cluster);
// `producers` that send until the load is over, and as many readers, for ever.
reactor::Task<void> run_clients(reactor::Core& core, Cluster& cluster, uint32_t producers);

}  // namespace posthaste::streams
