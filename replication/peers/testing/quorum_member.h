// A member of the quorum for tests of what carries its messages: the real state machine, a disk that is a struct
// (quorum_model.h), and the real transport over simulated sockets. The disk outlives the process, and a write takes a
// while. Not for the product.
#pragma once
#include <functional>
#include <string>

#include "replication/peers/quorum_transport.h"
#include "replication/peers/testing/broker_listener.h"
#include "replication/peers/testing/quorum_model.h"

namespace posthaste::replication::peers {

inline quorum::Recovered recovered_from(const ModelDisk& disk, const quorum::VoterSet& voters) {
  return {.self = disk.key,
          .vote = disk.vote,
          .snapshot = disk.snapshot.id,
          .voters = disk.snapshot.id.offset > 0 ? disk.snapshot.voters : voters};
}

class ModelMember final : public QuorumMember {
 public:
  // Called when something is committed or a role begins: for judges.
  struct Watcher {
    std::function<void(const ModelMember&, quorum::Offset from, quorum::Offset to)> committed;
    std::function<void(const ModelMember&)> leads;
  };
  // Pieces that pass the slowest link of a test in much less than the time after which a leader is given up.
  static constexpr size_t kPieceBytes = size_t{32} << 10;
  static constexpr size_t kSnapshotBytes = 80'000;

  ModelMember(reactor::Core& core, ModelDisk& disk, quorum::VoterSet voters, QuorumTransportOptions options,
              std::string address, Watcher& watcher);

  void start();
  reactor::Task<void> stop();

  // QuorumMember
  void received(quorum::NodeId from, quorum::PeerMessage message) override;
  void connection_lost(quorum::NodeId peer, bool is_refused) override {
    step(quorum::ConnectionLost{.peer = peer, .is_refused = is_refused});
  }

  void append() { step(quorum::AppendRequested{.body = ++bodies_}); }
  // All that is committed and durable goes into a snapshot.
  void write_snapshot();

  const quorum::Quorum& machine() const { return machine_; }
  const std::vector<ModelEntry>& log() const { return log_; }
  const ModelSnapshot& snapshot() const { return snapshot_; }
  QuorumTransport& transport() { return transport_; }
  // The hash of the log up to there; 0: not known here.
  uint64_t chain_at(quorum::Offset end) const;

 private:
  void step(const quorum::Event& event);
  void act(quorum::Send& action) { waiting_.push_back(std::move(action)); }
  void act(quorum::PersistVote& action);
  void act(quorum::AppendLog& action);
  void act(quorum::TruncateLog& action);
  void act(quorum::WriteSnapshotPiece& action);
  void act(quorum::InstallSnapshot& action);
  void act(quorum::TrimLog& /*action*/) {}
  void act(quorum::Committed& action);
  void act(quorum::RoleChanged& action);
  void act(quorum::RequestAnswered& /*action*/) {}
  void act(quorum::AlarmRaised& action) {
    CHECK(action.alarm != quorum::Alarm::kCutBelowHighWatermark, "what is committed is to be cut");
  }
  void send_ready();
  storage::Bytes fill(quorum::Message& message) const;
  // Runs `done` when the disk has come to it.
  void write(reactor::Instant& disk_free, std::function<void()> done);
  reactor::Task<void> run_write(reactor::Instant at, std::function<void()> done);
  reactor::Task<void> run_timer();

