// Runs a Quorum on a core: gives it what happens (messages, timers, writes that are durable) and does what it wants
// done: votes to the vote file, batches to a partition's log, snapshots to their store, messages to a transport, each
// not before what it speaks of is on disk. docs/quorum.md states what it owes. It does not know what records say, who
// applies them, or how members are reached.
#pragma once
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "replication/quorum/answers.h"
#include "replication/quorum/log_scan.h"
#include "replication/quorum/log_writer.h"
#include "replication/quorum/outbox.h"
#include "replication/quorum/quorum.h"
#include "replication/quorum/vote_file.h"

namespace posthaste::replication::quorum {

// Whose log it is. Called on the log's core, in steps of the driver: it must not call the driver, but may wake who
// will.
class LogUser {
 public:
  LogUser() = default;
  LogUser(const LogUser&) = delete;
  LogUser& operator=(const LogUser&) = delete;
  virtual ~LogUser() = default;

  // Everything below is agreed on, for ever. It never falls within a life. What of it is not here yet, or not durable
  // here, will be.
  virtual void committed(Offset high_watermark) = 0;
  virtual void role_changed(const RoleChanged& now) = 0;
  // A leader's snapshot stands for everything below its end now; the log begins there.
  virtual void snapshot_installed(SnapshotId id) = 0;
  // This member takes no more part: its disk has failed, or says what cannot be. Nothing else is told afterwards.
  virtual void failed(reactor::Errc error) = 0;
};

struct DriverOptions {
  ReplicaKey self;
  std::string folder;  // of the vote file
  // Who votes as long as neither the log nor a snapshot says so; of others, none.
  VoterSet first_voters;
  // The machine went down without an orderly stop since the folder was written last.
  bool is_unverified = false;
  Options quorum;
};

// The log's core. Everything that is given to it outlives it; stop() must be awaited before it goes away.
class Driver final : private LogWriterUser, private reactor::CoreOwned {
 public:
  struct Parts {
    storage::Engine& engine;
    storage::Partition& log;
    SnapshotStore& snapshots;
    Transport& transport;
    LogUser& user;
  };
  // What has become of an append. Base offset kNoOffset: it is not in the log and never will be. Else, with an error:
  // whether it stays is in doubt.
  struct Appended {
    reactor::Result<void> result;
    Offset base_offset = kNoOffset;
  };
  struct Changed {
    Refusal refusal = Refusal::kNone;
    reactor::Result<void> result;  // with kNone: an error means that it is in doubt
  };

  Driver(const Parts& parts, DriverOptions options);
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Finds out what this folder has voted and holds, and takes part from then on. Once. `found` (log_scan.h) may be
  // empty. On error `why` says what is wrong, for people: kCorrupt, kUnsupported, kNotFound: of the vote file; kDamaged
  // and others: of the log.
  reactor::Task<reactor::Result<void>> start(std::string& why, FoundBatch found = {});

  void received(NodeId from, PeerMessage message);
  // As ConnectionLost.
  void connection_lost(NodeId peer, bool is_refused);

  // Appends one record batch, whose offsets and epoch are set here, and returns when it is committed. Batches of calls
  // that wait for room may overtake each other. Not in the log: kNotFound: this member does not lead; kNoMemory: there
  // was no room until `patience_ends`; kNoSpace, kTooLarge and others as Partition::append; kDamaged: it has failed.
  // In doubt: kCancelled: it leads no more; kDamaged, kStopping.
  reactor::Task<Appended> append(storage::Bytes batch, reactor::Instant patience_ends);
  // Return when the change is committed, or why it is not made.
  reactor::Task<Changed> add_voter(ReplicaKey voter) { return change(AddVoterRequested{voter}); }
  reactor::Task<Changed> remove_voter(ReplicaKey voter) { return change(RemoveVoterRequested{voter}); }
  // A leader lets the others elect at once: before an orderly stop.
  void resign();
  // The user's snapshot of what is committed, up to where the log is durable here, is durable; with
  // voters_at(id.offset).
  void snapshot_written(SnapshotId id);

