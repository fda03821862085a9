// What the cores of one broker share: the table of their BrokerCores. Made before the cores start, outlives them; one
// object per life of a broker. Every entry is written and used by its own core only, so nothing here needs a lock.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/partitions/cluster_view.h"
#include "net/listener.h"
#include "reactor/core.h"

namespace posthaste::replication {
class Controller;

}

namespace posthaste::broker {

class BrokerCore;

// Steps that all cores reach together; counted on core 0.
enum class Milestone : uint8_t { kOpened, kDrained, kQuiet, kClosed };
inline constexpr size_t kMilestones = 4;

// What a broker is at, from its start to its end.
enum class Stage : uint8_t { kStarting, kServing, kFinishingRequests, kFinishingChanges, kWritingBack };
std::string_view describe(Stage stage);

// What a broker that serves says of itself.
struct ReadyReport {
  std::string cluster_id;
  int32_t node_id = 0;
  bool created = false;                // the data folder was made by this start
  std::vector<std::string> listeners;  // what open_listeners says
  uint64_t partitions = 0;
  uint64_t bytes_replayed = 0;
  std::vector<std::string> notes;  // of recovery
};

class BrokerHost {
 public:
  BrokerHost();
  BrokerHost(const BrokerHost&) = delete;
  BrokerHost& operator=(const BrokerHost&) = delete;
  ~BrokerHost();

  // Called on core 0 when the broker serves.
  std::function<void(const ReadyReport&)> on_ready;
  // Why the start failed, with what to do about it; empty if it did not, or was asked to stop before its end. Logged as
  // an error when it happens. Read it when all cores have ended.
  const std::string& failure() const { return failure_; }

  // Any thread: what it is at, as core 0 saw it last.
  Stage stage() const { return stage_.load(std::memory_order_relaxed); }

  // For use on that core, between its milestones kOpened and kQuiet: a core that sends mail to one of them joins those
  // tasks before it reaches kQuiet.
  BrokerCore& on(reactor::CoreId core) {
    CHECK(cores_[core].broker != nullptr, "core {} has no broker, or none any more", core);
    return *cores_[core].broker;
  }
  net::ConnectionSet& connections(reactor::CoreId core) {
    CHECK(cores_[core].connections != nullptr, "core {} has no connections, or none any more", core);
    return *cores_[core].connections;
  }
  // Core 0 only, while there are connections.
  replication::Controller& controller() {
    CHECK(controller_ != nullptr, "the controller is not there, or not any more");
    return *controller_;
  }
  // Core 0 only: the snapshots that cores use.
  reactor::Lender<ClusterView>& views() { return views_; }

 private:
  friend class BrokerProgram;
  struct Entry {
    BrokerCore* broker = nullptr;
    net::ConnectionSet* connections = nullptr;
  };
  struct Progress;  // core 0's
  std::array<Entry, reactor::kCoresMax> cores_{};
  replication::Controller* controller_ = nullptr;
  reactor::Lender<ClusterView> views_;
  std::string failure_;
  std::atomic<Stage> stage_{Stage::kStarting};  // written by core 0
  std::unique_ptr<Progress> progress_;
};

}  // namespace posthaste::broker
