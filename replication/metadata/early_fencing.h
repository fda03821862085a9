// Whether a broker may be fenced before its session ends, so that a process that died costs its partitions a fraction
// of a second. The evidence: its connection to the controller has ended, and its registered address refuses. What
// another broker says of it only makes the controller look. Evidence that was wrong is not trusted for a while. Pure
// state of one controller, on one core; it opens no connection.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <utility>

#include "reactor/time.h"

namespace posthaste::replication {

// After evidence that proved wrong, and at most after it proved wrong again and again: something between this broker
// and the controller is at fault that a moment does not mend.
inline constexpr reactor::Duration kDistrustMin = std::chrono::seconds(30);
inline constexpr reactor::Duration kDistrustMax = std::chrono::minutes(10);

class EarlyFencing {
 public:
  // The broker of this registration sent something. True: it was fenced early and lives, so the evidence was wrong.
  bool heard(int32_t broker, int64_t broker_epoch, reactor::Instant now) {
    Evidence& evidence = of(broker, broker_epoch);
    evidence.has_connection_ended = false;
    evidence.has_refused = false;
    evidence.has_session_ended = false;
    if (!evidence.is_fenced) return false;
    evidence.is_fenced = false;
    Distrust& distrust = distrust_[broker];
    distrust.length = std::clamp(2 * distrust.length, kDistrustMin, kDistrustMax);
    distrust.until = now + distrust.length;
    return true;
  }
  void connection_ended(int32_t broker, int64_t broker_epoch) { of(broker, broker_epoch).has_connection_ended = true; }
  // The address that it registered refused a connection that the controller tried.
  void refused(int32_t broker, int64_t broker_epoch) {
    Evidence& evidence = of(broker, broker_epoch);
    evidence.has_refused = evidence.has_connection_ended;  // before that, it refused one that it serves
  }
  // Another broker says that it is gone: whether a connection to its address is worth a try.
  bool is_worth_a_check(int32_t broker, int64_t broker_epoch, reactor::Instant now) const {
    const auto found = evidence_.find(broker);
    const bool is_known = found != evidence_.end() && found->second.broker_epoch == broker_epoch;
    return is_known && !found->second.is_fenced && !is_distrusted(broker, now);
  }
  bool may_fence(int32_t broker, int64_t broker_epoch, reactor::Instant now) const {
    const auto found = evidence_.find(broker);
    if (found == evidence_.end() || found->second.broker_epoch != broker_epoch) return false;
    return found->second.has_connection_ended && found->second.has_refused && !found->second.is_fenced &&
           !is_distrusted(broker, now);
  }
  void fenced(int32_t broker, int64_t broker_epoch) { of(broker, broker_epoch).is_fenced = true; }
  // It was fenced early and its session is over as well. True once.
  bool session_ends(int32_t broker, int64_t broker_epoch) {
    const auto found = evidence_.find(broker);
    if (found == evidence_.end() || found->second.broker_epoch != broker_epoch || !found->second.is_fenced)
      return false;
    return !std::exchange(found->second.has_session_ended, true);
  }
  // Whether this registration's connection is gone, so that nobody can hold its session open.
  bool has_connection_ended(int32_t broker, int64_t broker_epoch) const {
    const auto found = evidence_.find(broker);
    return found != evidence_.end() && found->second.broker_epoch == broker_epoch && found->second.has_connection_ended;
  }
  // A new process: what was believed of the one before was right.
  void registered(int32_t broker, int64_t broker_epoch) {
    const auto found = evidence_.find(broker);
    if (found != evidence_.end() && found->second.is_fenced) distrust_.erase(broker);
    evidence_[broker] = {.broker_epoch = broker_epoch};
  }
  void forget(int32_t broker) {
    evidence_.erase(broker);
    distrust_.erase(broker);
  }

 private:
  struct Evidence {
    int64_t broker_epoch = -1;
    bool has_connection_ended = false;
    bool has_refused = false;
    bool is_fenced = false;  // early, by this evidence
    bool has_session_ended = false;
  };
  struct Distrust {
    reactor::Duration length{};
    reactor::Instant until;
  };

  Evidence& of(int32_t broker, int64_t broker_epoch) {
    Evidence& evidence = evidence_[broker];
    if (evidence.broker_epoch < broker_epoch) evidence = {.broker_epoch = broker_epoch};
    return evidence;
  }
  bool is_distrusted(int32_t broker, reactor::Instant now) const {
    const auto found = distrust_.find(broker);
    return found != distrust_.end() && now < found->second.until;
  }

  std::map<int32_t, Evidence> evidence_;  // of registered brokers
  std::map<int32_t, Distrust> distrust_;
};

}  // namespace posthaste::replication