  // Ends in order; who waits for a commit is told that it is in doubt.
  reactor::Task<void> stop();

  // What the quorum knows. After start().
  const Quorum& quorum() const { return check_core(), *quorum_; }
  bool has_failed() const { return has_failed_; }

 private:
  struct Wakeup : reactor::Timer {
    Wakeup(reactor::Core& core, Driver& of) : Timer(core), driver(of) {}
    Driver& driver;
  };
  // The body of a batch that the log holds already. Of others: 0, or where in the payload of a message it begins,
  // from 1.
  static constexpr uint64_t kIsInLog = UINT64_MAX;
  // Who waits until `end` is committed by the leader that appended it.
  struct Waiting {
    explicit Waiting(reactor::Core& core) : finished(core) {}
    Offset end = 0;
    reactor::Event finished;
    reactor::Result<void> result;
  };

  // LogWriterUser
  void log_written(uint64_t number) override;
  void snapshot_installed(const StoredSnapshot& snapshot) override;
  void snapshot_failed(SnapshotId id, reactor::Errc error) override;
  void log_is_as_asked() override;
  void log_failed(reactor::Errc error) override { fail("log", error); }

  // driver_start.cc
  reactor::Task<reactor::Result<void>> open_vote_file(std::string& why);
  reactor::Task<reactor::Result<void>> make_vote_file(std::string& why);

  // driver.cc
  bool is_running() const { return quorum_.has_value() && !has_failed_ && !stopping_; }
  bool leads_in(Epoch epoch) const;
  void step(const Event& event);
  void finish_step();
  void carry_out(Actions actions);
  void act(Send& action);
  void act(PersistVote& action);
  void act(AppendLog& action);
  void act(TruncateLog& action);
  void act(WriteSnapshotPiece& action);
  void act(InstallSnapshot& action);
  void act(TrimLog& action);
  void act(Committed& action);
  void act(RoleChanged& action);
  void act(RequestAnswered& action) { answered_ = action; }
  void act(AlarmRaised& action);
  void send_ready();
  void tell_committed();
  storage::Bytes fetched_bytes(std::span<const Batch> batches);
  reactor::Task<void> write_votes();
  reactor::Task<void> trim();
  void fail(std::string_view what, reactor::Errc error);

  // driver_requests.cc
  reactor::Task<reactor::Result<void>> wait_for_room(reactor::Errc error, reactor::Instant patience_ends);
  reactor::Result<storage::AppendResult> append_now(storage::MutableBytes batch);
  reactor::Task<reactor::Result<void>> wait_committed(Offset end);
  reactor::Task<Changed> change(Event request);
  void finish_waiting(Offset up_to, const reactor::Result<void>& result);

  reactor::Core& core_;
  storage::Engine& engine_;
  storage::Partition& log_;
  SnapshotStore& snapshots_;
  Transport& transport_;
  LogUser& user_;
  const DriverOptions options_;

  std::optional<Quorum> quorum_;
  std::optional<VoteFile> vote_file_;
  LogWriter writer_;
  Answers answers_;
  Outbox outbox_;
  Wakeup wakeup_;
  Done done_;
  std::optional<PersistVote> next_vote_;  // the newest that is not being written: it says all that those before say
  bool is_writing_vote_ = false;
  bool is_stepping_ = false;
  // While a step runs: the bytes of the message, and the answer to a request.
  storage::Bytes payload_;
  RequestAnswered answered_;

  Offset told_ = 0;  // the user knows that it is committed
  std::list<Waiting*> waiting_;
  // What an append may wait for has moved: something is durable or committed, the log is as asked, the role is another.
  // Not at every step: two that wait would wake each other for ever.
  reactor::Event moved_;
  bool is_trimming_ = false;
  Offset trim_to_ = 0;
  bool has_failed_ = false;
  bool stopping_ = false;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::quorum
