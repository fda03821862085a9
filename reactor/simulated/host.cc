// A simulated machine: its lives, its clocks, and whose turn it is among its cores. See world.h.
#include <algorithm>

#include "reactor/simulated/world.h"

namespace posthaste::reactor::simulated {
namespace {

// Carries fatal() out of the coroutines of a dying host, to take_turn(). Nothing else is ever thrown.
struct HostFatal {
  FatalReason reason;
  std::string message;
};

// Turns being taken on this thread; a fatal() outside of one is the test's own and ends the process.
thread_local uint32_t turns_being_taken = 0;

void throw_host_fatal(FatalReason reason, std::string_view message) {
  if (turns_being_taken > 0) throw HostFatal{reason, std::string(message)};
}

struct TakingTurn {
  TakingTurn() {
    set_fatal_handler(throw_host_fatal);
    ++turns_being_taken;
  }
  TakingTurn(const TakingTurn&) = delete;
  TakingTurn& operator=(const TakingTurn&) = delete;
  ~TakingTurn() { --turns_being_taken; }
};

}  // namespace

// What exists from a start to a death. Members in order of dependence: cores go first, then their backends.
struct Host::Life {
  explicit Life(CoreId count) : mailroom(count) {}
  Program program;  // holds the captures of the program's coroutines
  Mailroom mailroom;
  std::vector<std::unique_ptr<SimulatedBackend>> backends;
  std::vector<std::unique_ptr<Core>> cores;
};

Host::Host(World& world, uint32_t id, HostOptions options, std::string ip, Program program, DiskOptions disk_options)
    : world_(world),
      id_(id),
      options_(options),
      ip_(std::move(ip)),
      program_(std::move(program)),
      disk_(disk_options, world.random().next()),
      clocks_(world.random(), world.options()) {}

Host::~Host() = default;

Timeline& Host::timeline() const { return world_.timeline(); }
const WorldOptions& Host::options() const { return world_.options(); }

Core& Host::core(CoreId core) {
  CHECK(life_ != nullptr && core < life_->cores.size());
  return *life_->cores[core];
}

SimulatedBackend& Host::backend(CoreId core) {
  CHECK(life_ != nullptr && core < life_->backends.size());
  return *life_->backends[core];
}

// --- Lives.

void Host::begin_life(bool with_cores) {
  CHECK(life_ == nullptr, "{} runs already", ip_);
  CHECK(state_ != HostState::kLost, "{} is lost for ever", ip_);
  ++life_number_;
  state_ = HostState::kRunning;
  machine_on_ = true;
  crash_due_ = false;
  operations_submitted_ = 0;
  world_.log(*this, 0, LogLevel::kInfo,
             fmt::format("simulator: life {} begins, cores={}", life_number_, options_.cores));
  world_.network().host_is_back(*this);
  life_ = std::make_unique<Life>(options_.cores);
  cores_.assign(options_.cores, CoreState{});
  for (CoreId i = 0; i < options_.cores; ++i) {
    life_->backends.push_back(std::make_unique<SimulatedBackend>(*this, i));
  }
  if (!with_cores) return;
  life_->program = program_;
  const TakingTurn turn;
  try {
    for (CoreId i = 0; i < options_.cores; ++i) {
      life_->cores.push_back(
          std::make_unique<Core>(i, *life_->backends[i], life_->mailroom, options_.pool_bytes_per_core));
    }
    for (const auto& core : life_->cores) core->start(life_->program(*core));
  } catch (const HostFatal& fatal) {
    fatal_reason_ = fatal.reason;
    fatal_message_ = fatal.message;
    die(HostState::kFatal, false);
    return;
  }
  for (CoreId i = 0; i < options_.cores; ++i) make_runnable(i);
}

void Host::start() {
  if (in_turn_) {
    start_after_turn_ = true;
    return;
  }
  begin_life(true);
}

void Host::start_bare() { begin_life(false); }

void Host::stop() {
  if (life_ != nullptr) life_->mailroom.request_stop();
}

void Host::kill() {
  if (in_turn_) {
    death_after_turn_ = Death::kKill;
  } else if (life_ != nullptr) {
    die(HostState::kKilled, false);
  }
}

void Host::power_off(CrashPolicy policy) {
  crash_policy_ = std::move(policy);
  if (in_turn_) {
    death_after_turn_ = Death::kPower;
    return;
  }
  if (life_ != nullptr) {
    die(HostState::kOff, true);
  } else if (machine_on_) {
    disk_.power_lost(timeline().random(), crash_policy_);  // the process was gone; what it had not synced goes now
    machine_on_ = false;
    state_ = HostState::kOff;
  }
}

void Host::lose() {
  CHECK(!in_turn_, "{} loses itself", ip_);
  if (life_ != nullptr) die(HostState::kLost, true);
  state_ = HostState::kLost;
  machine_on_ = false;
  disk_ = Disk(disk_.options());
  world_.log(*this, 0, LogLevel::kInfo, "simulator: the machine and its disk are lost");
}

void Host::replace_disk() {
  CHECK(!machine_on_, "{} is on", ip_);
  disk_ = Disk(disk_.options());
}

void Host::die(HostState state, bool power_lost) {
  world_.log(*this, 0, LogLevel::kInfo,
             fmt::format("simulator: {}; in flight: {}", power_lost ? "power lost" : "the process dies",
                         disk_.describe_in_flight()));
  state_ = state;
  machine_on_ = !power_lost;
  // First what needs the memory of operations in flight, then the frames that own it.
  world_.network().host_died(*this, power_lost);
  if (power_lost) {
    disk_.power_lost(timeline().random(), crash_policy_);
  } else {
    disk_.process_died(timeline().random());
  }
  for (const auto& core : life_->cores) core->abandon();
  life_.reset();
  detached_.clear();
  pause_over();
}

void Host::end_orderly() {
  for (const auto& backend : life_->backends) {
    CHECK(backend->in_flight() == 0, "{}: core {} ended with {} operations in flight", ip_, backend->core(),
          backend->in_flight());
  }
  world_.log(*this, 0, LogLevel::kInfo, "simulator: all programs have returned");
  state_ = HostState::kStopped;
  world_.network().host_died(*this, false);
  disk_.process_died(timeline().random());
  life_.reset();
  detached_.clear();
}

// --- Turns.

void Host::fire(const Event& event) {
  if (event.life != life_number_ || life_ == nullptr) return;
  if (event.kind == kPauseOver) {
    if (pause_ && pause_->until <= event.at) pause_over();
    return;
  }
  if (event.kind == kRunCore) {
    const auto core = static_cast<CoreId>(event.a);
    if (cores_[core].scheduled && cores_[core].generation == event.b) run_core(core);
    return;
  }
  SimulatedBackend& target = *life_->backends[event.a >> 32U];
  if (event.kind == kDiskDone) {
    target.disk_done(static_cast<uint32_t>(event.a), static_cast<uint32_t>(event.b));
  } else {
    target.finish_at(event);
  }
}

void Host::schedule_core(CoreId core, int64_t at) {
  CoreState& state = cores_[core];
  if (pause_) {
    state.due_after_pause = true;
    return;
  }
  at = std::max({at, state.not_before, timeline().now()});
  if (state.scheduled && state.scheduled_at <= at) return;
  state.scheduled = true;
  state.scheduled_at = at;
  Event event{.target = this, .kind = kRunCore, .life = life_number_};
  event.a = core;
  event.b = ++state.generation;
  timeline().schedule(event, at);
}

void Host::make_runnable(CoreId core) {
  if (life_ == nullptr || life_->cores.empty()) return;
  const DurationRange& delay = options().wake_up;
  schedule_core(core, timeline().now() + timeline().random().between(delay.least.count(), delay.most.count()));
}

void Host::completion_arrived(CoreId core) { make_runnable(core); }

void Host::heal_disk() {
  disk_factor_ = 1;
  if (life_ == nullptr) return;
  int64_t longest = 0;
  for (const auto& backend : life_->backends) longest = std::max(longest, backend->hurry_disk());
  constexpr int64_t kNanosPerMilli = 1'000'000;
  world_.log(*this, 0, LogLevel::kInfo,
             fmt::format("simulator: the disk heals; in flight, for {} ms at most otherwise: {}",
                         longest / kNanosPerMilli, disk_.describe_in_flight()));
}

void Host::pause(CoreId core, Duration duration) {
  if (core >= cores_.size()) return;
  CoreState& state = cores_[core];
  state.not_before = timeline().now() + duration.count();
  if (state.scheduled && state.scheduled_at < state.not_before) {
    state.scheduled = false;
    schedule_core(core, state.not_before);
  }
}

void Host::pause_machine(Duration duration, PausedClocks clocks) {
  CHECK(!in_turn_, "{} pauses itself", ip_);
  if (life_ == nullptr) return;
  const int64_t now = timeline().now();
  if (!pause_) pause_ = Pause{.began = now, .until = now, .clocks = clocks};
  pause_->until = std::max(pause_->until, now + duration.count());
  timeline().schedule({.target = this, .kind = kPauseOver, .life = life_number_}, pause_->until);
}

// The clocks are right before anybody looks at them again.
void Host::pause_over() {
  if (!pause_) return;
  const Pause pause = *std::exchange(pause_, std::nullopt);
  if (pause.clocks == PausedClocks::kStandStill) clocks_.suspended(pause.began, timeline().now());
  world_.network().host_continues(*this);
  for (size_t i = 0; i < cores_.size(); ++i) {
    const auto core = static_cast<CoreId>(i);
    if (std::exchange(cores_[core].due_after_pause, false)) make_runnable(core);
  }
}

void Host::run_core(CoreId core) {
  if (pause_) {
    cores_[core].scheduled = false;
    cores_[core].due_after_pause = true;
    return;
  }
  Random& random = timeline().random();
  if (random.chance(options().pause_per_million)) {
    const DurationRange& range = options().pause;
    pause(core, Duration(random.between(range.least.count(), range.most.count())));
    return;
  }
  cores_[core].scheduled = false;
  if (take_turn(core)) after_turn(core);
}

// False: fatal() was called.
bool Host::take_turn(CoreId core) {
  Core& running = *life_->cores[core];
  SimulatedBackend& backend = *life_->backends[core];
  timeline().trace().add((uint64_t{id_} << 16U) | core);
  const TakingTurn turn;
  in_turn_ = true;
  try {
    backend.deliver_completions();
    running.woke();
    running.turn();
    in_turn_ = false;
    return true;
  } catch (const HostFatal& fatal) {
    in_turn_ = false;
    fatal_reason_ = fatal.reason;
    fatal_message_ = fatal.message;
  }
  world_.log(*this, core, LogLevel::kError, "fatal: " + fatal_message_);
  die(HostState::kFatal, false);
  return false;
}

void Host::after_turn(CoreId core) {
  if (crash_due_ || death_after_turn_ != Death::kNone) {
    const bool power = crash_due_ || death_after_turn_ == Death::kPower;
    death_after_turn_ = Death::kNone;
    die(power ? HostState::kOff : HostState::kKilled, power);
    if (std::exchange(start_after_turn_, false)) begin_life(true);
    return;
  }
  // A core that has finished serves the mail of the others until all have. A call between cores lives in a frame of its
  // sender: when all are quiet nothing is under way anywhere.
  const auto quiet = [](const auto& c) { return c->finished() && c->scope().running() == 0; };
  if (std::ranges::all_of(life_->cores, quiet)) return end_orderly();
  const Instant deadline = life_->cores[core]->linger_deadline();
  const Instant now = monotonic_now();
  if (deadline <= now) {
    make_runnable(core);
  } else if (deadline != Instant::never()) {
    schedule_core(core, std::max(world_time(deadline), timeline().now() + 1));
  }
}

// --- Crash points.

void Host::crash_after_operations(uint64_t count, CrashPolicy policy) {
  crash_after_ = count;
  crash_policy_ = std::move(policy);
}

bool Host::note_submit(const Op& op) {
  ++operations_submitted_;
  if (on_submit_) on_submit_(op, operations_submitted_);
  if (crash_after_ != 0 && operations_submitted_ >= crash_after_) {
    crash_after_ = 0;
    crash_due_ = true;
  }
  return !crash_due_;
}

// --- Sockets between two cores.

int Host::add_detached(EndpointId endpoint) {
  detached_.push_back(endpoint);
  return static_cast<int>(detached_.size()) - 1;
}

Result<EndpointId> Host::take_detached(int detached) {
  if (detached < 0 || static_cast<size_t>(detached) >= detached_.size()) return failure(Errc::kInvalidArgument);
  EndpointId& entry = detached_[static_cast<size_t>(detached)];
  if (entry == kNoEndpoint) return failure(Errc::kInvalidArgument);
  return std::exchange(entry, kNoEndpoint);
}

}  // namespace posthaste::reactor::simulated
