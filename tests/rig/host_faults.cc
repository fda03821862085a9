#include "tests/rig/host_faults.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::rig {

using reactor::CoreId;
using reactor::Duration;
using reactor::simulated::DurationRange;
using reactor::simulated::HostState;
using reactor::simulated::LinkOptions;
using reactor::simulated::Network;
using reactor::simulated::PausedClocks;
using namespace std::chrono_literals;

namespace {

constexpr Duration kPauseMax = 4s;  // longer than any patience of what runs there
constexpr Duration kClogMax = 3s;
constexpr Duration kCorePauseMax = 800ms;
constexpr Duration kLinkLatencyMax = 200ms;
constexpr uint64_t kLinkBytesPerMsMin = 2;  // 2 KB/s
constexpr uint64_t kLinkBytesPerMsMax = 2000;
constexpr uint32_t kLossPerMillionMax = 200'000;
constexpr uint64_t kDiskFactorMax = 60;

constexpr std::array<std::string_view, kFaults> kNames = {
    "kill",      "power off", "power off all", "pause machine", "suspend machine", "pause core",
    "slow disk", "wall jump", "wall freeze",   "block one way", "isolate",         "clog",
    "poor link", "forget",    "reset",         "lose"};

}  // namespace

std::string describe(const FaultCounts& counts) {
  std::string text;
  for (size_t i = 0; i < kFaults; ++i) {
    if (counts[i] > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kNames[i], counts[i]);
  }
  return text;
}

void add(FaultCounts& total, const FaultCounts& counts) {
  for (size_t i = 0; i < kFaults; ++i) total[i] += counts[i];
}

HostFaults::HostFaults(reactor::simulated::World& world, Hosts hosts, std::function<void(size_t)> start,
                       std::function<void(size_t)> lost)
    : world_(world),
      random_(world.random()),
      hosts_(std::move(hosts)),
      start_(std::move(start)),
      lost_(std::move(lost)) {
  for (size_t i = 0; i < kFaults; ++i) mix_.insert(mix_.end(), random_.below(3), static_cast<Fault>(i));
  if (mix_.empty()) mix_.push_back(Fault::kKill);
}

Duration HostFaults::up_to(Duration most) { return Duration(random_.between(0, most.count())); }

bool HostFaults::lost(size_t mortal) const { return hosts_.mortal[mortal]->state() == HostState::kLost; }

void HostFaults::disturb() {
  if (random_.below(12) == 0) return heal();  // else little would get done between the faults
  if (random_.below(3) == 0) return mend();
  const Fault fault = mix_[random_.below(mix_.size())];
  const size_t mortal = random_.below(hosts_.mortal.size());
  if (lost(mortal)) return;
  if (fault == Fault::kLose) return lose(mortal);
  ++counts_[static_cast<size_t>(fault)];
  inflict(fault, *hosts_.mortal[mortal]);
}

void HostFaults::inflict(Fault fault, Host& host) {
  switch (fault) {
    case Fault::kKill:
      return host.kill();
    case Fault::kPowerOff:
      return host.power_off();
    case Fault::kPowerOffAll:
      for (Host* each : hosts_.mortal) {
        if (each->state() != HostState::kLost) each->power_off();
      }
      return;
    case Fault::kPauseMachine:
      return host.pause_machine(up_to(kPauseMax), PausedClocks::kGoOn);
    case Fault::kSuspendMachine:
      return host.pause_machine(up_to(kPauseMax), PausedClocks::kStandStill);
    case Fault::kPauseCore:
      return host.pause(static_cast<CoreId>(random_.below(8)), up_to(kCorePauseMax));
    case Fault::kSlowDisk:
      return host.slow_disk(static_cast<uint32_t>(1 + random_.below(kDiskFactorMax)));
    case Fault::kWallJump:
      return host.jump_wall_clock(
          Duration(random_.between(-hosts_.wall_jump_max.count(), hosts_.wall_jump_max.count())));
    case Fault::kWallFreeze:
      return host.freeze_wall_clock();
    default:
      return trouble_links(fault, host);
  }
}

HostFaults::Host& HostFaults::any_other(const Host& host) {
  for (;;) {
    const size_t at = random_.below(hosts_.mortal.size() + hosts_.others.size());
    Host& other = at < hosts_.mortal.size() ? *hosts_.mortal[at] : *hosts_.others[at - hosts_.mortal.size()];
    if (&other != &host) return other;
  }
}

void HostFaults::trouble_links(Fault fault, Host& host) {
  Network& network = world_.network();
  Host& other = any_other(host);
  const bool outward = random_.below(2) == 0;
  const Host& from = outward ? host : other;
  const Host& to = outward ? other : host;
  if (fault == Fault::kBlockOneWay) network.block(from, to);
  if (fault == Fault::kIsolate) isolate(host);
  if (fault == Fault::kClog) network.clog(from, to, up_to(kClogMax));
  if (fault == Fault::kForgetConnections) network.forget_connections(from, to);
  if (fault == Fault::kResetConnections) network.reset_connections(host);
  if (fault == Fault::kPoorLink) {
    LinkOptions options;
    options.latency = DurationRange{1ms, 1ms + up_to(kLinkLatencyMax)};
    if (random_.below(2) == 0) {
      options.bytes_per_ms = static_cast<uint64_t>(random_.between(kLinkBytesPerMsMin, kLinkBytesPerMsMax));
    }
    options.loss_per_million = static_cast<uint32_t>(random_.below(kLossPerMillionMax));
    network.set_link(from, to, options);
  }
}

// From all hosts, or from the mortal ones only: then clients still reach it.
void HostFaults::isolate(Host& host) {
  std::vector<Host*> rest;
  for (Host* each : hosts_.mortal) {
    if (each != &host) rest.push_back(each);
  }
  if (random_.below(2) == 0) rest.insert(rest.end(), hosts_.others.begin(), hosts_.others.end());
  world_.network().partition({&host}, rest);
}

void HostFaults::lose(size_t mortal) {
  if (losses_ == hosts_.losses_max || random_.below(4) != 0) return;
  ++losses_;
  ++counts_[static_cast<size_t>(Fault::kLose)];
  hosts_.mortal[mortal]->lose();
  lost_(mortal);
}

// Hosts come back one by one, mostly; now and then the network heals, a clock is set, a disk is as ever.
void HostFaults::mend() {
  if (random_.below(3) == 0) world_.network().heal();
  Host& host = *hosts_.mortal[random_.below(hosts_.mortal.size())];
  if (random_.below(2) == 0) host.thaw_wall_clock();
  if (random_.below(2) == 0) host.heal_disk();
  if (random_.below(8) != 0) revive();
}

void HostFaults::revive() {
  for (size_t i = 0; i < hosts_.mortal.size(); ++i) {
    if (!hosts_.mortal[i]->running() && !lost(i) && random_.below(4) != 0) start_(i);
  }
}

void HostFaults::heal() {
  world_.network().heal();
  for (size_t i = 0; i < hosts_.mortal.size(); ++i) {
    if (lost(i)) continue;
    hosts_.mortal[i]->thaw_wall_clock();
    hosts_.mortal[i]->heal_disk();
    if (!hosts_.mortal[i]->running()) start_(i);
  }
}

}  // namespace posthaste::rig
