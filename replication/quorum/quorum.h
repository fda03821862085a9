// One member of the quorum of the metadata log: Raft in the shape of Kafka's KRaft, where followers fetch. A pure state
// machine: step(event, now) changes it and returns what is to be done. It does no I/O, reads no clock, draws no random
// numbers of its own and knows neither records nor connections. docs/quorum.md states messages and invariants.
//
// Every message that it sends waits for the vote to be durable, a fetch also for the log: what was said is on disk.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "replication/quorum/events.h"
#include "replication/quorum/log_view.h"

namespace posthaste::replication::quorum {

// What a leader knows of who fetches from it.
struct Progress {
  Offset match = kNoOffset;  // durable there, and equal to the leader's log
  reactor::Instant last_fetch;
  // A fetch without news waits until this; never: none does.
  reactor::Instant parked_until = reactor::Instant::never();
  LogPosition parked_end;
  reactor::Instant last_counted;  // the last fetch for which it is counted as heard
  // Its disk may have lied: it is not counted, for nothing.
  bool is_unverified = false;
  reactor::Instant unverified_since;
};

// A leader forgets the one silent longest beyond this many.
inline constexpr size_t kProgressMax = 1000;
// A leader takes no more before some of it is committed: what a failover may cut, and what a follower may have to
// fetch.
inline constexpr Offset kUncommittedMax = 100'000;
// The same for writes of its own disk.
inline constexpr size_t kWritesUnderWayMax = 1000;

// What a member finds at its start. The log is told batch by batch (Quorum::recovered).
struct Recovered {
  ReplicaKey self;
  Vote vote;
  SnapshotId snapshot;  // offset 0: none
  VoterSet voters;      // of the snapshot; without one those that the operator named, or none
  // The machine went down without an orderly stop: if its disk lied about a flush, something may be missing.
  bool is_unverified = false;
};

class Quorum {
 public:
  using RandomBelow = std::function<uint64_t(uint64_t bound)>;  // 0 .. bound-1

  Quorum(Options options, const Recovered& found, RandomBelow random);
  // The log that was found, in order, before the first event.
  void recovered(const Batch& batch) { log_.recovered(batch); }
  // The first event.
  Actions start(reactor::Instant now);

  // What follows from `event`. `now` never falls. What has become due by then comes first.
  Actions step(const Event& event, reactor::Instant now);
  // When TimerFired is due.
  reactor::Instant deadline() const;

  Role role() const { return role_; }
  Epoch epoch() const { return vote_.epoch; }
  NodeId leader() const { return leader_; }
  const ReplicaKey& self() const { return self_; }
  const LogView& log() const { return log_; }
  Offset high_watermark() const { return high_watermark_; }
  bool is_unverified() const { return is_unverified_; }
  bool is_voter() const { return voters().contains(self_); }
  bool is_lone_voter() const { return is_voter() && voters().size() == 1; }
  const VoterSet& voters() const { return log_.voters().latest(); }
  // What a snapshot that ends there must hold. At most the high watermark, at least the log's start.
  VoterSet voters_at(Offset end) const;
  // A leader that has committed in its own epoch: nobody who was elected before can have committed more.
  bool has_committed_in_epoch() const { return role_ == Role::kLeader && high_watermark_ > epoch_start_; }
  const std::map<ReplicaKey, Progress>& progress() const { return progress_; }
  // Why AppendRequested would be refused, as things stand after a step; kNone: it would not.
  Refusal why_no_append() const;
  // Who voted for this leader, itself included. For the record that begins its epoch.
  const VoterSet& elected_by() const { return elected_by_; }

 private:
  // quorum.cc: what all roles share.
  void handle(const Received& event);
  void handle(const VotePersisted& event);
  void handle(const LogPersisted& event);
  void handle(const TimerFired&) {}
  void handle(const ConnectionLost& event);
  void handle(const AppendRequested& event);
  void handle(const AddVoterRequested& event);
  void handle(const RemoveVoterRequested& event);
  void handle(const ResignRequested& event);
  void handle(const SnapshotWritten& event);
  void handle(const SnapshotInstalled& event);
  void handle(const SnapshotFailed& event);
  void fire_due();
  void set_vote(const Vote& vote);
  void enter(Role role, NodeId leader);
  void become_unattached(Epoch epoch);
  void become_follower(Epoch epoch, NodeId leader);
  // True if `epoch` is over, or if nothing of the message counts any more.
  bool is_old(Epoch epoch) const { return epoch < vote_.epoch; }
  void learn(Epoch epoch, NodeId leader);
  void send(NodeId to, Message message);
  void advance_high_watermark(Offset to);
  reactor::Instant in(reactor::Duration duration) const { return now_ + duration; }
  reactor::Duration random_up_to(reactor::Duration most);
  reactor::Duration random_election_timeout();

