// A world of machines that run one Quorum each: time, messages, disks, processes, all from one seed. A machine that is
// down loses what was not durable; a message may be lost, late, doubled and overtaken; a link may be cut one way. It
// does not choose faults (faults.h) and judges through Checker.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "reactor/simulated/random.h"
#include "replication/quorum/quorum.h"
#include "tests/quorum/checker.h"
#include "tests/quorum/model_disk.h"

namespace posthaste::quorum_model {

using reactor::Duration;
using reactor::Instant;
using reactor::simulated::Random;
using namespace std::chrono_literals;

struct Counts {
  uint64_t steps = 0;
  uint64_t leaders = 0;
  uint64_t records = 0;
  uint64_t cuts = 0;
  uint64_t installs = 0;
  uint64_t snapshots = 0;
  uint64_t changes = 0;
  uint64_t kills = 0;
  uint64_t power_losses = 0;
  uint64_t lies = 0;
  uint64_t wipes = 0;
  uint64_t alarms = 0;
};

// One process, from its start to its end.
struct Life {
  explicit Life(quorum::Quorum with) : machine(std::move(with)) {}
  quorum::Quorum machine;
  Log log;  // as in memory
  Offset high_watermark = 0;
  uint64_t votes_done = 0;
  uint64_t writes_done = 0;
  uint64_t last_write = 0;
  std::vector<quorum::Send> waiting;  // for a write
  std::shared_ptr<const Snapshot> fetched;
  bool snapshot_under_way = false;
  // What this member has heard, as the judge sees it, on its own clock.
  std::map<quorum::ReplicaKey, Instant> fetches;
  quorum::NodeId heard_leader = quorum::kNobody;
  quorum::Epoch heard_epoch = 0;
  Instant heard_at;
};

struct Machine {
  quorum::ReplicaKey key;
  std::unique_ptr<Disk> disk;
  std::unique_ptr<Life> life;
  uint64_t lives = 0;
  Duration clock{};  // ahead of the world's
  Instant paused_until;
  Duration disk_latency{};
  Instant vote_disk_free;
  Instant log_disk_free;
  Instant woken_at = Instant::never();  // the earliest wake-up that is on its way
  bool is_unverified = false;           // of its next start
  bool has_lied = false;
};

struct WorldOptions {
  size_t machines = 3;
  size_t voters = 3;
  uint32_t lost_per_million = 0;
  uint32_t doubled_per_million = 0;
  Duration latency_max = 10ms;
  Duration straggler_max = 10ms;  // one message in ten
  Duration disk_max = 5ms;
  Offset snapshot_every = 20;
  uint64_t batches_max = 8;  // in one answer
  quorum::Options quorum;
};

class World {
 public:
  World(uint64_t seed, const WorldOptions& options);

  Instant now() const { return now_; }
  Random& random() { return random_; }
  Checker& checker() { return checker_; }
  Counts& counts() { return counts_; }
  std::vector<Machine>& machines() { return machines_; }
  const std::vector<Machine>& machines() const { return machines_; }
  const WorldOptions& options() const { return options_; }
  uint64_t trace() const { return trace_.value(); }
  void set_verbose(bool verbose) { is_verbose_ = verbose; }

  // Called when a member begins to lead, and when it has given its vote away.
  std::function<void(size_t machine)> on_leader;
  std::function<void(size_t machine)> on_vote;
  void later(Duration after, std::function<void()> what) { at(now_ + after, std::move(what)); }
  // Everything that happens up to then, or until something is wrong.
  void run_until(Instant end);
  void event(size_t machine, const quorum::Event& event);

  void start(size_t machine);
  enum class End : uint8_t { kStop, kKill, kPower, kLyingPower };
  void end(size_t machine, End how);
  // A new disk, and so a new directory.
  void wipe(size_t machine);
  void cut(size_t from, size_t to, bool is_cut) { cut_[from][to] = is_cut; }
  bool is_paused(size_t machine) const { return machines_[machine].paused_until > now_; }
  bool is_cut(size_t from, size_t to) const { return cut_[from][to]; }
  bool runs(size_t machine) const { return machines_[machine].life != nullptr; }
  // The member that leads in the latest epoch.
  std::optional<size_t> leader() const;
  // Also as it was before it was wiped.
  const Disk* disk_of(const quorum::ReplicaKey& key) const;
  bool has_disk(const quorum::ReplicaKey& key) const { return machines_[static_cast<size_t>(key.id)].key == key; }
  // From now on messages arrive, in usual time.
  void heal_network();
  void say_states() const;
  void say(const std::string& text) const;

 private:
  struct Happening {
    Instant at;
    uint64_t number = 0;
    std::function<void()> what;
  };
  struct Later {
    bool operator()(const Happening& a, const Happening& b) const {
      return a.at != b.at ? a.at > b.at : a.number > b.number;
    }
  };

  void at(Instant when, std::function<void()> what);
  Instant local(const Machine& machine) const { return now_ + machine.clock; }
  void step(size_t machine, const quorum::Event& event);
  void take(size_t machine, quorum::Actions actions);
  void wake(size_t machine);
  void judge_step(size_t machine);
  void arrived(size_t to, size_t from, const quorum::Message& message);

  void act(size_t machine, quorum::Send& action);
  void act(size_t machine, quorum::PersistVote& action);
  void act(size_t machine, quorum::AppendLog& action);
  void act(size_t machine, quorum::TruncateLog& action);
  void act(size_t machine, quorum::WriteSnapshotPiece& action);
  void act(size_t machine, quorum::InstallSnapshot& action);
  void act(size_t machine, quorum::TrimLog& action);
  void act(size_t machine, quorum::Committed& action);
  void act(size_t machine, quorum::RoleChanged& action);
  void act(size_t machine, quorum::RequestAnswered& action);
  void act(size_t machine, quorum::AlarmRaised& action);

  void write_log(size_t machine, LogWrite write);
  void log_written(size_t machine);
  void send_waiting(size_t machine);
  void transmit(size_t from, quorum::Send& send);
  void deliver(size_t from, size_t to, const std::shared_ptr<const quorum::Message>& message, uint64_t from_life);
  void fill(Machine& from, quorum::Message& message);
  void write_snapshot(size_t machine);
  void judge_durable(Machine& machine, Offset from);

  WorldOptions options_;
  Random random_;
  Instant now_{1'000'000'000'000};
  uint64_t happenings_ = 0;
  std::priority_queue<Happening, std::vector<Happening>, Later> queue_;
  std::vector<Machine> machines_;
  std::vector<std::vector<bool>> cut_;
  std::vector<std::shared_ptr<const Snapshot>> bodies_;  // by the number that a piece carries
  std::shared_ptr<const Snapshot> empty_;
  uint64_t directories_ = 0;
  std::map<quorum::ReplicaKey, std::unique_ptr<Disk>> wiped_;  // as they were
  Checker checker_;
  Counts counts_;
  reactor::simulated::TraceHash trace_;
  bool is_verbose_ = false;
};

}  // namespace posthaste::quorum_model
