// What all roles share: events, timers, the epoch, and the way into and out of a role.
#include "replication/quorum/quorum.h"

#include <algorithm>

#include "reactor/check.h"
#include "replication/planted_bugs.h"

namespace posthaste::replication::quorum {

using reactor::Duration;
using reactor::Instant;

// A vote that was lost leaves the epoch of the log: what that epoch's leader sent here is more than a promise.
Quorum::Quorum(Options options, const Recovered& found, RandomBelow random)
    : options_(std::move(options)),
      self_(found.self),
      random_(std::move(random)),
      vote_(found.vote),
      log_(found.snapshot, found.voters),
      high_watermark_(found.snapshot.offset),
      is_unverified_(found.is_unverified) {}

Actions Quorum::start(Instant now) {
  now_ = now;
  if (log_.end().epoch > vote_.epoch) set_vote({.epoch = log_.end().epoch});
  actions_.push_back(Committed{high_watermark_});
  become_unattached(vote_.epoch);
  fetch_at_ = now_;
  if (is_lone_voter()) {
    election_at_ = now_;
    // Nobody knows better. Where there are others, the log may have lost that they vote, too.
    if (std::ranges::all_of(options_.bootstrap, [this](NodeId id) { return id == self_.id; })) is_unverified_ = false;
  }
  if (is_unverified_) {
    trust_if_all_at_ = in(options_.trust_if_all);
    trust_at_ = in(options_.trust_at_last);
  }
  fire_due();
  return std::move(actions_);
}

Actions Quorum::step(const Event& event, Instant now) {
  CHECK(now >= now_);
  now_ = now;
  actions_.clear();
  fire_due();
  std::visit([this](const auto& what) { handle(what); }, event);
  fire_due();
  return std::move(actions_);
}

Instant Quorum::deadline() const {
  const Instant ours = std::min({election_at_, fetch_at_, trust_if_all_at_, trust_at_});
  return role_ == Role::kLeader ? std::min(ours, leader_deadline()) : ours;
}

// Each of these moves its own deadline on, so one call of each is enough.
void Quorum::fire_due() {
  if (now_ >= trust_if_all_at_ || now_ >= trust_at_) verification_due();
  if (role_ == Role::kLeader && now_ >= leader_deadline()) leader_due();
  if (now_ >= election_at_) election_timed_out();
  if (now_ >= fetch_at_) fetch();
}

void Quorum::handle(const Received& event) {
  std::visit([this, &event](const auto& message) { on(event.from, message); }, event.message);
}

void Quorum::handle(const VotePersisted& event) {
  CHECK(event.number <= vote_writes_);
  vote_writes_done_ = std::max(vote_writes_done_, event.number);
  if (role_ == Role::kCandidate && vote_writes_done_ == vote_writes_) count_vote(self_);
}

void Quorum::handle(const LogPersisted& event) {
  log_.persisted(event.number);
  if (role_ == Role::kLeader) advance_as_leader();
  verify_if_caught_up();
}

void Quorum::handle(const ConnectionLost& event) {
  if (role_ != Role::kFollower || event.peer != leader_ || !event.is_refused) return;
  has_heard_leader_ = false;
  if (can_stand()) stand_soon(options_.refused_jitter);
}

void Quorum::handle(const AppendRequested& event) {
  CHECK(event.count > 0);
  if (const Refusal refusal = why_no_append(); refusal != Refusal::kNone) return answer(refusal);
  append({.count = event.count, .body = event.body});
  answer(Refusal::kNone, log_.end_offset());
}

Refusal Quorum::why_no_append() const {
  if (role_ != Role::kLeader) return Refusal::kNotLeader;
  const bool is_too_much =
      log_.end_offset() - high_watermark_ >= kUncommittedMax || log_.writes_under_way() >= kWritesUnderWayMax;
  return is_too_much ? Refusal::kTooMuchUncommitted : Refusal::kNone;
}

void Quorum::handle(const ResignRequested&) {
  if (role_ == Role::kLeader) resign();
}

void Quorum::handle(const SnapshotWritten& event) {
  CHECK(event.id.offset <= high_watermark_);
  if (event.id.offset <= log_.start_offset()) return;  // a later one was installed meanwhile
  log_.trim(event.id);
  actions_.push_back(TrimLog{event.id.offset});
}

void Quorum::handle(const SnapshotInstalled& event) {
  CHECK(is_installing_ && fetching_ == event.id);
  is_installing_ = false;
  fetching_.reset();
  log_.reset(event.id, event.voters);
  advance_high_watermark(event.id.offset);
  verify_if_caught_up();
  fetch_at_ = now_;
}

// It fetches on from where the log ends: its leader may have another snapshot by then.
void Quorum::handle(const SnapshotFailed& event) {
  CHECK(is_installing_ && fetching_ == event.id);
  is_installing_ = false;
  fetching_.reset();
  fetch_at_ = in(options_.retry_backoff);
}

VoterSet Quorum::voters_at(Offset end) const {
  CHECK(end <= high_watermark_ && end >= log_.start_offset());
  if (planted(kBugs["quorum-snapshot-without-voters"])) return {};
  return log_.voters().at(end);
}

void Quorum::set_vote(const Vote& vote) {
  CHECK(vote.epoch >= vote_.epoch);
  CHECK(vote.epoch > vote_.epoch || vote_.voted == kNoReplica || vote_.voted == vote.voted, "a second vote");
  if (vote == vote_) return;
  vote_ = vote;
  actions_.push_back(PersistVote{++vote_writes_, vote_});
}

// What belongs to the role before is over.
void Quorum::enter(Role role, NodeId leader) {
  if (role_ == Role::kLeader) {
    for (const auto& [replica, progress] : progress_) {
      if (progress.parked_until == Instant::never()) continue;
      send(replica.id, FetchResponse{.epoch = vote_.epoch,
                                     .leader = leader,
                                     .error = FetchError::kNotLeader,
                                     .fetched = progress.parked_end,
                                     .is_unverified = is_unverified_});
    }
  }
  // A follower has asked nobody but its leader how they are.
  if (is_unverified_ && role_ == Role::kFollower) trust_if_all_at_ = in(options_.trust_if_all);
  role_ = role;
  leader_ = leader;
  progress_.clear();
  granted_.clear();
  has_heard_leader_ = false;
  verify_at_ = kNoOffset;
  if (!is_installing_) fetching_.reset();
  fetch_at_ = election_at_ = call_at_ = Instant::never();
  actions_.push_back(RoleChanged{role_, vote_.epoch, leader_});
}

// The role is left before the vote is set: what was parked is told of the new epoch.
void Quorum::become_unattached(Epoch epoch) {
  if (epoch > vote_.epoch) set_vote({.epoch = epoch});
  enter(Role::kUnattached, kNobody);
  fetch_at_ = in(random_up_to(options_.retry_backoff));
  election_at_ = in(random_election_timeout());
}

void Quorum::become_follower(Epoch epoch, NodeId leader) {
  CHECK(leader != self_.id && leader != kNobody);
  if (epoch > vote_.epoch) set_vote({.epoch = epoch});
  enter(Role::kFollower, leader);
  election_at_ = in(options_.fetch_timeout);
  fetch_at_ = now_;
}

// Somebody says that `epoch` is there, and perhaps who leads it.
void Quorum::learn(Epoch epoch, NodeId leader) {
  const bool names_other = leader != kNobody && leader != self_.id;
  if (epoch > vote_.epoch) {
    names_other ? become_follower(epoch, leader) : become_unattached(epoch);
  } else if (epoch == vote_.epoch && leader_ == kNobody && names_other) {
    become_follower(epoch, leader);
  }
}

// Whatever is said names the epoch, so that is durable before; a fetch also says how much of the log is.
void Quorum::send(NodeId to, Message message) {
  Persists after{.vote = vote_writes_};
  if (planted(kBugs["quorum-vote-not-durable"]) && std::holds_alternative<VoteResponse>(message)) after.vote = 0;
  if (std::holds_alternative<FetchRequest>(message)) after.log = log_.last_write();
  actions_.push_back(Send{to, after, std::move(message)});
}

void Quorum::advance_high_watermark(Offset to) {
  CHECK(to <= log_.end_offset());
  if (to <= high_watermark_) return;
  high_watermark_ = to;
  actions_.push_back(Committed{to});
}

Duration Quorum::random_up_to(Duration most) {
  return Duration(static_cast<int64_t>(random_(static_cast<uint64_t>(most.count()) + 1)));
}

Duration Quorum::random_election_timeout() {
  return options_.election_timeout + random_up_to(options_.election_timeout);
}

}  // namespace posthaste::replication::quorum
