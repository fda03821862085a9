// One broker of the tests' cluster: a real store, a replica of each partition, and the real streams to and from the
// others. node.cc: its roles, as the coordinator says them, and whom it counts; node_clients.cc: what it tells clients;
// node_log.cc: what it shows the judge. One core.
#pragma once
#include <memory>
#include <vector>

#include "reactor/scope.h"
#include "replication/stream/follower_stream.h"
#include "replication/stream/leader_stream.h"
#include "tests/rig/toy_connection.h"
#include "tests/streams/cluster.h"

namespace posthaste::streams {

class Node final : private replication::stream::LeaderHooks {
 public:
  // `store` outlives it: what a life leaves half done speaks of the store when it is thrown away.
  Node(reactor::Core& core, Cluster& cluster, uint32_t id, storage::EngineHost& store);
  ~Node() override;

  reactor::Task<void> run();

  // For the judge: positions without the log, and whom a leader counts.
  reactor::TaskScope& tasks() { return tasks_; }
  bool is_open() const { return is_open_; }
  int64_t broker_epoch() const { return us_.broker_epoch; }
  rig::ReplicaState positions(uint32_t partition) const;
  const std::map<uint32_t, int64_t>& counts(uint32_t partition) const { return partitions_[partition].counted; }
  // Everything of a partition is on the disks of all, and said to be.
  bool is_quiet(uint32_t partition, int64_t end) const;
  // All of a log, for the end of a run.
  reactor::Task<void> read_all(uint32_t partition, std::vector<rig::ReplicaRecord>& into);

 private:
  struct Follower {
    replication::stream::FollowerProgress progress;
    reactor::Instant caught_up_at;
  };
  // A log as the judge sees it, brought up to date at each look.
  struct View {
    std::vector<rig::ReplicaRecord> records;
    int64_t read_to = 0;
    uint64_t changes = 0;  // cuts and resets, when it was read
  };
  struct Partition {
    replication::Replica* replica = nullptr;
    Assignment assignment;
    std::map<uint32_t, int64_t> counted;  // as leader: the in-sync set, and who is to join it
    std::map<uint32_t, Follower> followers;
    View view;
  };

  // replication::stream::LeaderHooks
  replication::Replica* find(const storage::TopicId& topic, int32_t partition) override;
  int32_t leader_of(const storage::TopicId& topic, int32_t partition) override;
  void progressed(replication::Replica& replica, const replication::stream::FollowerProgress& progress) override;

  // --- Roles.
  reactor::Task<void> open();
  reactor::Task<void> poll_loop();
  reactor::Task<bool> poll(rig::ToyConnection& connection);
  reactor::Task<void> assigned(const rig::ToyMessage& message);
  void registered(int64_t broker_epoch);
  reactor::Task<void> take_role(Partition& partition, Assignment next);
  bool leads(const Partition& partition) const;
  replication::InSyncSet in_sync_set(const Partition& partition) const;
  std::vector<Wish> wishes();
  void wish_joins(uint32_t number, std::vector<Wish>& wishes);
  void wish_leaves(uint32_t number, std::vector<Wish>& wishes);
  reactor::Task<void> accept_peers(reactor::Socket listener);
  reactor::Task<void> serve_peer(reactor::Socket socket);
  replication::stream::FollowerStream& stream_to(uint32_t node);
  uint64_t changes() const;

  // --- Clients.
  reactor::Task<void> accept_clients(reactor::Socket listener);
  reactor::Task<void> serve(reactor::Socket socket);
  reactor::Task<rig::ToyMessage> produce(uint64_t payload, uint32_t partition);
  reactor::Task<rig::ToyMessage> read(uint32_t partition, int64_t offset);
  reactor::Task<void> delete_now_and_then();
  rig::ToyMessage refusal(uint32_t partition) const;

  // --- The judge.
  reactor::Task<void> look_loop();
  reactor::Task<bool> catch_up(storage::Partition& log, View& view);
  void count_stats();

  reactor::Core& core_;
  Cluster& cluster_;
  const uint32_t id_;
  storage::EngineHost& store_;
  const uint64_t incarnation_;
  bool is_open_ = false;
  uint64_t polls_ = 0;
  reactor::Duration lag_max_;
  replication::stream::LocalBroker us_;
  replication::stream::StreamShared shared_;
  storage::Engine* engine_ = nullptr;
  std::vector<Partition> partitions_;
  std::map<uint32_t, std::unique_ptr<replication::stream::FollowerStream>> streams_;
  replication::stream::FollowerStats counted_stats_;
  reactor::TaskScope tasks_;  // goes first
};

}  // namespace posthaste::streams
