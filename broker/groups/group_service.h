// Drives the group coordinators of one core: their log is a partition of __consumer_offsets that this core owns, their
// time the core's timers, their answers mail to the cores that asked. The rules of groups are all in broker/groups, how
// a log is replayed and written in record_log.h; here is only what a pure state machine cannot do itself.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "broker/groups/coordinator.h"
#include "net/request.h"
#include "reactor/mail.h"
#include "replication/record_log.h"
#include "storage/engine.h"

namespace posthaste::broker {

// A request to a coordinator that may wait for its answer.
using GroupEvent = std::variant<JoinRequest, SyncRequest, HeartbeatRequest, LeaveRequest, OffsetCommitRequest,
                                std::vector<std::string>, OffsetDeleteRequest>;

// Takes an answer on the core that asked: called on the coordinator's core, from any step.
using AnswerSink = std::function<void(RequestToken token, GroupResponse response)>;

// One coordinator and its partition. Owner core only.
class GroupPartition : private reactor::CoreOwned, private replication::RecordLogReader {
 public:
  GroupPartition(reactor::Core& core, storage::Engine& engine, storage::Partition& log, const GroupConfig& config,
                 GroupMemory& memory, const AnswerSink& answer);
  GroupPartition(const GroupPartition&) = delete;
  GroupPartition& operator=(const GroupPartition&) = delete;

  // Coordinates in the term of `leader_epoch`; nothing if it does, or did in a later one. The term before ends as with
  // resign(). Groups are loaded in the background and answer COORDINATOR_LOAD_IN_PROGRESS meanwhile; for ever, if the
  // log cannot be read, which the log line says: groups must not be answered from half of their past.
  void lead(int32_t leader_epoch);
  // Answers through the sink, now or later.
  void submit(RequestToken token, GroupEvent event);
  const GroupCoordinator& coordinator() const { return coordinator_; }
  void topics_deleted(std::span<const std::string> topics);
  // Every waiting request gets NOT_COORDINATOR, and so does each later one; what is being written is not reported any
  // more.
  void resign();
  // Resigns, and waits for what runs in the background.
  reactor::Task<void> stop();

 private:
  struct Tick : reactor::Timer {
    using Timer::Timer;
    GroupPartition* owner = nullptr;
  };

  void begin_load() override;
  void replay(const storage::RecordView& record) override;

  GroupTime now();
  void drive(GroupOutput& out);
  reactor::Task<void> load(int32_t leader_epoch);
  reactor::Task<bool> load_log(int32_t leader_epoch);
  void reported(PersistId id, const reactor::Result<void>& result);
  void rearm();

  reactor::Core& core_;
  replication::RecordLog log_;
  int32_t leader_epoch_ = -1;
  bool resigned_ = false;
  const AnswerSink& answer_;
  GroupMemory& memory_;
  GroupCoordinator coordinator_;
  Tick tick_;
  reactor::TaskScope scope_;
};

// The coordinators of one core, by partition of __consumer_offsets.
class GroupService : private reactor::CoreOwned {
 public:
  // `memory_bytes`: of all coordinators of this core together.
  GroupService(reactor::Core& core, const GroupConfig& config, uint64_t memory_bytes, AnswerSink answer);

  // This core coordinates partition `index`, whose log it owns, in the term of `leader_epoch`: GroupPartition::lead().
  void lead(int32_t index, storage::Engine& engine, storage::Partition& log, int32_t leader_epoch);
  // Null if this core does not coordinate that partition.
  GroupPartition* find(int32_t index);
  const GroupMemory& memory() const { return memory_; }
  void for_each(const std::function<void(int32_t index, GroupPartition&)>& visit);
  // No request waits afterwards; must be awaited before the service is destroyed.
  reactor::Task<void> stop();

 private:
  reactor::Core& core_;
  GroupConfig config_;
  GroupMemory memory_;
  AnswerSink answer_;
  std::map<int32_t, std::unique_ptr<GroupPartition>> partitions_;
};

}  // namespace posthaste::broker
