// What a driver of the quorum does, in the model: messages wait for the writes that they are tagged with, writes take
// their time, snapshots are written and installed.
#include <fmt/format.h>

#include <algorithm>

#include "reactor/check.h"
#include "tests/quorum/world.h"

namespace posthaste::quorum_model {

namespace {
// Snapshots whose bytes turn out to be wrong, or that find no room.
constexpr uint32_t kInstallFailsPerMillion = 100'000;
}  // namespace

// Q10: nobody lends a hand against a leader that it hears.
void World::act(size_t index, quorum::Send& action) {
  Life& life = *machines_[index].life;
  if (const auto* vote = std::get_if<quorum::VoteResponse>(&action.message); vote != nullptr && vote->is_granted) {
    const bool hears = life.machine.role() == quorum::Role::kFollower && life.heard_leader == life.machine.leader() &&
                       life.heard_epoch == life.machine.epoch() &&
                       local(machines_[index]) - life.heard_at < options_.quorum.fetch_timeout;
    if (hears) checker_.fail(fmt::format("{} votes against the leader that it hears", describe(machines_[index].key)));
  }
  life.waiting.push_back(std::move(action));
}

void World::act(size_t index, quorum::PersistVote& action) {
  Machine& machine = machines_[index];
  machine.disk->votes_under_way.push_back({action.number, action.vote});
  const auto takes = Duration(random_.between(0, (options_.disk_max + machine.disk_latency).count()));
  machine.vote_disk_free = std::max(machine.vote_disk_free, now_ + takes);
  const uint64_t life = machine.lives;
  at(machine.vote_disk_free, [this, index, life] {
    Machine& writer = machines_[index];
    if (writer.lives != life || writer.life == nullptr) return;
    const uint64_t number = writer.disk->votes_under_way.front().number;
    writer.disk->complete_vote();
    writer.life->votes_done = number;
    event(index, quorum::VotePersisted{number});
  });
}

void World::write_log(size_t index, LogWrite write) {
  Machine& machine = machines_[index];
  machine.life->last_write = write.number;
  machine.disk->writes_under_way.push_back(std::move(write));
  const auto takes = Duration(random_.between(0, (options_.disk_max + machine.disk_latency).count()));
  machine.log_disk_free = std::max(machine.log_disk_free, now_ + takes);
  const uint64_t life = machine.lives;
  at(machine.log_disk_free, [this, index, life] {
    if (machines_[index].lives == life && machines_[index].life != nullptr) log_written(index);
  });
}

void World::log_written(size_t index) {
  Machine& writer = machines_[index];
  const uint64_t number = writer.disk->writes_under_way.front().number;
  std::shared_ptr<const Snapshot> installed;
  if (const auto* install = std::get_if<InstallWrite>(&writer.disk->writes_under_way.front().what)) {
    installed = install->snapshot;
  }
  if (installed != nullptr && random_.chance(kInstallFailsPerMillion)) {
    writer.disk->writes_under_way.pop_front();
    return event(index, quorum::SnapshotFailed{installed->id});
  }
  writer.disk->complete_log();
  writer.life->writes_done = number;
  if (installed == nullptr) return event(index, quorum::LogPersisted{number});
  // The log in memory is exchanged in the same step in which the member hears of it.
  if (writer.paused_until > now_) writer.paused_until = now_;
  ++counts_.installs;
  writer.life->log = {.snapshot = installed, .entries = {}};
  event(index, quorum::SnapshotInstalled{installed->id, installed->voters});
}

void World::act(size_t index, quorum::AppendLog& action) {
  Life& life = *machines_[index].life;
  const size_t first = life.log.entries.size();
  AppendWrite write;
  for (quorum::Batch& batch : action.batches) {
    const uint64_t chain = chain_of(life.log.chain(), batch);
    const quorum::VoterSet before = life.log.voters();
    life.log.entries.push_back({std::move(batch), chain});
    write.entries.push_back(life.log.entries.back());
    // The first set is what the operator named.
    if (life.machine.role() == quorum::Role::kLeader && life.log.voters() != before) {
      ++counts_.changes;
      say(fmt::format("{} changes the voters to{}", describe(machines_[index].key), describe(life.log.voters())));
      checker_.changed_voters(life.log, before, life.machine.has_committed_in_epoch());
    }
  }
  checker_.appended(life.log, first);
  write_log(index, {action.number, std::move(write)});
}

void World::act(size_t index, quorum::TruncateLog& action) {
  ++counts_.cuts;
  Life& life = *machines_[index].life;
  say(fmt::format("{} cuts its log from {} to {}", describe(machines_[index].key), life.log.end(), action.to));
  life.log.truncate(action.to);
  write_log(index, {action.number, TruncateWrite{action.to}});
}

void World::act(size_t index, quorum::WriteSnapshotPiece& action) {
  Life& life = *machines_[index].life;
  const auto& piece = bodies_[action.body];
  if (action.position == 0) life.fetched = piece;
  CHECK(piece->id == action.id && life.fetched->id == action.id);
  if (life.fetched->voters != piece->voters) checker_.fail("pieces of two snapshots become one");
}

void World::act(size_t index, quorum::InstallSnapshot& action) {
  Life& life = *machines_[index].life;
  CHECK(life.fetched->id == action.id);
  say(fmt::format("{} installs the snapshot of {}", describe(machines_[index].key), action.id.offset));
  write_log(index, {life.last_write, InstallWrite{life.fetched}});
}

void World::act(size_t /*index*/, quorum::TrimLog& /*action*/) {}  // done when the snapshot was written

void World::act(size_t index, quorum::Committed& action) {
  Machine& machine = machines_[index];
  Life& life = *machine.life;
  const Offset before = life.high_watermark;
  if (action.high_watermark < before) checker_.fail("a high watermark goes back");
  life.high_watermark = action.high_watermark;
  if (checker_.committed(machine.key, life.machine.epoch(), life.log, before, action.high_watermark)) {
    judge_durable(machine, action.high_watermark);
  }
}

// Q9: when a record is said to be committed for the first time, the disks of a majority hold it, and it is of the epoch
// of who says so: with one of an older epoch a majority is not enough (Raft, 5.4.2).
void World::judge_durable(Machine& machine, Offset to) {
  const Entry* const entry = machine.life->log.ending_at(to);
  const quorum::VoterSet& voters = machine.life->machine.voters();
  size_t holders = 0;
  for (const quorum::ReplicaKey& voter : voters) {
    const Disk* const disk = disk_of(voter);
    if (entry == nullptr || disk == nullptr) continue;
    const Log& log = disk->log;
    const Entry* const there = log.ending_at(to);
    const bool lied = machines_[static_cast<size_t>(voter.id)].has_lied;
    holders += lied || log.snapshot->id.offset >= to || (there != nullptr && there->chain == entry->chain) ? 1 : 0;
  }
  if (entry != nullptr && entry->batch.epoch != machine.life->machine.epoch()) {
    checker_.fail(fmt::format("{} commits a record of epoch {} by count", describe(machine.key), entry->batch.epoch));
  }
  if (holders < voters.majority()) {
    checker_.fail(fmt::format("{} says that {} is committed, and {} of {} disks hold it", describe(machine.key), to,
                              holders, voters.size()));
  }
}

void World::act(size_t index, quorum::RoleChanged& action) {
  Machine& machine = machines_[index];
  say(fmt::format("{} is {} in epoch {}, leader {}", describe(machine.key), static_cast<int>(action.role), action.epoch,
                  action.leader));
  if (action.role != quorum::Role::kLeader) return;
  ++counts_.leaders;
  checker_.became_leader(machine.key, action.epoch, machine.life->log);
  machine.life->fetches.clear();
  for (const quorum::ReplicaKey& voter : machine.life->machine.voters()) machine.life->fetches[voter] = local(machine);
  if (on_leader) on_leader(index);
}

void World::act(size_t /*index*/, quorum::RequestAnswered& action) {
  counts_.records += action.refusal == quorum::Refusal::kNone ? 1 : 0;
}

void World::act(size_t index, quorum::AlarmRaised& action) {
  ++counts_.alarms;
  say(fmt::format("{} raises alarm {}", describe(machines_[index].key), static_cast<int>(action.alarm)));
  if (action.alarm == quorum::Alarm::kCutBelowHighWatermark) checker_.fail("a leader wants gone what is committed");
}

void World::send_waiting(size_t index) {
  Life& life = *machines_[index].life;
  const auto ready = [&life](const quorum::Send& send) {
    return send.after.vote <= life.votes_done && send.after.log <= life.writes_done;
  };
  for (quorum::Send& send : life.waiting) {
    if (ready(send)) transmit(index, send);
  }
  std::erase_if(life.waiting, ready);
}

// What only the driver knows goes into an answer when it leaves: batches from the log, pieces of the snapshot.
void World::fill(Machine& from, quorum::Message& message) {
  const Log& log = from.life->log;
  if (auto* answer = std::get_if<quorum::FetchResponse>(&message)) {
    const bool wants = answer->error == quorum::FetchError::kNone && !answer->diverging && !answer->snapshot;
    if (!wants || answer->epoch != from.life->machine.epoch()) return;
    const size_t most = 1 + random_.below(options_.batches_max);
    for (size_t i = log.index_from(answer->fetched.offset); i < log.entries.size() && answer->batches.size() < most;
         ++i) {
      answer->batches.push_back(log.entries[i].batch);
    }
  } else if (auto* piece = std::get_if<quorum::FetchSnapshotResponse>(&message)) {
    if (piece->error != quorum::FetchError::kNone) return;
    if (log.snapshot->id != piece->id || piece->position >= log.snapshot->size) {
      piece->error = quorum::FetchError::kNoSnapshot;
      return;
    }
    piece->size = log.snapshot->size;
    piece->bytes = 1;
    piece->body = bodies_.size();
    bodies_.push_back(log.snapshot);
  }
}

void World::transmit(size_t from, quorum::Send& send) {
  Machine& sender = machines_[from];
  if (const auto* vote = std::get_if<quorum::VoteResponse>(&send.message); vote != nullptr && vote->is_granted) {
    if (!vote->is_pre_vote) checker_.voted(sender.key, vote->asked_epoch, {.id = send.to});
    if (!vote->is_pre_vote && on_vote) on_vote(from);
  }
  if (const auto* vote = std::get_if<quorum::VoteRequest>(&send.message); vote != nullptr && !vote->is_pre_vote) {
    checker_.voted(sender.key, vote->epoch, {.id = sender.key.id});
  }
  fill(sender, send.message);
  const auto to = static_cast<size_t>(send.to);
  CHECK(to < machines_.size() && to != from);
  const auto message = std::make_shared<const quorum::Message>(std::move(send.message));
  if (cut_[from][to] || random_.chance(options_.lost_per_million)) return;
  const int copies = random_.chance(options_.doubled_per_million) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    const Duration most = random_.below(10) == 0 ? options_.straggler_max : options_.latency_max;
    const uint64_t life = sender.lives;
    at(now_ + Duration(random_.between(100'000, most.count())),
       [this, from, to, message, life] { deliver(from, to, message, life); });
  }
}

void World::deliver(size_t from, size_t to, const std::shared_ptr<const quorum::Message>& message, uint64_t from_life) {
  if (cut_[from][to]) return;
  if (!runs(to)) {
    // The machine is there, the process is not.
    if (cut_[to][from] || !runs(from) || machines_[from].lives != from_life || machines_[to].is_unverified) return;
    return event(from, quorum::ConnectionLost{static_cast<quorum::NodeId>(to), true});
  }
  event(to, quorum::Received{static_cast<quorum::NodeId>(from), *message});
}

// Up to some record that is committed, and durable here.
void World::write_snapshot(size_t index) {
  Machine& machine = machines_[index];
  Life& life = *machine.life;
  const Offset limit = std::min(life.high_watermark, life.machine.log().durable_offset());
  if (life.snapshot_under_way || limit - life.log.snapshot->id.offset < options_.snapshot_every) return;
  const Entry* const entry = life.log.ending_at(limit);
  if (entry == nullptr) return;
  life.snapshot_under_way = true;
  auto snapshot = std::make_shared<Snapshot>(Snapshot{.id = {.offset = limit, .epoch = entry->batch.epoch},
                                                      .voters = life.machine.voters_at(limit),
                                                      .chain = entry->chain,
                                                      .size = 1 + random_.below(4)});
  checker_.wrote_snapshot(*snapshot);
  const uint64_t number = machine.lives;
  at(now_ + Duration(random_.between(0, 20'000'000)), [this, index, number, snapshot = std::move(snapshot)] {
    Machine& writer = machines_[index];
    if (writer.lives != number || writer.life == nullptr) return;
    if (writer.paused_until > now_) writer.paused_until = now_;
    writer.life->snapshot_under_way = false;
    ++counts_.snapshots;
    writer.disk->take(snapshot);
    if (snapshot->id.offset > writer.life->log.snapshot->id.offset) writer.life->log.begin_at(snapshot);
    event(index, quorum::SnapshotWritten{snapshot->id});
  });
}

}  // namespace posthaste::quorum_model
