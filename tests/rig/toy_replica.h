// One replica of the toy cluster: follows the leader that the coordinator names, or leads itself. toy_replica.cc: its
// role, and what it tells clients; toy_streams.cc: the messages between leader and followers. One core.
#pragma once
#include <map>
#include <vector>

#include "tests/rig/toy_cluster.h"
#include "tests/rig/toy_connection.h"
#include "tests/rig/toy_log.h"

namespace posthaste::rig {

class ToyReplica {
 public:
  ToyReplica(reactor::Core& core, ToyCluster& cluster, uint32_t id);
  ~ToyReplica();
  ToyReplica(const ToyReplica&) = delete;
  ToyReplica& operator=(const ToyReplica&) = delete;

  reactor::Task<void> run();
  // For the judge.
  ReplicaState state() const;
  bool ready() const { return ready_; }  // it has its log
  // As leader: this replica must hold what is committed.
  bool counts(uint32_t replica) const { return assignment_.members.contains(replica); }

 private:
  // A produce that waits until its record is committed. Lives in the frame of the waiting coroutine.
  struct Waiter {
    int64_t offset = 0;
    bool committed = false;
    bool failed = false;
  };

  // --- Role. A change of role is one step, without waiting in between.
  reactor::Task<void> poll_loop();
  reactor::Task<void> poll_on(ToyConnection& connection);
  void assigned(const ToyMessage& message);
  void become(Assignment next);
  bool leads() const;
  bool leads_in(int32_t term) const { return leads() && assignment_.term == term; }
  bool follows_in(int32_t term) const { return ready_ && !leads() && assignment_.term == term; }
  void raise_high_watermark(int64_t to);
  void commit();  // as leader: what all members hold durably

  // --- Clients.
  reactor::Task<void> accept_loop(reactor::Socket listener);
  reactor::Task<void> serve(reactor::Socket socket);
  reactor::Task<bool> serve_produce(ToyConnection& connection, uint64_t payload);
  reactor::Task<bool> serve_read(ToyConnection& connection, int64_t offset);
  ToyMessage refusal() const;

  // --- Streams.
  reactor::Task<void> flushed_loop();
  reactor::Task<void> lead_stream(ToyConnection& connection, ToyMessage subscription);
  reactor::Task<void> send_records(ToyConnection& connection, int32_t term, int64_t next);
  int64_t agreed_end(const ToyMessage& subscription) const;
  void progress_came(const ToyMessage& progress, uint32_t follower);
  reactor::Task<void> follow_loop();
  reactor::Task<void> follow(ToyConnection& connection, int32_t term);
  reactor::Task<void> receive_records(ToyConnection& connection, int32_t term);
  reactor::Task<void> send_progress(ToyConnection& connection, int32_t term, const reactor::Event& over);
  ToyMessage subscription(int32_t term) const;
  void records_came(const ToyMessage& message);

  reactor::Core& core_;
  ToyCluster& cluster_;
  uint32_t id_;
  uint64_t incarnation_;
  bool ready_ = false;  // the log is open
  ToyLog log_;
  Assignment assignment_;
  int64_t high_watermark_ = 0;
  std::map<uint32_t, int64_t> progress_;  // as leader: how far each follower is
  std::vector<Waiter*> waiters_;
  reactor::Event changed_;  // role, end, durable, high watermark
  reactor::Event heard_;    // as follower: something came from the leader
};

}  // namespace posthaste::rig
