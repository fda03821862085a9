#include "replication/replica.h"

#include <algorithm>

#include "replication/planted_bugs.h"

namespace posthaste::replication {

using reactor::Errc;
using reactor::failure;
using reactor::planted;
using reactor::Result;
using storage::OffsetWaiter;

namespace {

bool is_same_life(const InSyncMember& member, int32_t broker, int64_t broker_epoch) {
  return member.broker == broker && member.broker_epoch == broker_epoch;
}

}  // namespace

Replica& Replica::of(storage::Partition& log) {
  if (log.attachment() == nullptr) log.attach(std::make_unique<Replica>(log));
  return static_cast<Replica&>(*log.attachment());
}

Replica* Replica::find(storage::Engine& engine, const storage::TopicId& topic, int32_t partition) {
  storage::Partition* const log = engine.find(topic, partition);
  return log == nullptr ? nullptr : &of(*log);
}

Replica::Replica(storage::Partition& log) : CoreOwned(log.core()), log_(log) {}

Replica::Copying::Copying(Replica& into) : into_(into) {
  CHECK(into.role() == Role::kFollower, "a log is copied into one that does not follow");
  CHECK(!into.is_copied_, "two copy into one log");
  into.is_copied_ = true;
}

void Replica::become_leader(const Term& term, InSyncSet in_sync) {
  check_core();
  if (role_ == Role::kLeader && term_ == term) return set_in_sync(std::move(in_sync));
  begin(Role::kLeader, term);
  log_.start_epoch(term.leader_epoch);
  epoch_start_ = log_.end_offset();
  in_sync_ = {};
  set_in_sync(std::move(in_sync));
}

void Replica::become_follower(const Term& term) {
  check_core();
  if (role_ == Role::kFollower && term_ == term) return;
  begin(Role::kFollower, term);
  if (planted(kBugs["follower-starts-epoch"])) log_.start_epoch(term.leader_epoch);
  told_ = high_watermark();
  mark_durable();
}

void Replica::resign() {
  check_core();
  end_role();
}

void Replica::begin(Role role, const Term& term) {
  CHECK(term.leader_epoch >= term_.leader_epoch, "epoch {} after {}", term.leader_epoch, term_.leader_epoch);
  end_role();
  CHECK(waiters_.empty() && listeners_.empty(), "somebody waits for a role that has ended");
  CHECK(high_watermark() <= log_.durable_offset() && log_.durable_offset() <= log_.end_offset());
  role_ = role;
  term_ = term;
}

// The role goes first: whoever is told and asks again at once must not be taken by what ends.
void Replica::end_role() {
  CHECK(!is_copied_, "a role ends, and its leader's log is still copied");
  role_ = Role::kNone;
  in_sync_ = {};
  marks_.reset();
  if (!planted(kBugs["waiters-survive-demotion"])) fail_waiters(Errc::kNotFound);
  while (!listeners_.empty()) {
    HighWatermarkListener& listener = listeners_.pop_front();
    listener.ended(listener);
  }
}

void Replica::fail_waiters(Errc error) {
  while (!waiters_.empty()) {
    OffsetWaiter& waiter = waiters_.pop_front();
    waiter.done(waiter, failure(error));
  }
}

void Replica::set_in_sync(InSyncSet in_sync) {
  check_core();
  CHECK(role_ == Role::kLeader);
  for (InSyncMember& member : in_sync.others) {
    const auto before = std::ranges::find_if(in_sync_.others, [&](const InSyncMember& known) {
      return is_same_life(known, member.broker, member.broker_epoch);
    });
    if (before != in_sync_.others.end()) member.durable = std::max(member.durable, before->durable);
  }
  CHECK(in_sync.wished <= in_sync.others.size());
  in_sync_ = std::move(in_sync);
  const bool is_alone = in_sync_.others.empty() && in_sync_.size_min <= 1;
  if (!is_alone) mark_durable();
  advance();
  if (is_alone) marks_.reset();
}

void Replica::acknowledged(int32_t broker, int64_t durable, int64_t broker_epoch) {
  check_core();
  CHECK(role_ == Role::kLeader);
  const auto member = std::ranges::find_if(
      in_sync_.others, [&](const InSyncMember& known) { return is_same_life(known, broker, broker_epoch); });
  if (member == in_sync_.others.end()) return;
  member->durable = std::max(member->durable, durable);
  advance();
}

void Replica::follow_high_watermark(int64_t offset) {
  check_core();
  CHECK(role_ == Role::kFollower);
  told_ = std::max(told_, offset);
  advance();
}

Result<void> Replica::check_leads(int32_t leader_epoch) const {
  check_core();
  if (planted(kBugs["view-of-another-term"])) return {};
  if (role_ != Role::kLeader) return failure(Errc::kNotFound);
  if (leader_epoch < term_.leader_epoch) return failure(Errc::kStale);
  if (leader_epoch > term_.leader_epoch) return failure(Errc::kAhead);
  return {};
}

Result<storage::AppendResult> Replica::append(storage::MutableBytes batches, const storage::AppendOptions& options,
                                              reactor::WallMillis now) {
  TRY(check_leads(options.leader_epoch));
  return log_.append(batches, options, now);
}

void Replica::wait_high_watermark(OffsetWaiter& waiter) {
  check_core();
  if (waiter.offset <= high_watermark()) {
    waiter.done(waiter, {});
  } else if (const std::optional<Errc> why = log_.closed()) {
    waiter.done(waiter, failure(*why));
  } else if (role_ != Role::kLeader) {
    waiter.done(waiter, failure(Errc::kNotFound));
  } else {
    waiters_.push_back(waiter);
  }
}

bool Replica::add_listener(HighWatermarkListener& listener, int64_t seen) {
  check_core();
  CHECK(role_ == Role::kLeader);
  if (high_watermark() > seen) return true;
  listeners_.push_back(listener);
  return false;
}

void Replica::durable_advanced() {
  if (marks_ != nullptr) mark_durable();
  advance();
}

void Replica::truncated() {
  if (marks_ != nullptr) marks_->clear();
  const int64_t end = log_.end_offset();
  waiters_.for_each([end](OffsetWaiter& waiter) {
    if (waiter.offset <= end) return;
    waiter.unlink();
    waiter.done(waiter, failure(Errc::kStale));
  });
}

void Replica::failed(Errc error) { fail_waiters(error); }

void Replica::removed() { end_role(); }

void Replica::mark_durable() {
  if (marks_ == nullptr) marks_ = std::make_unique<PositionMarks>();
  marks_->add(log_.durable_offset(), log_.durable_position());
}

// Below which offset the log is known to be safe in this role.
int64_t Replica::safe_offset() const {
  int64_t safe = planted(kBugs["own-durable-left-out"]) ? log_.end_offset() : log_.durable_offset();
  switch (role_) {
    case Role::kNone:
      return high_watermark();
    case Role::kFollower:
      return std::min(safe, told_);
    case Role::kLeader:
      break;
  }
  if (in_sync_.others.size() - in_sync_.wished + 1 < in_sync_.size_min) return high_watermark();
  for (const InSyncMember& member : in_sync_.others) safe = std::min(safe, member.durable);
  return safe;
}

void Replica::advance() {
  const int64_t safe = safe_offset();
  if (safe <= high_watermark()) return;
  log_.set_high_watermark(safe);
  if (marks_ != nullptr) marks_->forget_below(safe);
  waiters_.for_each([safe](OffsetWaiter& waiter) {
    if (waiter.offset > safe) return;
    waiter.unlink();
    waiter.done(waiter, {});
  });
  if (listeners_.empty()) return;
  const uint64_t readable = readable_max();
  listeners_.for_each([readable](HighWatermarkListener& listener) { listener.advanced(listener, readable); });
}

uint64_t Replica::readable_min() const {
  check_core();
  if (planted(kBugs["waits-count-durable-bytes"])) return log_.durable_position();
  if (high_watermark() == log_.durable_offset()) return log_.durable_position();
  return marks_ == nullptr ? 0 : marks_->least(high_watermark());
}

uint64_t Replica::readable_max() const {
  if (marks_ == nullptr) return log_.durable_position();
  return std::min(marks_->most(high_watermark()), log_.durable_position());
}

}  // namespace posthaste::replication
