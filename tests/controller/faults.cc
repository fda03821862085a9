// What goes wrong in the model world, and how brokers start and stop.
#include <fmt/format.h>

#include <algorithm>

#include "tests/controller/world.h"

namespace posthaste::controller_model {

using namespace replication;
using namespace std::chrono_literals;

World::World(uint64_t seed, bool verbose)
    : random_(seed), verbose_(verbose), checker_(*this), defaults_(config::topic_config_defaults({})) {
  defaults_.insert_or_assign("min.insync.replicas", "2");
  const uint64_t brokers = 3 + random_.below(3);
  for (uint64_t i = 0; i < brokers; ++i) {
    brokers_.push_back({.id = static_cast<int32_t>(i + 1), .directory = draw_id()});
  }
  if (chance(2)) liar_ = any().id;
  fault_every_ = static_cast<uint32_t>(2 + random_.below(12));
  has_operators_ = chance(2);
  do_disks_fail_often_ = chance(4);
}

Uuid World::draw_id() {
  Uuid id;
  const uint64_t number = ++ids_;
  for (size_t i = 0; i < sizeof number; ++i) id.bytes[i] = static_cast<std::byte>(number >> (8 * i));
  return id;
}

void World::say(const std::string& what) {
  if (verbose_) fmt::print("{:8} ms  {}\n", now_.nanoseconds / 1'000'000, what);
}

// SIGKILL, or the machine loses power. The controller may see the connection end, and a port that refuses.
void World::go_down(Broker& broker, bool power_lost) {
  if (!broker.is_alive) return;
  say(fmt::format("broker {} {}", broker.id, power_lost ? "loses power" : "is killed"));
  ++(power_lost ? counts_.power_losses : counts_.kills);
  broker.is_alive = false;
  broker.isr.reset();
  broker.start_at = now_ + std::chrono::milliseconds(random_.between(100, 8'000));
  cut_logs(broker, power_lost && broker.id == liar_);
  if (power_lost) {
    ++broker.boot;
    broker.must_verify = true;
  }
  if (broker.broker_epoch == -1 || chance(3)) return;
  sessions_.early().connection_ended(broker.id, broker.broker_epoch);
  if (chance(2)) sessions_.early().refused(broker.id, broker.broker_epoch);
}

void World::cut_logs(Broker& broker, bool may_lie) {
  for (auto& [key, log] : broker.logs) {
    size_t left = log.durable + random_.below(log.entries.size() - log.durable + 1);
    if (may_lie && log.durable > 0 && chance(2)) {
      left = random_.below(log.durable);
      ++counts_.lies;
    }
    log.entries.resize(left);
    log.durable = left;  // recovery syncs what it finds
    broker.high_watermarks[key] = std::min(broker.high_watermarks[key], left);
  }
}

void World::stop_orderly(Broker& broker) {
  say(fmt::format("broker {} ends", broker.id));
  ++counts_.shutdowns;
  for (auto& [key, log] : broker.logs) log.durable = log.entries.size();
  broker.is_alive = false;
  broker.isr.reset();
  broker.start_at = now_ + std::chrono::milliseconds(random_.between(100, 5'000));
  sessions_.early().connection_ended(broker.id, broker.broker_epoch);
}

void World::start(Broker& broker) {
  say(fmt::format("broker {} starts{}", broker.id, broker.must_verify ? ", unverified" : ""));
  broker.is_alive = true;
  broker.incarnation = draw_id();
  broker.broker_epoch = -1;
  broker.is_registering = false;
  broker.wants_shutdown = false;
  broker.leading.clear();
  broker.isr = std::make_unique<IsrKeeping>(
      *this, broker.id,
      IsrTimes{.lag_max = std::chrono::milliseconds(random_.between(300, 3'000)), .image_overdue = 2s});
}

// Of a broker that is down.
void World::replace_disk(Broker& broker) {
  if (broker.is_alive) return;
  say(fmt::format("the disk of broker {} is replaced", broker.id));
  ++counts_.wipes;
  broker.directory = draw_id();
  broker.logs.clear();
  broker.high_watermarks.clear();
  broker.must_verify = false;
  broker.is_replaced = true;
  if (chance(2)) broker.start_at = now_;  // before what was said of its old disk has been heard everywhere
}

void World::disturb() {
  Broker& broker = any();
  constexpr uint64_t kKinds = 16;
  constexpr uint64_t kOperatorsKinds = 3;
  switch (random_.below(kKinds + (has_operators_ ? kOperatorsKinds : 0))) {
    case 0:
    case 1:
    case 2:
      go_down(broker, /*power_lost=*/false);
      return do_disks_fail_often_ && chance(2) ? replace_disk(broker) : void();
    case 3:
    case 4:
      return go_down(broker, /*power_lost=*/true);
    case 5:
      if (chance(3)) {
        for (Broker& each : brokers_) {
          if (each.id != liar_) go_down(each, /*power_lost=*/chance(2));
        }
      }
      return;
    case 6:
      return replace_disk(broker);
    case 7:
      broker.wants_shutdown = broker.is_alive && broker.broker_epoch != -1;
      return;
    case 8:
    case 9:
      broker.cut_off_until = now_ + std::chrono::milliseconds(random_.between(500, 8'000));
      if (broker.broker_epoch != -1 && chance(2)) {
        sessions_.early().connection_ended(broker.id, broker.broker_epoch);
        if (chance(2)) sessions_.early().refused(broker.id, broker.broker_epoch);
      }
      return;
    case 10:
      return chance(3) ? fail_over() : has_operators_ && chance(8) ? remove_broker() : void();
    case 11:
    case 12:
      return change_settings();
    case 13:
    case 14:
      return chance(6) ? grow_topic() : make_topic();
    case 15:
      return chance(6) ? remove_topic() : void();
    case 16:
      return ask_for_leaders();
    default:
      return reassign();
  }
}

void World::heal() {
  is_healed_ = true;
  for (Broker& broker : brokers_) {
    broker.start_at = now_;
    broker.cut_off_until = now_;
    broker.wants_shutdown = false;
  }
  // Who has asked to end does so, and comes back.
  for (Broker& broker : brokers_) {
    const RegisterBrokerRecord* registration = image_.broker(broker.id);
    if (registration != nullptr && registration->in_controlled_shutdown && broker.is_alive) {
      stop_orderly(broker);
      broker.start_at = now_;
    }
  }
}

}  // namespace posthaste::controller_model