  reactor::Core& core_;
  ModelDisk& disk_;
  Watcher& watcher_;
  reactor::simulated::Random random_;
  quorum::Quorum machine_;
  std::vector<ModelEntry> log_;
  ModelSnapshot snapshot_;
  quorum::Offset high_watermark_ = 0;
  uint64_t votes_done_ = 0;
  uint64_t writes_done_ = 0;
  uint64_t bodies_ = 0;
  std::vector<quorum::Send> waiting_;
  storage::Bytes payload_;   // of the message that is being handled
  storage::Bytes incoming_;  // pieces of a snapshot
  reactor::Instant vote_disk_free_;
  reactor::Instant log_disk_free_;
  bool is_stopping_ = false;
  reactor::Event stepped_;
  QuorumTransport transport_;
  BrokerListener listener_;
  reactor::TaskScope scope_;
};

inline ModelMember::ModelMember(reactor::Core& core, ModelDisk& disk, quorum::VoterSet voters,
                                QuorumTransportOptions options, std::string address, Watcher& watcher)
    : core_(core),
      disk_(disk),
      watcher_(watcher),
      random_(core.random()),
      machine_(options.quorum, recovered_from(disk, voters), [this](uint64_t bound) { return random_.below(bound); }),
      log_(disk.log),
      snapshot_(disk.snapshot),
      high_watermark_(disk.snapshot.id.offset),
      bodies_(core.random() >> 8),
      vote_disk_free_(core.now()),
      log_disk_free_(core.now()),
      stepped_(core),
      transport_(core, options, *this),
      listener_(core, std::move(address), options.us.cluster_id, transport_.desk()),
      scope_(core) {
  for (const ModelEntry& entry : log_) machine_.recovered(entry.batch);
}

inline void ModelMember::start() {
  for (quorum::Action& action : machine_.start(core_.now())) {
    std::visit([this](auto& what) { act(what); }, action);
  }
  listener_.start();
  transport_.start();
  scope_.spawn_job(run_timer());
}

inline reactor::Task<void> ModelMember::stop() {
  is_stopping_ = true;
  stepped_.notify_all();
  co_await transport_.close();
  co_await listener_.close();
  co_await scope_.join();
}

inline reactor::Task<void> ModelMember::run_timer() {
  while (!is_stopping_) {
    const reactor::Instant deadline = machine_.deadline();
    if (core_.now() >= deadline) {
      step(quorum::TimerFired{});
    } else {
      (void)co_await stepped_.wait_until(deadline);
    }
  }
}

inline void ModelMember::step(const quorum::Event& event) {
  if (is_stopping_) return;
  for (quorum::Action& action : machine_.step(event, core_.now())) {
    std::visit([this](auto& what) { act(what); }, action);
  }
  send_ready();
  stepped_.notify_all();
}

inline void ModelMember::received(quorum::NodeId from, quorum::PeerMessage message) {
  payload_ = std::move(message.payload);
  auto* const fetched = std::get_if<quorum::FetchResponse>(&message.message);
  if (fetched != nullptr) fetched->batches = batches_of(payload_);
  step(quorum::Received{.from = from, .message = std::move(message.message)});
  payload_.clear();
}

inline void ModelMember::write(reactor::Instant& disk_free, std::function<void()> done) {
  disk_free = std::max(disk_free, core_.now()) + reactor::Duration(random_.between(10'000, 2'000'000));
  scope_.spawn_job(run_write(disk_free, std::move(done)));
}

inline reactor::Task<void> ModelMember::run_write(reactor::Instant at, std::function<void()> done) {
  co_await core_.sleep_until(at);
  if (!is_stopping_) done();
}

inline void ModelMember::act(quorum::PersistVote& action) {
  write(vote_disk_free_, [this, action] {
    disk_.vote = action.vote;
    votes_done_ = action.number;
    step(quorum::VotePersisted{action.number});
  });
}

inline void ModelMember::act(quorum::AppendLog& action) {
  std::vector<ModelEntry> entries;
  for (const quorum::Batch& batch : action.batches) {
    const uint64_t before = log_.empty() ? snapshot_.chain : log_.back().chain;
    log_.push_back({batch, chain_of(before, batch)});
    entries.push_back(log_.back());
  }
  write(log_disk_free_, [this, number = action.number, entries = std::move(entries)] {
    disk_.log.insert(disk_.log.end(), entries.begin(), entries.end());
    writes_done_ = number;
    step(quorum::LogPersisted{number});
  });
}

inline void ModelMember::act(quorum::TruncateLog& action) {
  const auto cut = [to = action.to](std::vector<ModelEntry>& log) {
    std::erase_if(log, [to](const ModelEntry& entry) { return entry.batch.end_offset() > to; });
  };
  cut(log_);
  write(log_disk_free_, [this, number = action.number, cut] {
    cut(disk_.log);
    writes_done_ = number;
    step(quorum::LogPersisted{number});
  });
}

inline void ModelMember::act(quorum::WriteSnapshotPiece& action) {
  if (action.position == 0) incoming_.clear();
  CHECK(incoming_.size() == action.position);
  incoming_.insert(incoming_.end(), payload_.begin(), payload_.end());
}

inline void ModelMember::act(quorum::InstallSnapshot& action) {
  CHECK(incoming_.size() == kSnapshotBytes);
  ModelSnapshot snapshot = snapshot_of(incoming_);
  CHECK(snapshot.id == action.id);
  write(log_disk_free_, [this, snapshot = std::move(snapshot)] {
    disk_.snapshot = snapshot_ = snapshot;
    disk_.log.clear();
    log_.clear();
    step(quorum::SnapshotInstalled{.id = snapshot.id, .voters = snapshot.voters});
  });
}

inline void ModelMember::act(quorum::Committed& action) {
  const quorum::Offset before = std::exchange(high_watermark_, action.high_watermark);
  if (watcher_.committed) watcher_.committed(*this, before, action.high_watermark);
}

inline void ModelMember::act(quorum::RoleChanged& action) {
  if (action.role == quorum::Role::kLeader && watcher_.leads) watcher_.leads(*this);
}

inline uint64_t ModelMember::chain_at(quorum::Offset end) const {
  if (end == snapshot_.id.offset) return snapshot_.chain;
  const auto found = std::ranges::find(log_, end, [](const ModelEntry& entry) { return entry.batch.end_offset(); });
  return found == log_.end() ? 0 : found->chain;
}

// Up to the last batch that is committed and durable; what it stands for goes from the log.
inline void ModelMember::write_snapshot() {
  const quorum::Offset limit = std::min(high_watermark_, disk_.end());
  const auto last = std::ranges::find(disk_.log, limit, [](const ModelEntry& one) { return one.batch.end_offset(); });
  if (last == disk_.log.end()) return;
  snapshot_ = {
      .id = {.offset = limit, .epoch = last->batch.epoch}, .voters = machine_.voters_at(limit), .chain = last->chain};
  disk_.snapshot = snapshot_;
  const auto goes = [limit](const ModelEntry& entry) { return entry.batch.end_offset() <= limit; };
  std::erase_if(disk_.log, goes);
  std::erase_if(log_, goes);
  step(quorum::SnapshotWritten{snapshot_.id});
}

inline void ModelMember::send_ready() {
  std::vector<quorum::Send> ready;
  std::erase_if(waiting_, [&](quorum::Send& send) {
    if (send.after.vote > votes_done_ || send.after.log > writes_done_) return false;
    ready.push_back(std::move(send));
    return true;
  });
  for (quorum::Send& send : ready) {
    storage::Bytes payload = fill(send.message);
    transport_.send(send.to, {std::move(send.message), std::move(payload)});
  }
}

// What a driver puts into an answer as it leaves.
inline storage::Bytes ModelMember::fill(quorum::Message& message) const {
  if (auto* const piece = std::get_if<quorum::FetchSnapshotResponse>(&message)) {
    if (piece->error != quorum::FetchError::kNone || piece->id != snapshot_.id) return {};
    const storage::Bytes all = bytes_of(snapshot_, kSnapshotBytes);
    const size_t from = std::min<size_t>(piece->position, all.size());
    const size_t size = std::min(kPieceBytes, all.size() - from);
    piece->size = all.size();
    piece->bytes = size;
    return {all.begin() + static_cast<std::ptrdiff_t>(from), all.begin() + static_cast<std::ptrdiff_t>(from + size)};
  }
  const auto* const fetched = std::get_if<quorum::FetchResponse>(&message);
  if (fetched == nullptr || fetched->error != quorum::FetchError::kNone || fetched->diverging || fetched->snapshot) {
    return {};
  }
  constexpr size_t kBatchesMax = 20;
  std::vector<quorum::Batch> batches;
  for (const ModelEntry& entry : log_) {
    if (entry.batch.base_offset >= fetched->fetched.offset && batches.size() < kBatchesMax)
      batches.push_back(entry.batch);
  }
  return bytes_of(batches);
}

}  // namespace posthaste::replication::peers
