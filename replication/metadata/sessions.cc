#include "replication/metadata/sessions.h"

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::replication {
namespace {

using net::kafka::ErrorCode;
using reactor::Duration;
using reactor::Instant;
using Fenced = BrokerRegistrationChangeRecord::Fenced;
using ControlledShutdown = BrokerRegistrationChangeRecord::ControlledShutdown;

BrokerRegistrationChangeRecord change_of(const RegisterBrokerRecord& registration) {
  return {.broker_id = registration.broker_id, .broker_epoch = registration.broker_epoch};
}

}  // namespace

Sessions::Sessions(const MetadataImage& image, Instant now, Duration timeout) : timeout_(timeout), looked_(now) {
  for (const auto& [id, registration] : image.brokers()) {
    if (registration.fenced) continue;
    sessions_[id] = {.broker_epoch = registration.broker_epoch, .heard = now, .drained_at = {}};
    active_since_[id] = now;
    early_.registered(id, registration.broker_epoch);
  }
}

const Sessions::Session* Sessions::find(int32_t broker, int64_t broker_epoch) const {
  const auto found = sessions_.find(broker);
  return found == sessions_.end() || found->second.broker_epoch != broker_epoch ? nullptr : &found->second;
}

bool Sessions::is_living(int32_t broker, int64_t broker_epoch, Instant now) const {
  return has_session(broker, broker_epoch, now) && !early_.has_connection_ended(broker, broker_epoch);
}

bool Sessions::has_session(int32_t broker, int64_t broker_epoch, Instant now) const {
  const Session* session = find(broker, broker_epoch);
  return session != nullptr && now < session->heard + timeout_;
}

void Sessions::registered(int32_t broker, int64_t broker_epoch, Instant now) {
  sessions_[broker] = {.broker_epoch = broker_epoch, .heard = now, .drained_at = {}};
  active_since_.erase(broker);
  early_.registered(broker, broker_epoch);
}

void Sessions::unregistered(int32_t broker) {
  sessions_.erase(broker);
  active_since_.erase(broker);
  removed_.erase(broker);
  early_.forget(broker);
}

HeartbeatDecision Sessions::heartbeat(const MetadataImage& image, const Heartbeat& heartbeat, Instant now) {
  HeartbeatDecision decision;
  const RegisterBrokerRecord* registration = image.broker(heartbeat.broker);
  if (registration == nullptr) {
    decision.error = ErrorCode::kBrokerIdNotRegistered;
    return decision;
  }
  if (registration->broker_epoch != heartbeat.broker_epoch) {
    decision.error = ErrorCode::kStaleBrokerEpoch;
    return decision;
  }
  Session& session = sessions_[heartbeat.broker];
  if (session.broker_epoch != heartbeat.broker_epoch)
    session = {.broker_epoch = heartbeat.broker_epoch, .drained_at = {}};
  session.heard = now;
  session.metadata_offset = std::max(session.metadata_offset, heartbeat.metadata_offset);
  early_.heard(heartbeat.broker, heartbeat.broker_epoch, now);
  // What its registration says of it, it must have followed before it serves.
  decision.is_caught_up = session.metadata_offset >= heartbeat.broker_epoch;
  if (registration->fenced) {
    decide_fenced(*registration, heartbeat, now, decision);
  } else if (registration->in_controlled_shutdown) {
    decision.is_fenced = false;
    decision.should_shut_down = may_end(image, session);
  } else {
    decide_active(*registration, heartbeat, decision);
  }
  return decision;
}

void Sessions::decide_fenced(const RegisterBrokerRecord& registration, const Heartbeat& heartbeat, Instant now,
                             HeartbeatDecision& decision) {
  decision.should_shut_down = heartbeat.wants_shutdown;
  if (heartbeat.wants_shutdown || heartbeat.wants_fence || !decision.is_caught_up) return;
  if (is_being_removed(heartbeat.broker)) return;
  BrokerRegistrationChangeRecord record = change_of(registration);
  record.fenced = Fenced::kUnfence;
  decision.records.emplace_back(record);
  decision.is_fenced = false;
  active_since_[heartbeat.broker] = now;
}

void Sessions::decide_active(const RegisterBrokerRecord& registration, const Heartbeat& heartbeat,
                             HeartbeatDecision& decision) {
  decision.is_fenced = heartbeat.wants_fence;
  if (!heartbeat.wants_fence && !heartbeat.wants_shutdown) return;
  BrokerRegistrationChangeRecord record = change_of(registration);
  if (heartbeat.wants_fence) {
    record.fenced = Fenced::kFence;
    active_since_.erase(heartbeat.broker);
  } else {
    record.in_controlled_shutdown = ControlledShutdown::kEnter;
  }
  decision.records.emplace_back(record);
}

// Whoever serves knows that it leads nothing any more.
bool Sessions::may_end(const MetadataImage& image, const Session& session) const {
  if (!session.drained_at) return false;
  return std::ranges::all_of(sessions_, [&](const auto& other) {
    return !image.is_active(other.first) || other.second.metadata_offset >= *session.drained_at;
  });
}

std::vector<int32_t> Sessions::expired(const MetadataImage& image, Instant now) {
  CHECK(now >= looked_, "time goes back");
  const Duration away = now - looked_;
  looked_ = now;
  if (away > kLookMax) {
    for (auto& [id, session] : sessions_) session.heard = session.heard + away;
  }
  std::vector<int32_t> over;
  for (const auto& [id, registration] : image.brokers()) {
    const Session* session = find(id, registration.broker_epoch);
    if (session != nullptr && now < session->heard + timeout_) continue;
    if (!registration.fenced || early_.session_ends(id, registration.broker_epoch)) over.push_back(id);
  }
  for (const int32_t id : over) active_since_.erase(id);
  return over;
}

void Sessions::drained(int32_t broker, int64_t metadata_offset) {
  const auto found = sessions_.find(broker);
  if (found != sessions_.end()) found->second.drained_at = metadata_offset;
}

}  // namespace posthaste::replication
