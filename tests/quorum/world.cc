// Time, lives of machines, and what a step of one is judged by.
#include "tests/quorum/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::quorum_model {

World::World(uint64_t seed, const WorldOptions& options) : options_(options), random_(seed) {
  machines_.resize(options.machines);
  cut_.assign(options.machines, std::vector<bool>(options.machines));
  std::vector<quorum::ReplicaKey> voters;
  for (size_t i = 0; i < options.machines; ++i) {
    machines_[i].key = {.id = static_cast<quorum::NodeId>(i), .directory = {.low = ++directories_}};
    if (i < options.voters) voters.push_back(machines_[i].key);
    options_.quorum.bootstrap.push_back(static_cast<quorum::NodeId>(i));
  }
  empty_ = std::make_shared<Snapshot>();
  const auto first = std::make_shared<Snapshot>(Snapshot{.voters = quorum::VoterSet(std::move(voters))});
  for (size_t i = 0; i < options.machines; ++i) {
    machines_[i].disk = std::make_unique<Disk>(i < options.voters ? first : empty_);
  }
}

void World::say(const std::string& text) const {
  if (is_verbose_) fmt::print("{:12.6f} {}\n", static_cast<double>(now_.nanoseconds) / 1e9, text);
}

void World::say_states() const {
  for (const Machine& machine : machines_) {
    if (machine.life == nullptr) continue;
    const quorum::Quorum& member = machine.life->machine;
    say(fmt::format("{}: role {}, epoch {}, leader {}, log {}..{} of epoch {}, high watermark {}, voters{}{}",
                    describe(machine.key), static_cast<int>(member.role()), member.epoch(), member.leader(),
                    member.log().start_offset(), member.log().end_offset(), member.log().end().epoch,
                    member.high_watermark(), describe(member.voters()), member.is_unverified() ? ", unverified" : ""));
  }
}

void World::at(Instant when, std::function<void()> what) {
  queue_.push({std::max(when, now_), ++happenings_, std::move(what)});
}

void World::run_until(Instant end) {
  while (!checker_.violated() && !queue_.empty() && queue_.top().at <= end) {
    // priority_queue gives no way to move out; nothing compares `what`.
    auto what = std::move(const_cast<Happening&>(queue_.top()).what);
    now_ = queue_.top().at;
    queue_.pop();
    what();
  }
  now_ = std::max(now_, end);
}

void World::start(size_t index) {
  Machine& machine = machines_[index];
  CHECK(machine.life == nullptr);
  Disk& disk = *machine.disk;
  CHECK(disk.votes_under_way.empty() && disk.writes_under_way.empty());
  Random draws = random_.fork();
  auto life = std::make_unique<Life>(quorum::Quorum(options_.quorum,
                                                    {.self = machine.key,
                                                     .vote = disk.vote,
                                                     .snapshot = disk.log.snapshot->id,
                                                     .voters = disk.log.snapshot->voters,
                                                     .is_unverified = machine.is_unverified},
                                                    [draws](uint64_t bound) mutable { return draws.below(bound); }));
  life->log = disk.log;
  life->high_watermark = disk.log.snapshot->id.offset;
  for (const Entry& entry : disk.log.entries) life->machine.recovered(entry.batch);
  machine.is_unverified = false;
  machine.life = std::move(life);
  machine.woken_at = Instant::never();
  ++machine.lives;
  say(fmt::format("{} starts: epoch {}, log {}..{}, voters{}{}", describe(machine.key), disk.vote.epoch,
                  disk.log.snapshot->id.offset, disk.log.end(), describe(disk.log.voters()),
                  machine.life->machine.is_unverified() ? ", unverified" : ""));
  take(index, machine.life->machine.start(local(machine)));
}

