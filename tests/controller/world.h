// A cluster in the smallest form in which the controller's decisions can be wrong: brokers with one log per partition
// that follow the metadata at their own pace, lead, follow, acknowledge and ask for ISRs as they see it; and a
// controller that does nothing but decide with the code under test and commit. Everything is drawn from one seed. What
// is not there: the network between brokers, the quorum, bytes.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "reactor/simulated/random.h"
#include "replication/isr_keeper.h"
#include "replication/metadata/broker_changes.h"
#include "replication/metadata/config_controller.h"
#include "replication/metadata/partition_growth.h"
#include "tests/controller/checker.h"

namespace posthaste::controller_model {

using reactor::Duration;
using reactor::Instant;
using reactor::simulated::Random;
using replication::MetadataRecord;

// What a leader knows of one partition, in one term.
struct Leading {
  int32_t leader_epoch = -1;
  size_t epoch_start = 0;
  size_t high_watermark = 0;
};

class World;

// The in-sync sets of what one life of a broker leads, kept by the code under test over the model's logs.
class IsrKeeping final : private replication::IsrHooks {
 public:
  IsrKeeping(World& world, int32_t broker, const replication::IsrTimes& times)
      : keeper(broker, *this, times), world_(world), broker_(broker) {}

  replication::IsrKeeper keeper;
  uint64_t request = 0;  // under way; 0: none

 private:
  replication::LeaderLog log_of(const Partition& key) override;
  void in_sync_changed(const Partition&) override {}  // acknowledge() asks each time
  void isr_changes_due() override {}

  World& world_;
  const int32_t broker_;
};

struct Broker {
  int32_t id = 0;
  // On disk.
  Uuid directory;
  uint64_t boot = 0;
  bool must_verify = false;  // until a registration says so
  bool is_replaced = false;  // likewise
  std::map<Partition, ReplicaLog> logs;
  std::map<Partition, size_t> high_watermarks;
  size_t followed = 0;  // batches of the metadata
  MetadataImage view;
  // Of this life.
  bool is_alive = false;
  Uuid incarnation;
  int64_t broker_epoch = -1;  // once registered
  bool is_registering = false;
  bool wants_shutdown = false;
  Instant cut_off_until;  // from the controller
  Instant start_at;       // when it is down
  std::map<Partition, Leading> leading;
  std::unique_ptr<IsrKeeping> isr;  // while it lives
};

struct Counts {
  uint64_t batches = 0;
  uint64_t kills = 0;
  uint64_t power_losses = 0;
  uint64_t lies = 0;
  uint64_t wipes = 0;
  uint64_t shutdowns = 0;
  uint64_t failovers = 0;
  uint64_t early = 0;
  uint64_t isr_changes = 0;
  uint64_t isr_refusals = 0;
  uint64_t refused_registrations = 0;
  uint64_t elr_cleared = 0;
  uint64_t elections_asked = 0;
  uint64_t removals = 0;
  uint64_t topics_placed = 0;
  uint64_t topics_grown = 0;
  uint64_t moves_begun = 0;
  uint64_t moves_cancelled = 0;
  uint64_t moves_refused = 0;
};

class World : public Replicas {
 public:
  World(uint64_t seed, bool verbose);

  // One step of some 100 ms: everybody does what is due, and perhaps something goes wrong.
  void step();
  // No more faults; who is down starts, who is cut off hears again.
  void heal();
  // Every partition that still has its data is led, and all its replicas are in sync.
  std::optional<std::string> unwell() const;

  const ReplicaLog* log(int32_t broker, const Partition& partition) const override;
  bool is_distrusted(int32_t broker) const override {
    const Broker& of = brokers_[static_cast<size_t>(broker - 1)];
    return of.must_verify || of.is_replaced;
  }
  std::optional<replication::ReplicaPosition> reported(int32_t broker, const Partition& partition) const override {
    const replication::RegisterBrokerRecord* registration = image_.broker(broker);
    if (registration == nullptr) return std::nullopt;
    return reports_.of(partition.first, partition.second, *registration);
  }
  bool is_lying() const override { return liar_ != replication::kNobody; }
  replication::LeaderLog leader_log(int32_t broker, const Partition& key) const;
  Checker& checker() { return checker_; }
  const Counts& counts() const { return counts_; }
  uint64_t trace() const { return trace_.value(); }

