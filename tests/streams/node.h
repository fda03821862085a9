// One core of a broker of the tests' cluster: a real store, a replica of each partition that is on this core, and what
// a broker has to give them their roles, have their leaders' logs followed and keep their in-sync sets. node.cc: what
// the coordinator says and is asked; node_clients.cc: what it tells clients; node_log.cc: what it shows the judge.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "reactor/scope.h"
#include "replication/stream/replica_manager.h"
#include "tests/rig/toy_connection.h"
#include "tests/streams/cluster.h"

namespace posthaste::streams {

// What the cores of one life of a broker share. In the simulator one thread runs all of them.
struct NodeLife {
  explicit NodeLife(reactor::Core& core);

  const uint64_t incarnation;
  const uint64_t draw;  // for limits
  storage::EngineHost store;
  bool is_recovered = false;
  std::vector<Node*> nodes;  // by core; null: not there
};

class Node final : private replication::stream::ReplicaManagerHooks {
 public:
  // `life` outlives it: what a life leaves half done speaks of the store when it is thrown away.
  Node(reactor::Core& core, Cluster& cluster, uint32_t id, NodeLife& life);
  ~Node() override;

  reactor::Task<void> run();

  // For the judge: positions without the log, and whom a leader counts, with their broker epochs.
  reactor::TaskScope& tasks() { return tasks_; }
  bool is_open() const { return manager_.has_value(); }
  int64_t broker_epoch() const { return manager_ ? manager_->us().broker_epoch : -1; }
  rig::ReplicaState positions(uint32_t partition) const;
  std::map<uint32_t, int64_t> counts(uint32_t partition);
  // Everything of a partition is on the disks of all, and said to be.
  bool is_quiet(uint32_t partition, int64_t end) const;
  // All of a log, for the end of a run.
  reactor::Task<void> read_all(uint32_t partition, std::vector<rig::ReplicaRecord>& into);

 private:
  // A log as the judge sees it, brought up to date at each look.
  struct View {
    std::vector<rig::ReplicaRecord> records;
    int64_t read_to = 0;
    uint64_t changes = 0;  // cuts and resets, when it was read
  };
  struct Partition {
    replication::Replica* replica = nullptr;  // null: it is on another core
    std::optional<Assignment> assignment;
    View view;
  };

  // replication::stream::ReplicaManagerHooks
  int32_t leader_of(const storage::TopicId& topic, int32_t partition) override;
  int32_t core_of(const storage::TopicId& topic, int32_t partition) override;
  void isr_changes_due() override {}  // each poll asks

  // --- The coordinator.
  reactor::Task<void> open();
  reactor::Task<void> open_partition(uint32_t number);
  reactor::Task<void> poll_loop();
  reactor::Task<bool> poll(rig::ToyConnection& connection);
  void assigned(const Cluster::Answer& answer);
  replication::stream::ReplicaAssignment role_of(const Assignment& assignment) const;
  reactor::Task<void> accept_peers(reactor::Socket listener);
  void serve_peer(reactor::Socket socket, replication::stream::Open open);

  // --- Clients.
  reactor::Task<void> accept_clients(reactor::Socket listener);
  reactor::Task<void> serve(reactor::Socket socket);
  reactor::Task<rig::ToyMessage> produce(uint64_t payload, uint32_t partition);
  reactor::Task<rig::ToyMessage> read(uint32_t partition, int64_t offset);
  reactor::Task<void> delete_now_and_then();
  rig::ToyMessage refusal(uint32_t partition) const;

  // --- The judge.
  uint64_t changes() const;
  reactor::Task<void> look_loop();
  reactor::Task<bool> catch_up(storage::Partition& log, View& view);
  void count_stats();

  reactor::Core& core_;
  Cluster& cluster_;
  const uint32_t id_;
  NodeLife& life_;
  replication::stream::StreamShared shared_;
  storage::Engine* engine_ = nullptr;
  std::vector<Partition> partitions_;
  std::optional<replication::stream::ReplicaManager> manager_;  // once the store is open
  replication::stream::FollowerStats counted_stats_;
  reactor::TaskScope tasks_;  // goes first
};

}  // namespace posthaste::streams