void World::end(size_t index, End how) {
  Machine& machine = machines_[index];
  Disk& disk = *machine.disk;
  say(fmt::format("{} ends ({})", describe(machine.key), static_cast<int>(how)));
  machine.life.reset();
  size_t votes = disk.votes_under_way.size();
  size_t writes = disk.writes_under_way.size();
  if (how == End::kKill || how == End::kPower) {
    votes = random_.below(votes + 1);
    writes = random_.below(writes + 1);
  }
  const quorum::Vote vote = disk.vote;
  disk.crash(votes, writes);
  if (how == End::kPower || how == End::kLyingPower) machine.is_unverified = true;
  if (how == End::kLyingPower) {
    machine.has_lied = true;
    // Of what was said to be durable the last part is gone.
    const Offset kept = random_.between(disk.log.snapshot->id.offset, disk.log.end());
    disk.log.truncate(kept);
    const quorum::Epoch epoch = random_.below(2) == 0 ? vote.epoch : std::max(0, vote.epoch - 1);
    disk.vote = {.epoch = epoch};
    checker_.forget_votes(machine.key, epoch - 1);
  }
  // Who is connected sees the connection break; where the machine is there without the process, it refuses the next
  // one.
  for (size_t other = 0; other < machines_.size(); ++other) {
    if (other == index || cut_[index][other] || how == End::kPower || how == End::kLyingPower) continue;
    const uint64_t life = machines_[other].lives;
    at(now_ + Duration(random_.between(1, 5'000'000)), [this, index, other, life] {
      if (runs(index) || machines_[other].lives != life) return;
      event(other, quorum::ConnectionLost{static_cast<quorum::NodeId>(index), true});
    });
  }
}

void World::wipe(size_t index) {
  Machine& machine = machines_[index];
  CHECK(machine.life == nullptr);
  wiped_[machine.key] = std::move(machine.disk);
  machine.key.directory.low = ++directories_;
  machine.disk = std::make_unique<Disk>(empty_);
  machine.is_unverified = false;
}

void World::event(size_t index, const quorum::Event& event) {
  Machine& machine = machines_[index];
  if (machine.life == nullptr) return;
  if (machine.paused_until > now_) {
    const uint64_t life = machine.lives;
    at(machine.paused_until, [this, index, life, event] {
      if (machines_[index].lives == life) this->event(index, event);
    });
    return;
  }
  step(index, event);
}

void World::step(size_t index, const quorum::Event& event) {
  Machine& machine = machines_[index];
  ++counts_.steps;
  if (const auto* received = std::get_if<quorum::Received>(&event)) {
    arrived(index, static_cast<size_t>(received->from), received->message);
  }
  if (const auto* lost = std::get_if<quorum::ConnectionLost>(&event)) {
    if (lost->peer == machine.life->heard_leader) machine.life->heard_leader = quorum::kNobody;
  }
  trace_.add((index << 32U) ^ static_cast<uint64_t>(event.index()));
  trace_.add(static_cast<uint64_t>(now_.nanoseconds));
  take(index, machine.life->machine.step(event, local(machine)));
}

void World::take(size_t index, quorum::Actions actions) {
  for (quorum::Action& action : actions) {
    std::visit([this, index](auto& what) { act(index, what); }, action);
  }
  send_waiting(index);
  wake(index);
  judge_step(index);
  write_snapshot(index);
}

void World::wake(size_t index) {
  Machine& machine = machines_[index];
  const Instant due = machine.life->machine.deadline();
  if (due == Instant::never()) return;
  const Instant when = std::max(now_, due + -machine.clock);
  if (machine.woken_at <= when && machine.woken_at > now_) return;  // an earlier one looks again
  machine.woken_at = when;
  const uint64_t life = machine.lives;
  at(when, [this, index, life, when] {
    Machine& sleeper = machines_[index];
    if (sleeper.lives != life || sleeper.life == nullptr || sleeper.woken_at != when) return;
    sleeper.woken_at = Instant::never();
    if (sleeper.life->machine.deadline() > local(sleeper)) return wake(index);
    event(index, quorum::TimerFired{});
  });
}

