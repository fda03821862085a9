// One core of a broker: its share of partitions and groups, its connections' requests, its snapshot of the cluster.
// Shared-nothing: another core is reached by mail only. What each request means is in broker/handlers.
#pragma once
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "broker/fetching/fetch_sessions.h"
#include "broker/fetching/fetch_waits.h"
#include "broker/fetching/wait_memory.h"
#include "broker/groups/group_service.h"
#include "broker/options.h"
#include "broker/partitions/cluster_view.h"
#include "net/request.h"
#include "reactor/pace.h"
#include "replication/replica.h"
#include "storage/engine.h"

namespace posthaste::broker {

class BrokerHost;
struct PartitionPlace;

class BrokerCore final : public net::RequestHandler, private reactor::CoreOwned {
 public:
  BrokerCore(reactor::Core& core, BrokerHost& host, const BrokerOptions& options, storage::Engine& engine);
  BrokerCore(const BrokerCore&) = delete;
  BrokerCore& operator=(const BrokerCore&) = delete;

  reactor::Task<net::Response> handle(net::ConnectionContext& context, net::Request& request) override;
  bool waits_for_readers() const override;

  reactor::Core& core() { return core_; }
  BrokerHost& host() { return host_; }
  // The BrokerCore of another core, for use in work that runs there.
  BrokerCore& there(reactor::Core& core);
  const BrokerOptions& options() const { return options_; }
  storage::Engine& engine() { return check_core(), engine_; }
  GroupService& groups() { return check_core(), groups_; }
  // Mail that nobody waits for (lease returns, notices, answers of coordinators) runs here, so that a stop can.
  reactor::TaskScope& scope() { return check_core(), scope_; }

  // The newest snapshot, valid until the caller next waits. Never null once requests arrive.
  const ClusterView* view() const { return check_core(), views_.newest(); }
  // The same for a request that waits.
  ViewUse use_view() { return check_core(), views_.use(); }
  // Swaps the snapshot, then does what follows from it for partitions of this core: settings, epochs, coordinators. Of
  // many topics in steps, between which others run, and by the newest snapshot at each step.
  reactor::Task<void> adopt_view(reactor::Loan<ClusterView> loan);

  // Appends take turns, so that one that waits for room is not overtaken by a later one of the same partition.
  reactor::Semaphore& append_turn() { return check_core(), append_turn_; }
  reactor::Semaphore& fetch_memory() { return check_core(), fetch_memory_; }
  // If a request here waits for room that answers to readers hold: informs all cores, because the readers may be on any
  // core; they then disconnect sooner a client that does not read its answer.
  void tell_if_readers_hold_room();
  FetchWaits& fetch_waits() { return check_core(), fetch_waits_; }
  FetchSessions& fetch_sessions() { return check_core(), fetch_sessions_; }
  WaitMemory& wait_memory() { return check_core(), wait_memory_; }
  // Topics that requests of this core's clients create, one request at a time (handlers/cluster.cc).
  reactor::Semaphore& auto_creation_turn() { return check_core(), auto_creation_turn_; }
  uint32_t& auto_creations() { return check_core(), auto_creations_; }

  // Asks the coordinator of partition `index` of __consumer_offsets on core `owner`, which calls `make` there. Nothing
  // if the coordinator is not there, or the connection ended before it answered. `waits` (or null): gives its frame
  // back when `make` has been called, before the answer is waited for.
  reactor::Task<std::optional<GroupResponse>> ask_group(net::ConnectionContext& context, reactor::CoreId owner,
                                                        int32_t index, const std::function<GroupEvent()>& make,
                                                        net::Request* waits);

  // Background: retention and segment rolls, at every interval until end_maintenance().
  reactor::Task<void> run_maintenance();
  void end_maintenance() { maintenance_over_.set(); }
  // Coordinators resign, mail under way arrives. Called when no request runs any more.
  reactor::Task<void> stop();

 private:
  struct GroupCall : net::CloseWatcher {
    explicit GroupCall(reactor::Core& core) : changed(core) {}
    reactor::Event changed;
    std::optional<GroupResponse> response;
    bool abandoned = false;
  };

  static reactor::Task<void> mail_readers_hold_room(BrokerCore& from, reactor::CoreId to);
  static reactor::Task<void> mail_view_back(BrokerCore& from, uint64_t number);
  void give_back_view(uint64_t number);
  reactor::Task<void> follow_all_topics();
  // Partitions of the topic, of the newest snapshot, from index `from` on until a pause is due. Returns where to
  // continue.
  int32_t follow_topic(const replication::TopicImage& topic, int32_t from, reactor::Pace& pace);
  static constexpr int32_t kAllFollowed = -1;
  void follow_partition(const replication::TopicImage& topic, int32_t index, const storage::LogConfig& config);
  void send_group_answer(RequestToken token, GroupResponse response);
  void take_group_answer(RequestToken token, GroupResponse response);
  static reactor::Task<void> mail_group_answer(BrokerCore& from, reactor::CoreId to, RequestToken token,
                                               GroupResponse response);

  reactor::Core& core_;
  BrokerHost& host_;
  const BrokerOptions& options_;
  storage::Engine& engine_;
  reactor::Borrower<ClusterView> views_;
  GroupService groups_;
  reactor::Semaphore append_turn_;
  reactor::Semaphore fetch_memory_;
  reactor::Instant readers_pressed_until_;
  reactor::Instant next_word_on_room_;
  FetchWaits fetch_waits_;
  FetchSessions fetch_sessions_;
  WaitMemory wait_memory_;
  reactor::Semaphore auto_creation_turn_;
  uint32_t auto_creations_ = 0;  // that have the turn or wait for it
  uint64_t next_group_call_ = 1;
  std::map<RequestToken, GroupCall*> group_calls_;
  reactor::Event maintenance_over_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::broker
