// A world of simulated hosts: all cores of all hosts, their disks, the network and the clocks, in one thread, every
// choice drawn from one seed. The same seed and the same calls give the same trace hash, in every build.
//
//   World world(seed);
//   Host& host = world.add_host({.cores = 2}, "10.0.0.1", program);
//   host.start();
//   ASSERT_TRUE(world.run_until([&] { return done; }, 10s)) << world.log_tail();
//
// Crash tests of one core without latencies: World(seed, WorldOptions::instant()), host.on_submit() and
// host.disk().crash_image(); see docs/testing.md.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reactor/mail.h"
#include "reactor/program.h"
#include "reactor/simulated/clocks.h"
#include "reactor/simulated/disk.h"
#include "reactor/simulated/names.h"
#include "reactor/simulated/network.h"
#include "reactor/simulated/options.h"
#include "reactor/simulated/simulated_backend.h"
#include "reactor/simulated/timeline.h"

namespace posthaste::reactor::simulated {

class World;

enum class HostState : uint8_t {
  kOff,  // never started, or power_off()
  kRunning,
  kStopped,  // all programs returned
  kKilled,   // kill()
  kFatal,    // fatal(): see fatal_reason()
  kLost,     // lose(): for ever
};

// What a pause of a whole machine does to its clocks.
enum class PausedClocks : uint8_t {
  kGoOn,        // its processors stood still (a hypervisor without time for it): the clocks show the time that passed
  kStandStill,  // it was suspended, or moved to other hardware: both clocks go on from where they stood, and the wall
                // clock is late until it is set (jump_wall_clock)
};

// One machine. It keeps its disk and address; what runs on it comes and goes (a life). All calls from outside its
// turns; kill(), power_off() and start() may also be called by its own program and then happen after the turn.
class Host final : public EventTarget {
 public:
  Host(World& world, uint32_t id, HostOptions options, std::string ip, Program program, DiskOptions disk_options);
  ~Host();

  uint32_t id() const { return id_; }
  const std::string& ip() const { return ip_; }
  HostState state() const { return state_; }
  bool running() const { return state_ == HostState::kRunning; }
  bool machine_is_on() const { return machine_on_; }
  FatalReason fatal_reason() const { return fatal_reason_; }
  const std::string& fatal_message() const { return fatal_message_; }
  uint32_t life() const { return life_number_; }  // counts starts
  Disk& disk() { return disk_; }
  World& world() { return world_; }
  Core& core(CoreId core);  // of a running host
  SimulatedBackend& backend(CoreId core);

  void set_program(Program program) { program_ = std::move(program); }
  void set_options(HostOptions options) { options_ = options; }
  // Starts the program on every core. The host must not be running.
  void start();
  // Backends without cores, driven by SimulatedBackend::wait(): for conformance tests.
  void start_bare();
  // Asks for an orderly end; state() is kStopped when all programs have returned.
  void stop();
  // SIGKILL: frames are destroyed where they stand; completed writes stay, those in flight happened or not; the kernel
  // closes the sockets.
  void kill();
  // The machine loses power: the disk keeps what Disk says; peers hear nothing until it is on again.
  void power_off(CrashPolicy policy = {});
  // Machine and disk are gone for ever: its peers hear nothing, and it must not be started again.
  void lose();
  // A new, empty disk for a machine that is off.
  void replace_disk();

  // Faults.
  void pause(CoreId core, Duration duration);  // that core takes no turn for so long
  // The whole machine stands still: no core takes a turn, it sends nothing and answers nothing, while time passes.
  // What its disk has in flight ends meanwhile. Then it continues as if nothing had been; the longest of several pauses
  // counts. A death ends the pause. No effect on a machine on which nothing runs.
  void pause_machine(Duration duration, PausedClocks clocks = PausedClocks::kGoOn);
  bool machine_is_paused() const { return pause_.has_value(); }
  void jump_wall_clock(Duration by) { clocks_.jump_wall(by.count()); }
  void freeze_wall_clock() { clocks_.freeze_wall(timeline().now()); }
  // It continues from its present state.
  void thaw_wall_clock() { clocks_.thaw_wall(timeline().now()); }
  // Operations that begin from now on take so many times as long; those in flight take what they were given.
  void slow_disk(uint32_t factor) { disk_factor_ = factor; }
  // The disk is as fast as ever, also for what is in flight: that ends as if it began now, or earlier.
  void heal_disk();

  // Operations submitted in this life, by all cores. on_submit() is called for each when it is in flight (index from
  // 1); it may take crash images or end the life (kill(), crash_after_operations(index)), nothing else. After operation
  // `count` in this life the power goes as by power_off(policy): later ones of the same batch are not submitted. 0
  // switches it off.
  uint64_t operations_submitted() const { return operations_submitted_; }
  void on_submit(std::function<void(const Op& op, uint64_t index)> hook) { on_submit_ = std::move(hook); }
  void crash_after_operations(uint64_t count, CrashPolicy policy = {});