void World::heal_network() {
  say("everything heals");
  options_.lost_per_million = options_.doubled_per_million = 0;
  options_.straggler_max = options_.latency_max;
}

const Disk* World::disk_of(const quorum::ReplicaKey& key) const {
  const Machine& machine = machines_[static_cast<size_t>(key.id)];
  if (machine.key == key) return machine.disk.get();
  const auto wiped = wiped_.find(key);
  return wiped == wiped_.end() ? nullptr : wiped->second.get();
}

std::optional<size_t> World::leader() const {
  std::optional<size_t> found;
  for (size_t i = 0; i < machines_.size(); ++i) {
    const auto& life = machines_[i].life;
    if (life == nullptr || life->machine.role() != quorum::Role::kLeader) continue;
    if (!found || machines_[*found].life->machine.epoch() < life->machine.epoch()) found = i;
  }
  return found;
}

// What the judge notes of a message before the member sees it: who was heard when.
void World::arrived(size_t to, size_t from, const quorum::Message& message) {
  Life& life = *machines_[to].life;
  const Instant now = local(machines_[to]);
  if (const auto* fetch = std::get_if<quorum::FetchRequest>(&message)) {
    if (fetch->epoch == life.machine.epoch()) life.fetches[fetch->replica] = now;
  } else if (const auto* piece = std::get_if<quorum::FetchSnapshotRequest>(&message)) {
    if (piece->epoch == life.machine.epoch()) life.fetches[piece->replica] = now;
  } else if (const auto* begin = std::get_if<quorum::BeginEpochRequest>(&message)) {
    if (begin->epoch < life.machine.epoch()) return;
    life.heard_leader = begin->leader;
    life.heard_epoch = begin->epoch;
    life.heard_at = now;
  } else if (const auto* none = std::get_if<quorum::FetchSnapshotResponse>(&message)) {
    const bool is_gone = none->error == quorum::FetchError::kNotLeader;
    if (is_gone && static_cast<int>(from) == life.heard_leader) life.heard_leader = quorum::kNobody;
  } else if (std::holds_alternative<quorum::EndEpochRequest>(message)) {
    life.heard_leader = quorum::kNobody;
  } else if (const auto* answer = std::get_if<quorum::FetchResponse>(&message)) {
    const auto sender = static_cast<quorum::NodeId>(from);
    if (answer->error == quorum::FetchError::kNotLeader && sender == life.heard_leader) {
      life.heard_leader = quorum::kNobody;
    }
    const bool leads = answer->error == quorum::FetchError::kNone && answer->leader == sender;
    if (!leads || answer->epoch != life.machine.epoch() || life.machine.role() != quorum::Role::kFollower) return;
    life.heard_leader = sender;
    life.heard_epoch = answer->epoch;
    life.heard_at = now;
  }
}

// Q7: who leads hears a majority. Q8: nobody moves a high watermark back; the log never ends below it.
void World::judge_step(size_t index) {
  Machine& machine = machines_[index];
  Life& life = *machine.life;
  const quorum::Quorum& member = life.machine;
  if (member.high_watermark() != life.high_watermark) checker_.fail("a high watermark that was not told");
  if (life.log.end() < life.high_watermark) checker_.fail("a log was cut below its high watermark");
  if (life.log.end() != member.log().end_offset()) checker_.fail("the log and what the member knows of it differ");
  if (member.role() != quorum::Role::kLeader) return;
  std::vector<Instant> heard;
  for (const quorum::ReplicaKey& voter : member.voters()) {
    heard.push_back(voter == machine.key ? local(machine) : life.fetches[voter]);
  }
  std::ranges::sort(heard, std::ranges::greater());
  const Instant majority = heard[member.voters().majority() - 1];
  if (local(machine) - majority > quorum::check_quorum_timeout(options_.quorum)) {
    checker_.fail(fmt::format("{} leads without hearing a majority", describe(machine.key)));
  }
}

}  // namespace posthaste::quorum_model
