#include "tests/simulation/broker_with_clients.h"

#include <fmt/format.h>

#include "broker/broker_core.h"
#include "broker/broker_host.h"
#include "reactor/scope.h"

namespace posthaste::simulation {

using reactor::CoreId;
using reactor::Task;
using reactor::simulated::HostState;
using reactor::simulated::World;
using namespace std::chrono_literals;

namespace {

constexpr uint16_t kPort = 9092;
constexpr CoreId kCoresMax = 8;
constexpr size_t kPoolBytes = size_t{32} << 20;
constexpr size_t kClientPoolBytes = size_t{1} << 20;
constexpr uint64_t kTailBytesMin = uint64_t{256} << 10;  // several of the largest batches of the models
constexpr uint64_t kCacheBytesMin = 4096;                // one chunk

std::string broker_ip(uint32_t number) { return fmt::format("10.0.0.{}", number + 1); }
std::string client_ip(uint32_t number, uint32_t client) { return fmt::format("10.0.{}.{}", number + 1, client); }

}  // namespace

BrokerWithClients::BrokerWithClients(World& world, uint32_t number)
    : world_(world),
      random_(world.random()),
      number_(number),
      host_(world.add_host({.cores = 1, .pool_bytes_per_core = kPoolBytes}, broker_ip(number), {})) {
  models_.broker_address = fmt::format("{}:{}", broker_ip(number), kPort);
  models_.group = "kitchen";
  models_.set_replica = [this](const PartitionName& name, ReplicaState state) { set_replica(name, state); };
  models_.topics = {{"orders", static_cast<int32_t>(1 + random_.below(6))},
                    {"payments", static_cast<int32_t>(1 + random_.below(3))}};
}

broker::BrokerOptions BrokerWithClients::options() {
  broker::BrokerOptions options;
  options.data_folder = "/data";
  if (number_ > 0) options.node_id = static_cast<int32_t>(number_ + 1);
  options.listeners.push_back({.host = broker_ip(number_), .port = kPort});
  options.engine.streams = static_cast<uint16_t>(random_.below(2) == 0 ? 1 : cores_);
  options.engine.journal_file_bytes = uint64_t{256} << 10;
  options.engine.commit_bytes_max = uint32_t{64} << 10;
  // Often less than the load of a run: what is read leaves the memory again while answers are still sent from it.
  options.engine.journal_files = static_cast<uint16_t>(4U << random_.below(4));
  options.engine.tail_bytes_max = kTailBytesMin << random_.below(5);
  options.engine.cache_bytes_max = kCacheBytesMin << random_.below(9);
  options.connection.request_memory_bytes = uint64_t{4} << 20;
  options.fetch_memory_bytes = uint64_t{4} << 20;
  options.group.initial_rebalance_delay_ms = 500;
  options.offsets_topic_partitions = 4;
  return options;
}

void BrokerWithClients::start() {
  stop_asked_ = false;
  cores_ = static_cast<CoreId>(1 + random_.below(kCoresMax));
  models_.broker_cores = cores_;
  shared_ = std::make_shared<broker::BrokerHost>();
  host_.set_options({.cores = cores_, .pool_bytes_per_core = kPoolBytes});
  host_.set_program(broker::make_broker_program(options(), shared_));
  host_.start();
}

void BrokerWithClients::stop() {
  stop_asked_ = true;
  host_.stop();
}

void BrokerWithClients::start_clients() {
  producers_ = &world_.add_host({.cores = 1, .pool_bytes_per_core = kClientPoolBytes}, client_ip(number_, 1),
                                [this](reactor::Core& core) { return run_producers(core); });
  consumers_ = &world_.add_host({.cores = 1, .pool_bytes_per_core = kClientPoolBytes}, client_ip(number_, 2),
                                [this](reactor::Core& core) { return run_consumers(core); });
  producer_count_ = static_cast<uint32_t>(1 + random_.below(3));
  plain_count_ = static_cast<uint32_t>(random_.below(3));
  consumer_count_ = static_cast<uint32_t>(1 + random_.below(4));
  member_count_ = static_cast<uint32_t>(1 + random_.below(4));
  producers_->start();
  consumers_->start();
}

void BrokerWithClients::kill_clients() {
  producers_->kill();
  consumers_->kill();
}

Task<void> BrokerWithClients::run_producers(reactor::Core& core) {
  co_await create_topics(core, models_);
  reactor::TaskScope scope(core);
  for (uint32_t i = 0; i < producer_count_; ++i) scope.spawn(idempotent_producer(core, models_, i));
  for (uint32_t i = 0; i < plain_count_; ++i) scope.spawn(plain_producer(core, models_, i));
  co_await scope.join();
  producers_over_ = true;
}

Task<void> BrokerWithClients::run_consumers(reactor::Core& core) {
  std::mt19937_64 random = detail::seeded(core);
  reactor::TaskScope scope(core);
  for (uint32_t i = 0; i < consumer_count_; ++i) {
    scope.spawn(consumer(core, models_, detail::any_partition(models_, random), i));
  }
  for (uint32_t i = 0; i < member_count_; ++i) scope.spawn(group_member(core, models_, i));
  scope.spawn(offset_keeper(core, models_));
  co_await scope.join();
  while (!producers_over_) co_await core.sleep(50ms);
  co_await long_poller(core, models_);
  co_await held_replica(core, models_);
  co_await session_reader(core, models_);
  co_await waiting_crowd(core, models_);
  co_await final_reader(core, models_);
}

// From a client's turn, at what the broker's cores own.
void BrokerWithClients::set_replica(const PartitionName& name, ReplicaState state) {
  for (CoreId core = 0; core < cores_ && host_.running(); ++core) {
    const reactor::RunningAs as(host_.core(core));
    shared_->on(core).engine().for_each([&](storage::Partition& partition) {
      if (partition.topic_name() != name.topic || partition.partition() != name.index) return;
      auto& replica = replication::Replica::of(partition);
      if (state == ReplicaState::kNone) return replica.resign();
      replication::InSyncSet in_sync;
      if (state == ReplicaState::kHeldBack) in_sync.others.push_back({.broker = 99});
      replica.become_leader(replica.term(), std::move(in_sync));
    });
    host_.wake(core);  // it may sleep, and has news to pass on
  }
}

bool BrokerWithClients::dead() const {
  return host_.state() == HostState::kFatal || host_.state() == HostState::kStopped;
}

std::optional<std::string> BrokerWithClients::check() const {
  if (models_.oracle.violated()) return models_.oracle.violated();
  if (host_.state() == HostState::kFatal) return "fatal: " + host_.fatal_message();
  if (host_.state() == HostState::kStopped && !stop_asked_) {
    return "the broker ended by itself: " + (shared_ ? shared_->failure() : std::string());
  }
  return std::nullopt;
}

}  // namespace posthaste::simulation