  // --- For the simulator's own parts.
  void fire(const Event& event) override;
  enum EventKind : uint32_t { kRunCore, kDiskDone, kResultDue, kPauseOver };
  bool note_submit(const Op& op);  // false: the power went before this operation
  bool crash_due() const { return crash_due_; }
  void completion_arrived(CoreId core);
  void wake(CoreId core) { make_runnable(core); }
  Instant monotonic_now() const { return {clocks_.monotonic(timeline().now())}; }
  int64_t world_time(Instant local) const { return clocks_.world(local.nanoseconds); }
  WallMillis wall_now() const { return clocks_.wall(timeline().now()); }
  uint32_t disk_factor() const { return disk_factor_; }
  int add_detached(EndpointId endpoint);
  Result<EndpointId> take_detached(int detached);

 private:
  struct Life;
  struct CoreState {
    bool scheduled = false;
    int64_t scheduled_at = 0;
    uint64_t generation = 0;
    int64_t not_before = 0;
    bool due_after_pause = false;  // of the machine
  };
  struct Pause {
    int64_t began = 0;
    int64_t until = 0;
    PausedClocks clocks{};
  };
  enum class Death : uint8_t { kNone, kKill, kPower };

  Timeline& timeline() const;
  const WorldOptions& options() const;
  void begin_life(bool with_cores);
  void run_core(CoreId core);
  bool take_turn(CoreId core);
  void after_turn(CoreId core);
  void make_runnable(CoreId core);
  void schedule_core(CoreId core, int64_t at);
  void pause_over();
  void die(HostState state, bool power_lost);
  void end_orderly();

  World& world_;
  uint32_t id_;
  HostOptions options_;
  std::string ip_;
  Program program_;
  Disk disk_;
  HostState state_ = HostState::kOff;
  bool machine_on_ = false;
  uint32_t life_number_ = 0;
  std::unique_ptr<Life> life_;
  std::vector<CoreState> cores_;
  bool in_turn_ = false;
  Death death_after_turn_ = Death::kNone;
  bool start_after_turn_ = false;
  CrashPolicy crash_policy_;
  bool crash_due_ = false;
  uint64_t crash_after_ = 0;
  uint64_t operations_submitted_ = 0;
  std::function<void(const Op&, uint64_t)> on_submit_;
  FatalReason fatal_reason_{};
  std::string fatal_message_;
  Clocks clocks_;
  std::optional<Pause> pause_;
  uint32_t disk_factor_ = 1;
  std::vector<EndpointId> detached_;
};

class World final : private EventTarget {
 public:
  explicit World(uint64_t seed, WorldOptions options = {});
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();  // kills what still runs

  // `ip` like "10.0.0.1"; unique. Not started yet.
  Host& add_host(HostOptions options, std::string ip, Program program, DiskOptions disk_options = {});
  Host& host(size_t index) { return *hosts_[index]; }
  size_t host_count() const { return hosts_.size(); }
  Host* find_host(std::string_view ip);

  // Fires the next event. False if there is none: everything waits for ever.
  bool step();
  void run_for(Duration duration);
  // Steps until `done()` holds (true) or the limit passes or nothing can happen any more (whether it holds then).
  template <class Predicate>
  bool run_until(Predicate&& done, Duration limit) {
    const int64_t end = timeline_.now() + limit.count();
    while (!done()) {
      if (timeline_.empty() || timeline_.next_at() > end) {
        timeline_.skip_to(end);
        return done();
      }
      step();
    }
    return true;
  }
  // `action` runs then, between turns: for scripts of faults.
  void after(Duration delay, std::function<void()> action);

  uint64_t seed() const { return seed_; }
  // Since the world began.
  Duration elapsed() const { return Duration(timeline_.now()); }
  // For the test's own choices: part of the seed's stream.
  Random& random() { return timeline_.random(); }
  uint64_t trace_hash() const;
  Network& network() { return network_; }
  Names& names() { return names_; }
  Timeline& timeline() { return timeline_; }
  WorldOptions& options() { return options_; }
  const WorldOptions& options() const { return options_; }

  const std::deque<std::string>& log_lines() const { return log_lines_; }
  // Seed, time and the last log lines: print it when a test fails.
  std::string log_tail(size_t lines = 40) const;
  void log(const Host& host, CoreId core, LogLevel level, std::string_view line);

 private:
  void fire(const Event& event) override;

  uint64_t seed_;
  WorldOptions options_;
  Timeline timeline_;
  Network network_;
  Names names_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<std::function<void()>> actions_;
  std::deque<std::string> log_lines_;
};

}  // namespace posthaste::reactor::simulated
