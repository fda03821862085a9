// What the members of drivers_main.cc share: the network between their drivers, which loses, doubles, delays and
// overtakes, the judge, and what was acknowledged. It belongs to the test, not to a machine.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "reactor/simulated/world.h"
#include "replication/quorum/driver.h"
#include "tests/quorum/checker.h"

namespace posthaste::quorum_model {

class DriverMember;

class DriversCluster {
 public:
  struct Options {
    size_t members = 3;
    size_t voters = 3;
    uint32_t lost_per_million = 0;
    uint32_t doubled_per_million = 0;
    reactor::Duration latency_max = std::chrono::milliseconds(5);
    quorum::Offset snapshot_every = 20;
    uint64_t change_every = 0;  // a leader changes the voters once in so many of its appends; 0: never
  };
  struct Acknowledged {
    quorum::Offset offset = 0;
    uint64_t payload = 0;
  };
  struct Counts {
    uint64_t appends = 0;
    uint64_t acknowledged = 0;
    uint64_t in_doubt = 0;
    uint64_t leaders = 0;
    uint64_t installs = 0;
    uint64_t snapshots = 0;
    uint64_t changes = 0;
    uint64_t cuts = 0;
  };

  DriversCluster(reactor::simulated::World& world, const Options& options);

  static quorum::ReplicaKey key_of(size_t member);
  quorum::VoterSet first_voters() const;
  Options& options() { return options_; }
  reactor::simulated::Random& random() { return world_.random(); }
  Checker& checker() { return checker_; }
  Counts& counts() { return counts_; }
  reactor::simulated::Host& host(size_t member) { return world_.host(member); }
  std::vector<DriverMember*>& members() { return members_; }

  // Whether the next life of a member begins behind a power loss.
  std::vector<bool>& is_unverified() { return is_unverified_; }

  void send(size_t from, quorum::NodeId to, quorum::PeerMessage message);
  void became_leader(size_t member, quorum::Epoch epoch);
  uint64_t next_payload() { return ++payloads_; }
  void acknowledged(quorum::Offset offset, uint64_t payload);
  // A reader has found this record below its high watermark.
  void committed(quorum::Offset offset, uint64_t payload);
  // All that was acknowledged is committed where it was said to be, and each record once.
  void judge_acknowledged();

 private:
  void note_votes(size_t from, quorum::NodeId to, const quorum::Message& message);
  void deliver(size_t from, size_t to, const quorum::PeerMessage& message);

  reactor::simulated::World& world_;
  Options options_;
  Checker checker_;
  Counts counts_;
  std::vector<DriverMember*> members_;
  std::vector<bool> is_unverified_;
  std::map<quorum::Epoch, size_t> leaders_;
  std::vector<Acknowledged> acknowledged_;
  std::map<quorum::Offset, uint64_t> committed_;
  uint64_t payloads_ = 0;
};

}  // namespace posthaste::quorum_model
