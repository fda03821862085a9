// Drives the group coordinators of one core: their log is a partition of __consumer_offsets that this core owns, their
// time the core's timers, their answers mail to the cores that asked. The rules of groups are all in broker/groups;
// here is only what a pure state machine cannot do itself.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "broker/groups/coordinator.h"
#include "net/request.h"
#include "reactor/mail.h"
#include "storage/engine.h"

namespace posthaste::broker {

// A request to a coordinator that may wait for its answer.
using GroupEvent = std::variant<JoinRequest, SyncRequest, HeartbeatRequest, LeaveRequest, OffsetCommitRequest,
                                std::vector<std::string>, OffsetDeleteRequest>;

// Takes an answer on the core that asked: called on the coordinator's core, from any step.
using AnswerSink = std::function<void(RequestToken token, GroupResponse response)>;

// One coordinator and its partition. Owner core only.
class GroupPartition : private reactor::CoreOwned {
 public:
  GroupPartition(reactor::Core& core, storage::Engine& engine, storage::Partition& log, int32_t leader_epoch,
                 const GroupConfig& config, GroupMemory& memory, const AnswerSink& answer);
  GroupPartition(const GroupPartition&) = delete;
  GroupPartition& operator=(const GroupPartition&) = delete;

  // Replays the log, then serves. A log that cannot be read leaves it loading (COORDINATOR_LOAD_IN_PROGRESS) for ever,
  // which the log line says: groups must not be answered from half of their past.
  reactor::Task<void> load();
  // Answers through the sink, now or later.
  void submit(RequestToken token, GroupEvent event);
  const GroupCoordinator& coordinator() const { return coordinator_; }
  void topics_deleted(std::span<const std::string> topics);
  // Everybody who waits gets NOT_COORDINATOR; what is being written is not reported any more.
  void resign();
  // Waits for the background writer.
  reactor::Task<void> stop();

 private:
  // A batch that was appended, or failed to be, and is not reported to the coordinator yet.
  struct InFlight : storage::OffsetWaiter {
    GroupPartition* owner = nullptr;
    PersistId id = kNoPersist;
    std::optional<reactor::Result<void>> outcome;
  };
  struct Report : reactor::Runnable {
    GroupPartition* owner = nullptr;
  };
  struct Tick : reactor::Timer {
    using Timer::Timer;
    GroupPartition* owner = nullptr;
  };

  GroupTime now();
  void drive(GroupOutput& out);
  reactor::Task<void> write_queued();
  reactor::Task<reactor::Result<void>> replay_log();
  void report();
  void rearm();

  reactor::Core& core_;
  storage::Engine& engine_;
  storage::Partition& log_;
  int32_t leader_epoch_;
  const AnswerSink& answer_;
  GroupMemory& memory_;
  GroupCoordinator coordinator_;
  std::list<GroupPersist> queued_;
  std::list<InFlight> in_flight_;
  bool writing_ = false;
  bool resigned_ = false;
  Report report_;
  Tick tick_;
  reactor::TaskScope scope_;
};

// The coordinators of one core, by partition of __consumer_offsets.
class GroupService : private reactor::CoreOwned {
 public:
  // `memory_bytes`: of all coordinators of this core together.
  GroupService(reactor::Core& core, const GroupConfig& config, uint64_t memory_bytes, AnswerSink answer);

  // Starts the coordinator of partition `index`, whose log this core owns; it loads in the background.
  void add(int32_t index, storage::Engine& engine, storage::Partition& log, int32_t leader_epoch);
  // Null if this core does not coordinate that partition.
  GroupPartition* find(int32_t index);
  const GroupMemory& memory() const { return memory_; }
  void for_each(const std::function<void(int32_t index, GroupPartition&)>& visit);
  // Nobody waits afterwards; must be awaited before the service goes away.
  reactor::Task<void> stop();

 private:
  reactor::Core& core_;
  GroupConfig config_;
  GroupMemory memory_;
  AnswerSink answer_;
  std::map<int32_t, std::unique_ptr<GroupPartition>> partitions_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::broker
