#include "reactor/simulated/world.h"

#include <xxhash.h>

#include <cstdio>

namespace posthaste::reactor::simulated {

namespace {
constexpr Duration kSendReadMax = 20ms;  // long enough for what is freed meanwhile to be used anew
}  // namespace

WorldOptions WorldOptions::instant() {
  WorldOptions options;
  for (DurationRange* range :
       {&options.disk_read, &options.disk_write, &options.disk_write_durable, &options.disk_sync, &options.file_system,
        &options.network, &options.loopback, &options.resolve, &options.wake_up}) {
    *range = {};
  }
  options.disk_slow_per_million = 0;
  options.network_spike_per_million = 0;
  options.clock_read = {100ns, 100ns};
  options.hash_written_bytes = false;
  return options;
}

WorldOptions WorldOptions::swarm(uint64_t seed) {
  Random random(seed ^ 0x737761726dU);
  WorldOptions options;
  // A range whose ends are spread over a factor of `spread` around the default.
  const auto stretch = [&](DurationRange& range, int64_t spread) {
    const int64_t slower = random.between(1, spread);
    range.most = Duration(range.most.count() * slower);
    range.least = Duration(range.least.count() / random.between(1, spread));
  };
  for (DurationRange* range : {&options.disk_read, &options.disk_write, &options.disk_write_durable, &options.disk_sync,
                               &options.file_system, &options.network, &options.loopback}) {
    stretch(*range, 20);
  }
  stretch(options.wake_up, 10);
  options.disk_slow_per_million = static_cast<uint32_t>(random.below(50'000));
  options.network_spike_per_million = static_cast<uint32_t>(random.below(20'000));
  options.short_receive_per_million = static_cast<uint32_t>(random.below(1'000'000));
  options.piece_bytes_max = size_t{1} << random.between(4, 16);
  options.window_bytes_min = size_t{1} << random.between(9, 14);
  options.window_bytes_max = options.window_bytes_min << random.below(8);
  options.select_buffers = static_cast<uint32_t>(random.between(1, 64));
  options.select_buffer_bytes = size_t{1} << random.between(4, 10);
  if (random.below(2) == 0) options.pause_per_million = static_cast<uint32_t>(random.below(2000));
  options.clock_drift_ppm_max = static_cast<uint32_t>(random.below(500));
  options.wall_offset_max = Duration(random.between(0, 5'000'000'000));
  if (random.below(2) == 0) options.send_read.most = Duration(random.between(0, kSendReadMax.count()));
  return options;
}

World::World(uint64_t seed, WorldOptions options) : seed_(seed), options_(options), timeline_(seed), network_(*this) {}

World::~World() {
  for (const auto& host : hosts_) host->kill();
}

Host& World::add_host(HostOptions options, std::string ip, Program program, DiskOptions disk_options) {
  CHECK(find_host(ip) == nullptr, "{} is taken", ip);
  const auto id = static_cast<uint32_t>(hosts_.size());
  hosts_.push_back(std::make_unique<Host>(*this, id, options, std::move(ip), std::move(program), disk_options));
  return *hosts_.back();
}

Host* World::find_host(std::string_view ip) {
  for (const auto& host : hosts_) {
    if (host->ip() == ip) return host.get();
  }
  return nullptr;
}

bool World::step() {
  if (timeline_.empty()) return false;
  timeline_.step();
  return true;
}

void World::run_for(Duration duration) {
  run_until([] { return false; }, duration);
}

void World::after(Duration delay, std::function<void()> action) {
  Event event{.target = this};
  event.a = actions_.size();
  actions_.push_back(std::move(action));
  timeline_.schedule(event, timeline_.now() + delay.count());
}

void World::fire(const Event& event) { std::exchange(actions_[event.a], nullptr)(); }

uint64_t World::trace_hash() const { return mix64(timeline_.trace().value() ^ timeline_.events()); }

void World::log(const Host& host, CoreId core, LogLevel level, std::string_view line) {
  timeline_.trace().add(XXH3_64bits(line.data(), line.size()));
  constexpr const char* kLevels[] = {"debug", "info", "warning", "error"};
  const int64_t micros = timeline_.now() / 1000;
  std::string text = fmt::format("{:>10}.{:06} {}/{} {} {}", micros / 1'000'000, micros % 1'000'000, host.ip(), core,
                                 kLevels[static_cast<size_t>(level)], line);
  if (options_.log_to_stdout) std::puts(text.c_str());
  log_lines_.push_back(std::move(text));
  if (log_lines_.size() > options_.log_lines_kept) log_lines_.pop_front();
}

std::string World::log_tail(size_t lines) const {
  std::string text = fmt::format("seed={} elapsed_us={}\n", seed_, timeline_.now() / 1000);
  const size_t first = log_lines_.size() > lines ? log_lines_.size() - lines : 0;
  for (size_t i = first; i < log_lines_.size(); ++i) text += log_lines_[i] + "\n";
  return text;
}

}  // namespace posthaste::reactor::simulated
