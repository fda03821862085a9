// What stands between the metadata image and the streams, one on each core: is told what the image says of the replicas
// on its core and of other brokers, gives each replica its role, has its leader's log followed or its followers served,
// and keeps the in-sync sets of what is led here (isr_keeper.h). Owner core only. It reads no image: the broker does,
// and hands on what has changed (docs/replication.md). It listens nowhere and asks no controller.
//
// Bounded by the replicas of the core and by the peers' cores: one connection served for each of those and each class.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/isr_keeper.h"
#include "replication/stream/follower_stream.h"
#include "replication/stream/leader_stream.h"

namespace posthaste::replication::stream {

// What the image says of this broker's replica of a partition: kLeader only for this broker's own life (`term`).
struct ReplicaAssignment {
  Role role = Role::kNone;
  Term term;                   // the leader's
  int32_t leader = -1;         // whom a follower follows
  bool is_recovering = false;  // its leader may lack what was committed
  LedPartition led;            // a leader's
  friend bool operator==(const ReplicaAssignment&, const ReplicaAssignment&) = default;
};

// What the manager asks of its broker. On its core.
class ReplicaManagerHooks {
 public:
  ReplicaManagerHooks() = default;
  ReplicaManagerHooks(const ReplicaManagerHooks&) = delete;
  ReplicaManagerHooks& operator=(const ReplicaManagerHooks&) = delete;
  virtual ~ReplicaManagerHooks() = default;
  // As LeaderHooks': of partitions that are not on this core.
  virtual int32_t leader_of(const storage::TopicId& topic, int32_t partition) = 0;
  virtual int32_t core_of(const storage::TopicId& topic, int32_t partition) = 0;
  // isr().take_request() may have something, or an earlier deadline.
  virtual void isr_changes_due() = 0;
};

class ReplicaManager final : private LeaderHooks, private IsrHooks, private reactor::CoreOwned {
 public:
  // `us.broker_epoch` may be open until registered().
  ReplicaManager(StreamShared& shared, storage::Engine& engine, LocalBroker us, ReplicaManagerHooks& hooks,
                 const IsrTimes& times = {});
  ~ReplicaManager() override;

  // Once, before anything is assigned.
  void registered(int64_t broker_epoch);
  const LocalBroker& us() const { return us_; }

  // --- The image: brokers first, then the partitions of this core that differ.
  // Nothing of `life`: it is not registered. Connections of its life before end. `address`: of its listener between
  // brokers; empty: not known.
  void broker_changed(int32_t broker, std::optional<BrokerLife> life, std::string address);
  // Takes the place of what was assigned before; returns at once. As a rule it is so when it returns; a replica that
  // follows is let go first, and if more is assigned meanwhile, the newest is what it becomes.
  void assign(Replica& replica, ReplicaAssignment assignment);
  // It is going away. When this returns nothing here knows it, and it has no role.
  reactor::Task<void> release(Replica& replica);

  // --- Peers.
  // A follower's connection, whose OPEN was heard (stream_acceptor.h). Closed if it is of a life that is over, or this
  // broker is not registered. One for each core of the peer and class: a newer one ends the older one.
  void serve(reactor::Socket socket, Open open);

  IsrKeeper& isr() { return isr_; }
  // Null: nothing was ever followed from it.
  const FollowerStream* stream_to(int32_t broker) const;
  FollowerStats follower_stats() const;
  // Before it goes away: all connections end, nothing is followed or served.
  reactor::Task<void> stop();

 private:
  struct Managed {
    Replica* replica = nullptr;
    ReplicaAssignment wanted;
    int32_t follows = -1;  // the peer by whose stream it is followed
    bool is_led = false;   // the keeper has it
    bool is_changing = false;
    bool is_leaving = false;  // release() waits
  };
  struct Peer {
    std::optional<BrokerLife> life;
    std::string address;
    std::unique_ptr<FollowerStream> stream;  // once something was followed from it
  };
  static PartitionKey key_of(Replica& replica);

  // LeaderHooks
  Replica* find(const storage::TopicId& topic, int32_t partition) override;
  int32_t leader_of(const storage::TopicId& topic, int32_t partition) override;
  int32_t core_of(const storage::TopicId& topic, int32_t partition) override;
  void progressed(Replica& replica, const FollowerProgress& progress) override;
  // IsrHooks
  LeaderLog log_of(const PartitionKey& key) override;
  void in_sync_changed(const PartitionKey& key) override;
  void isr_changes_due() override { hooks_.isr_changes_due(); }

  bool goes_on(const Managed& managed) const;
  reactor::Task<void> change(Managed& managed);
  reactor::Task<void> let_go(Managed& managed);
  void take_role(Managed& managed);
  void lead_no_more(Managed& managed);
  FollowerStream& stream_of(int32_t broker);
  reactor::Task<void> run_stream(std::unique_ptr<LeaderStream>& stream);
  reactor::Task<void> refuse(reactor::Socket socket);

  StreamShared& shared_;
  reactor::Core& core_;
  storage::Engine& engine_;
  LocalBroker us_;
  ReplicaManagerHooks& hooks_;
  IsrKeeper isr_;
  std::map<PartitionKey, Managed> managed_;
  std::map<int32_t, Peer> peers_;
  std::list<std::unique_ptr<LeaderStream>> served_;
  bool is_over_ = false;
  reactor::Event changed_;  // a change has ended
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::stream
