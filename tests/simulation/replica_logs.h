// The oracle's look into a broker that runs in the simulated world: every log that it holds, with its positions, read
// by the broker's own cores and judged by ReplicaChecker. Oracle judges what clients get.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tests/rig/replica_checker.h"
#include "tests/simulation/broker_with_clients.h"

namespace posthaste::simulation {

// One log as it was when its core was asked: positions of that moment, and a record for each batch, with its base
// offset and a hash of what follows the fields that a broker may patch.
struct ReplicaLog {
  std::string topic;
  int32_t partition = 0;
  uint64_t uid = 0;  // of the log: a topic that is made again has others
  rig::ReplicaState state;
  std::vector<rig::ReplicaRecord> records;
};

struct ReplicaLogs {
  std::vector<ReplicaLog> logs;
  std::optional<std::string> unreadable;  // why, and which
  uint32_t cores_left = 0;                // that still read
};

// Asks all cores of a broker that serves; steps the world until they have answered. Nothing, if it does not serve, dies
// meanwhile, or takes longer than `patience`, as a paused one does.
std::shared_ptr<ReplicaLogs> read_replica_logs(reactor::simulated::World& world, BrokerWithClients& broker,
                                               reactor::Duration patience);

// A judge for each log of a broker whose partitions have one replica, which leads, and are never deleted.
class LogJudge {
 public:
  void judge(const ReplicaLogs& logs);
  // In a world that works again and is quiet.
  void judge_at_end(const ReplicaLogs& logs);
  const std::optional<std::string>& violated() const { return violation_; }
  uint64_t records_seen() const { return records_seen_; }

 private:
  using Key = std::tuple<std::string, int32_t, uint64_t>;
  static Key key_of(const ReplicaLog& log);
  rig::ReplicaChecker& checker_of(const ReplicaLog& log);
  void look_for_all(const ReplicaLogs& logs);
  void note(const ReplicaLog& log, const rig::ReplicaChecker& checker);

  std::map<Key, rig::ReplicaChecker> checkers_;
  std::optional<std::string> violation_;
  uint64_t records_seen_ = 0;
};

}  // namespace posthaste::simulation