 private:
  // What the controller does in portions, one after the other.
  struct Sweep {
    replication::PartitionSweep sweep;
    std::optional<int32_t> drains;  // a broker that may end once it is done
  };
  struct Removal {
    replication::BrokerRemoval removal;
    int32_t broker;
  };
  using Job = std::variant<replication::BrokerRegistration, replication::BrokerFencing, Removal, Sweep>;
  struct Asked {
    Uuid incarnation;
    uint64_t number = 0;
    Instant arrives_at;
    replication::AlterIsrRequest request;
  };

  // The controller (controller.cc).
  void commit(const std::vector<MetadataRecord>& records, Cause cause = Cause::kOther);
  replication::ElectionInputs inputs() const;
  void control();
  bool work_on(Job& job);
  void fence_the_silent();
  void fail_over();
  void heartbeat(Broker& broker);
  void ask_to_register(Broker& broker);
  void decide_isrs(const Asked& asked);
  void sweep(replication::PartitionSweep sweep, std::optional<int32_t> drains = {});
  void alter_config(replication::AlterConfigResource resource);
  void change_settings();
  void ask_for_leaders();
  void reassign();
  void make_topic();
  void make_topic_in_turn();
  void grow_topic();
  void remove_broker();
  void remove_topic();

  // Brokers (replicas.cc).
  template <class Visit>
  void for_each_partition(const Broker& broker, Visit visit);
  void follow_metadata(Broker& broker);
  bool leads(const Broker& broker, const PartitionImage& partition) const;
  void replicate(Broker& leader, const Partition& key, const PartitionImage& partition);
  void fetch(Broker& leader, Leading& leading, Broker& follower, const Partition& key);
  void acknowledge(Broker& leader, const Partition& key);
  void ask_for_isrs(Broker& leader);
  void report_logs(Broker& broker);
  bool is_one_term(const Broker& leader, const Broker& follower, const Partition& key) const;

  // Faults (faults.cc).
  void disturb();
  void replace_disk(Broker& broker);
  void go_down(Broker& broker, bool power_lost);
  void start(Broker& broker);
  void stop_orderly(Broker& broker);
  void cut_logs(Broker& broker, bool may_lie);

  Uuid draw_id();
  void say(const std::string& what);
  bool chance(uint32_t one_in) { return random_.below(one_in) == 0; }
  Broker& any() { return brokers_[random_.below(brokers_.size())]; }

  Random random_;
  bool verbose_;
  Instant now_;
  Checker checker_;
  Counts counts_;
  reactor::simulated::TraceHash trace_;
  std::vector<Broker> brokers_;
  int32_t liar_ = replication::kNobody;
  // Elections on request, reassignments and removals. Not in every world: what they bring about ends much else early.
  bool has_operators_ = false;
  bool do_disks_fail_often_ = false;
  bool is_healed_ = false;
  uint64_t values_ = 0;
  uint64_t ids_ = 0;
  uint64_t topics_ = 0;
  uint64_t requests_ = 0;
  uint32_t fault_every_ = 8;

  MetadataImage image_;
  std::vector<std::vector<MetadataRecord>> batches_;
  int64_t next_offset_ = 0;
  std::vector<int64_t> batch_ends_;  // offset behind each batch
  config::ConfigMap defaults_;
  replication::Sessions sessions_{image_, now_};
  replication::LogReports reports_;
  replication::PreferredLeaders preferred_;
  std::deque<Job> jobs_;
  std::vector<Asked> asked_;  // on their way
};

}  // namespace posthaste::controller_model
