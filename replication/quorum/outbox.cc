#include "replication/quorum/outbox.h"

#include "replication/planted_bugs.h"

namespace posthaste::replication::quorum {

bool takes_batches(const Message& message) {
  const auto* answer = std::get_if<FetchResponse>(&message);
  return answer != nullptr && answer->error == FetchError::kNone && !answer->diverging && !answer->snapshot;
}

namespace {

// The next piece is asked for when those before are written: so one is in memory at a time.
bool may_leave(const Send& send, const Done& done) {
  if (planted(kBugs["driver-sends-before-writes"])) return true;
  const bool needs_log = takes_batches(send.message) || std::holds_alternative<FetchSnapshotRequest>(send.message);
  return send.after.vote <= done.persists.vote && send.after.log <= done.persists.log &&
         (!needs_log || done.log_is_as_asked);
}

}  // namespace

void Outbox::add(Send message) {
  if (waiting_.size() >= kMessagesWaitingMax) waiting_.pop_front();
  waiting_.push_back(std::move(message));
}

std::deque<Send> Outbox::ready(const Done& done) {
  std::deque<Send> ready;
  std::deque<Send> rest;
  for (Send& send : waiting_) (may_leave(send, done) ? ready : rest).push_back(std::move(send));
  waiting_ = std::move(rest);
  return ready;
}

}  // namespace posthaste::replication::quorum