  // election.cc
  bool can_stand() const;
  bool hears_leader() const;
  // What others are told: hearsay of a leader that is gone must not go round.
  NodeId heard_leader_or_nobody() const { return hears_leader() ? leader_ : kNobody; }
  void start_prospective();
  void start_candidate();
  void ask_for_votes(bool is_pre_vote);
  void count_vote(const ReplicaKey& voter);
  void election_timed_out();
  void stand_soon(reactor::Duration at_most, reactor::Duration at_least = {});
  bool grants(const VoteRequest& request) const;
  void on(NodeId from, const VoteRequest& request);
  void on(NodeId from, const VoteResponse& response);
  void on(NodeId from, const EndEpochRequest& request);

  // follower.cc
  void fetch();
  void look_for_leader();
  void on(NodeId from, const BeginEpochRequest& request);
  void on(NodeId from, const BeginEpochResponse& response);
  void on(NodeId from, const FetchResponse& response);
  void on(NodeId from, const FetchSnapshotResponse& response);
  bool comes_from_leader(NodeId from, Epoch epoch, NodeId leader, FetchError error);
  void heard_leader();
  void take_batches(const FetchResponse& response);
  void cut(LogPosition leaders);
  void fetch_snapshot();

  // leader.cc
  void become_leader();
  void resign();
  void append(Batch batch);
  void on(NodeId from, const FetchRequest& request);
  void on(NodeId from, const FetchSnapshotRequest& request);
  Progress& touch(const ReplicaKey& replica);
  FetchResponse answer_to(const LogPosition& fetched, const Progress& progress) const;
  void answer_parked(bool all);
  void advance_as_leader();
  Offset majority_holds() const;
  reactor::Instant majority_heard_at() const;
  void call_silent_voters();
  reactor::Instant leader_deadline() const;
  void leader_due();

  // membership.cc
  Refusal why_no_change() const;
  bool is_fetching(const Progress& progress) const;
  bool majority_fetches(const VoterSet& voters) const;
  void change_voters(VoterSet voters);
  void answer(Refusal refusal, Offset end_offset = 0);

  // verification.cc
  void note_state(const ReplicaKey& voter, NodeId id, bool is_unverified);
  void verify_if_caught_up();
  void verification_due();
  void trust();

  const Options options_;
  const ReplicaKey self_;
  const RandomBelow random_;
  reactor::Instant now_;
  Actions actions_;

  // On disk, or on the way there.
  Vote vote_;
  uint64_t vote_writes_ = 0;
  uint64_t vote_writes_done_ = 0;
  LogView log_;

  Role role_ = Role::kUnattached;
  NodeId leader_ = kNobody;
  Offset high_watermark_ = 0;

  // Everybody but a leader.
  reactor::Instant election_at_ = reactor::Instant::never();  // of a follower: no answer by then, and it stands
  reactor::Instant fetch_at_ = reactor::Instant::never();     // the next request, or its repetition
  bool has_heard_leader_ = false;  // a follower: from the leader itself, which has not refused a connection since

  // Prospective and candidate.
  std::set<ReplicaKey> granted_;

  // A follower that fetches a snapshot.
  std::optional<SnapshotId> fetching_;
  uint64_t snapshot_position_ = 0;
  bool is_installing_ = false;

  // A leader.
  Offset epoch_start_ = 0;
  VoterSet elected_by_;
  std::map<ReplicaKey, Progress> progress_;
  reactor::Instant call_at_ = reactor::Instant::never();

  // A voter whose disk may have lied.
  bool is_unverified_ = false;
  Offset verify_at_ = kNoOffset;  // caught up with its leader when durable up to here
  reactor::Instant trust_if_all_at_ = reactor::Instant::never();
  reactor::Instant trust_at_ = reactor::Instant::never();
  std::map<NodeId, reactor::Instant> verified_peers_;  // heard of since the start: they can elect without this one
};

}  // namespace posthaste::replication::quorum
