#include "broker/broker_core.h"

#include <exception>

#include "broker/broker_host.h"
#include "broker/handlers/handler.h"
#include "broker/partitions/partition_place.h"
#include "broker/planted_bugs.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using config::TopicSettings;
using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::Uuid;
using reactor::Core;
using reactor::CoreId;
using reactor::Task;
using replication::kConsumerOffsetsTopic;
using replication::TopicImage;

// A token has the number of the core that asked in its upper bits: the answer goes there.
constexpr int kTokenCoreShift = 48;

// A core that waits for room repeats it this often; what it said holds twice as long, so that it does not lapse
// between.
constexpr reactor::Duration kRoomWordInterval = std::chrono::seconds(1);

// Partitions whose settings and roles are brought up to date in one step: some 100 us of a core.
constexpr size_t kFollowedAtOnce = 256;

CoreId core_of(RequestToken token) { return static_cast<CoreId>(token >> kTokenCoreShift); }

FetchSessionLimits session_limits(Core& core, const BrokerOptions& options) {
  return {.sessions = options.fetch_sessions / core.core_count(),
          .partitions = static_cast<uint32_t>(options.fetch_session_bytes / kFetchSessionPartitionBytes)};
}

}  // namespace

BrokerCore::BrokerCore(Core& core, BrokerHost& host, const BrokerOptions& options, storage::Engine& engine)
    : CoreOwned(core),
      core_(core),
      host_(host),
      options_(options),
      engine_(engine),
      views_([this](uint64_t number) { give_back_view(number); }),
      groups_(core, options.group, options.group_memory_bytes,
              [this](RequestToken token, GroupResponse response) { send_group_answer(token, std::move(response)); }),
      append_turn_(core, 1),
      fetch_memory_(core, options.fetch_memory_bytes),
      fetch_waits_(*this),
      fetch_sessions_(session_limits(core, options), core.id(), core.core_count()),
      wait_memory_(options.wait_memory_bytes),
      auto_creation_turn_(core, 1),
      maintenance_over_(core),
      scope_(core) {}

BrokerCore& BrokerCore::there(Core& core) {
  BrokerCore& other = host_.on(core.id());
  other.check_core();
  return other;
}

Task<Response> BrokerCore::handle(ConnectionContext& context, Request& request) {
  check_core();
  return handle_request(*this, context, request);
}

bool BrokerCore::waits_for_readers() const {
  return fetch_memory_.has_waiters() || core_.now() < readers_pressed_until_;
}

void BrokerCore::tell_if_readers_hold_room() {
  // Clean chunks are evicted when their room is needed: above the cache's limit are only those that answers hold.
  if (engine_.stats().clean_bytes <= options_.engine.cache_bytes_max || core_.now() < next_word_on_room_) return;
  next_word_on_room_ = core_.now() + kRoomWordInterval;
  for (CoreId to = 0; to < core_.core_count(); ++to) scope_.spawn_job(mail_readers_hold_room(*this, to));
}

Task<void> BrokerCore::mail_readers_hold_room(BrokerCore& from, CoreId to) {
  auto press = [&from](Core& there) { from.there(there).readers_pressed_until_ = there.now() + 2 * kRoomWordInterval; };
  co_await reactor::on_core(from.core_, to, std::move(press), reactor::MessageClass::kPush);
}

void BrokerCore::give_back_view(uint64_t number) {
  // A host that dies frees everything at once.
  if (core_.abandoned() || std::uncaught_exceptions() > 0) return;
  if (reactor::planted(kBugs["class-order"])) return scope_.spawn(mail_view_back(*this, number));
  scope_.spawn_job(mail_view_back(*this, number));
}

Task<void> BrokerCore::mail_view_back(BrokerCore& from, uint64_t number) {
  auto give_back = [&from, number](Core& zero) { from.there(zero).host_.views().given_back(number); };
  co_await reactor::on_core(
      from.core_, 0, std::move(give_back),
      reactor::planted(kBugs["class-order"]) ? reactor::MessageClass::kRequest : reactor::MessageClass::kPush);
}

Task<void> BrokerCore::adopt_view(reactor::Loan<ClusterView> loan) {
  check_core();
  views_.take(loan);
  if (loan.snapshot->all_changed) co_return co_await follow_all_topics();
  const std::vector<Uuid> changed = loan.snapshot->changed;
  reactor::Pace pace(kFollowedAtOnce);
  for (const Uuid& id : changed) {
    // After each step the newest snapshot may be another one, in which there is no such topic.
    int32_t next = 0;
    while (const TopicImage* topic = view()->image.topic(id)) {
      next = follow_topic(*topic, next, pace);
      if (next == kAllFollowed) break;
      co_await core_.yield(reactor::CpuClass::kBackground);
    }
  }
}

