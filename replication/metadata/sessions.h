// Which brokers live, as the active controller believes: what each last said and when, whether it may serve or end.
// Lives in the memory of one controller; the next one gives everybody a new session. What follows for partitions is
// decided in elections.h, registrations in broker_changes.h. Pure state, on one core: heartbeat + now -> records +
// answer.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "net/kafka/errors.h"
#include "reactor/time.h"
#include "replication/metadata/early_fencing.h"
#include "replication/metadata/image.h"

namespace posthaste::replication {

// A broker that is silent for so long is fenced; six heartbeats may be lost before.
inline constexpr reactor::Duration kSessionTimeout = std::chrono::seconds(3);
inline constexpr reactor::Duration kHeartbeatInterval = std::chrono::milliseconds(500);
// Who did not look for longer did not run, and has not heard what was said meanwhile: that time counts for nobody.
inline constexpr reactor::Duration kLookMax = std::chrono::seconds(1);

struct Heartbeat {
  int32_t broker = -1;
  int64_t broker_epoch = -1;
  int64_t metadata_offset = -1;  // of the last record that it has followed
  bool wants_fence = false;
  bool wants_shutdown = false;
};

struct HeartbeatDecision {
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  bool is_caught_up = false;
  bool is_fenced = true;
  bool should_shut_down = false;
  // To be committed before the answer. When it fences, or begins a controlled shutdown, a sweep of the broker's
  // partitions follows (elections.h).
  std::vector<MetadataRecord> records;
};

class Sessions {
 public:
  // A controller becomes active: who is registered and not fenced has a session from `now` on.
  Sessions(const MetadataImage& image, reactor::Instant now, reactor::Duration timeout = kSessionTimeout);

  // The broker of this registration can still be there: another process must not take its id. False once its session
  // or the connection that carried it has ended.
  bool is_living(int32_t broker, int64_t broker_epoch, reactor::Instant now) const;
  // Its session runs, whatever became of its connection.
  bool has_session(int32_t broker, int64_t broker_epoch, reactor::Instant now) const;
  // A registration was committed. Its session begins, fenced.
  void registered(int32_t broker, int64_t broker_epoch, reactor::Instant now);
  // It is being removed (BrokerRemoval): it is not unfenced any more, and nobody registers with its id until that is
  // done. A controller that takes over knows nothing of it, and the broker may come back.
  void removal_begins(int32_t broker) { removed_.insert(broker); }
  bool is_being_removed(int32_t broker) const { return removed_.contains(broker); }
  void unregistered(int32_t broker);
  HeartbeatDecision heartbeat(const MetadataImage& image, const Heartbeat& heartbeat, reactor::Instant now);

  // Brokers whose sessions are over and who are not fenced; and once those that were fenced early, for they lead on
  // what nobody else can lead. BrokerFencing follows (kSessionOver). To be asked at least every kLookMax.
  std::vector<int32_t> expired(const MetadataImage& image, reactor::Instant now);
  // The partitions of a broker in controlled shutdown have other leaders as of `metadata_offset`: it may end when all
  // active brokers have followed that far.
  void drained(int32_t broker, int64_t metadata_offset);

  // Evidence for fencing somebody before its session ends.
  EarlyFencing& early() { return early_; }
  const EarlyFencing& early() const { return early_; }
  // Since when brokers take part.
  const std::map<int32_t, reactor::Instant>& active_since() const { return active_since_; }

 private:
  struct Session {
    int64_t broker_epoch = -1;
    reactor::Instant heard;
    int64_t metadata_offset = -1;
    std::optional<int64_t> drained_at;
  };

  const Session* find(int32_t broker, int64_t broker_epoch) const;
  void decide_fenced(const RegisterBrokerRecord& registration, const Heartbeat& heartbeat, reactor::Instant now,
                     HeartbeatDecision& decision);
  void decide_active(const RegisterBrokerRecord& registration, const Heartbeat& heartbeat, HeartbeatDecision& decision);
  bool may_end(const MetadataImage& image, const Session& session) const;

  reactor::Duration timeout_;
  reactor::Instant looked_;
  std::map<int32_t, Session> sessions_;
  std::map<int32_t, reactor::Instant> active_since_;
  std::set<int32_t> removed_;  // registered brokers whose removal is under way
  EarlyFencing early_;
};

}  // namespace posthaste::replication
