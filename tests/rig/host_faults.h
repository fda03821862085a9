// Every fault of several hosts, drawn from the seed: deaths, pauses, clocks, disks and links. Each seed has
// its own mix. It does not know what the hosts run; its user starts them. One thread, between steps of the
// world.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "reactor/simulated/world.h"

namespace posthaste::rig {

enum class Fault : uint8_t {
  kKill,
  kPowerOff,
  kPowerOffAll,
  kPauseMachine,
  kSuspendMachine,
  kPauseCore,
  kSlowDisk,
  kWallJump,
  kWallFreeze,
  kBlockOneWay,
  kIsolate,
  kClog,
  kPoorLink,
  kForgetConnections,
  kResetConnections,
  kLose,
  kCount,
};
inline constexpr size_t kFaults = static_cast<size_t>(Fault::kCount);
using FaultCounts = std::array<uint64_t, kFaults>;
std::string describe(const FaultCounts& counts);  // "kill 3, clog 1"
void add(FaultCounts& total, const FaultCounts& counts);

class HostFaults {
 public:
  struct Hosts {
    std::vector<reactor::simulated::Host*> mortal;            // they die, pause, forget
    std::vector<reactor::simulated::Host*> others;            // their links to the mortal ones suffer, nothing else
    size_t losses_max = 0;                                    // how many of the mortal ones may be lost permanently
    reactor::Duration wall_jump_max = std::chrono::hours(2);  // of one jump, either way
  };
  // `start` brings up a mortal host that is down; `lost` is called for one that never comes back.
  HostFaults(reactor::simulated::World& world, Hosts hosts, std::function<void(size_t)> start,
             std::function<void(size_t)> lost);

  // One fault, or the end of some, or of all.
  void disturb();
  // Everything works again, and each host that is not lost is up, or has been asked to be.
  void heal();

  bool lost(size_t mortal) const;
  const FaultCounts& counts() const { return counts_; }

 private:
  using Host = reactor::simulated::Host;
  void inflict(Fault fault, Host& host);
  void mend();
  void trouble_links(Fault fault, Host& host);
  void isolate(Host& host);
  void lose(size_t mortal);
  void revive();
  Host& any_other(const Host& host);
  reactor::Duration up_to(reactor::Duration most);

  reactor::simulated::World& world_;
  reactor::simulated::Random& random_;
  Hosts hosts_;
  std::function<void(size_t)> start_;
  std::function<void(size_t)> lost_;
  std::vector<Fault> mix_;  // of this seed; a fault that is listed twice comes twice as often
  size_t losses_ = 0;
  FaultCounts counts_{};
};

}  // namespace posthaste::rig