Task<void> BrokerCore::follow_all_topics() {
  reactor::Pace pace(kFollowedAtOnce);
  std::string at;
  int32_t next = 0;
  for (bool more = true; more;) {
    more = false;
    view()->image.topics().visit_from(at, [&](const TopicImage& topic) {
      if (topic.name != at) next = 0;
      next = follow_topic(topic, next, pace);
      more = next != kAllFollowed;
      if (more) at = topic.name;
      return !more;
    });
    if (more) co_await core_.yield(reactor::CpuClass::kBackground);
  }
}

int32_t BrokerCore::follow_topic(const TopicImage& topic, int32_t from, reactor::Pace& pace) {
  const storage::LogConfig config =
      log_config(TopicSettings(topic.configs(), *view()->topic_defaults), options_.producers);
  for (int32_t index = from; index < static_cast<int32_t>(topic.partitions.size()); ++index) {
    if (pace.is_due(1)) return index;
    follow_partition(topic, index, config);
  }
  return kAllFollowed;
}

void BrokerCore::follow_partition(const TopicImage& topic, int32_t index, const storage::LogConfig& config) {
  if (view()->owner(topic.id, index) != core_.id()) return;
  storage::Partition* partition = engine_.find(topic.id.bytes, index);
  if (partition == nullptr) return;
  partition->set_config(config);
  ReplicaRole role = role_of(view()->image, topic, index, view()->node_id);
  const int32_t epoch = role.term.leader_epoch;
  const bool leads = take_role(std::move(role), replication::Replica::of(*partition));
  if (topic.name != kConsumerOffsetsTopic) return;
  if (leads) {
    groups_.lead(index, engine_, *partition, epoch);
  } else if (GroupPartition* const group = groups_.find(index)) {
    group->resign();
  }
}

Task<std::optional<GroupResponse>> BrokerCore::ask_group(ConnectionContext& context, CoreId owner, int32_t index,
                                                         const std::function<GroupEvent()>& make, Request* waits) {
  check_core();
  const RequestToken token = uint64_t{core_.id()} << kTokenCoreShift | next_group_call_++;
  GroupCall call(core_);
  call.on_close = [](net::CloseWatcher& watcher) {
    auto& self = static_cast<GroupCall&>(watcher);
    self.abandoned = true;
    self.changed.notify_all();
  };
  if (context.closing()) co_return std::nullopt;
  context.watch(call);
  group_calls_.emplace(token, &call);
  // Only handing the request over is a call; the answer is mail of its own. A Join may wait for minutes, and the credit
  // of a call that waits is missing for all others.
  auto hand_over = [this, token, index, &make](Core& there_core) {
    GroupPartition* partition = there(there_core).groups_.find(index);
    if (partition == nullptr) return false;
    partition->submit(token, make());
    return true;
  };
  const bool accepted = co_await reactor::on_core(core_, owner, std::move(hand_over));
  if (waits != nullptr) waits->release();
  while (accepted && !call.response && !call.abandoned) co_await call.changed.wait();
  group_calls_.erase(token);
  co_return std::move(call.response);
}

void BrokerCore::send_group_answer(RequestToken token, GroupResponse response) {
  if (core_of(token) == core_.id()) return take_group_answer(token, std::move(response));
  scope_.spawn_job(mail_group_answer(*this, core_of(token), token, std::move(response)));
}

Task<void> BrokerCore::mail_group_answer(BrokerCore& from, CoreId to, RequestToken token, GroupResponse response) {
  auto deliver = [&](Core& there_core) { from.there(there_core).take_group_answer(token, std::move(response)); };
  co_await reactor::on_core(from.core_, to, std::move(deliver), reactor::MessageClass::kPush);
}

void BrokerCore::take_group_answer(RequestToken token, GroupResponse response) {
  const auto found = group_calls_.find(token);
  if (found == group_calls_.end()) return;  // the connection ended meanwhile
  found->second->response = std::move(response);
  found->second->changed.notify_all();
}

Task<void> BrokerCore::run_maintenance() {
  while (!co_await maintenance_over_.wait_until(core_.now() + options_.retention_check_interval)) {
    std::vector<storage::Uid> uids;
    engine_.for_each([&](storage::Partition& partition) { uids.push_back(partition.uid()); });
    for (const storage::Uid uid : uids) {
      co_await core_.yield(reactor::CpuClass::kBackground);
      if (maintenance_over_.is_set()) break;
      storage::Partition* partition = engine_.find(uid);
      if (partition == nullptr) continue;
      // The leader decides what is deleted: the log start of the followers follows its own.
      if (replication::Replica::of(*partition).role() != replication::Role::kLeader) continue;
      const reactor::Result<void> done = co_await partition->apply_retention(core_.wall_now());
      if (!done) {
        core_.log(reactor::LogLevel::kWarning, "retention_failed",
                  fmt::format("uid={} error={}", uid, to_string(done.error())));
      }
    }
  }
}

Task<void> BrokerCore::stop() {
  co_await groups_.stop();
  co_await scope_.join();
}

}  // namespace posthaste::broker
