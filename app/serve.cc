#include "app/serve.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>

#include "app/cli/cli.h"
#include "broker/server.h"
#include "reactor/uring/host.h"
#include "reactor/uring/machine.h"

namespace posthaste::app {
namespace {

using reactor::CoreId;
namespace uring = reactor::uring;

constexpr int kExitStopped = 0;
constexpr int kExitCannotStart = 2;

// One core's buffer pool when nobody says: an eighth of the machine over all cores, within these.
constexpr size_t kPoolBytesMin = size_t{32} << 20;
constexpr size_t kPoolBytesDefaultMax = size_t{1} << 30;

size_t pool_bytes(const BrokerConfig& config, const uring::Machine& machine, CoreId cores) {
  if (config.memory_bytes > 0) {
    return std::bit_floor(std::max(kPoolBytesMin, static_cast<size_t>(config.memory_bytes) / cores));
  }
  const size_t share = static_cast<size_t>(machine.memory_bytes / 8 / cores);
  return std::bit_floor(std::clamp(share, kPoolBytesMin, kPoolBytesDefaultMax));
}

std::string bind_address(const Listener& listener) {
  if (listener.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", listener.host, listener.port);
  return fmt::format("{}:{}", listener.host.empty() ? "0.0.0.0" : listener.host, listener.port);
}

reactor::Duration milliseconds(int64_t value) {
  constexpr int64_t kForEver = int64_t{1000} * 60 * 60 * 24 * 365 * 100;
  return std::chrono::milliseconds(value < 0 ? kForEver : std::min(value, kForEver));
}

broker::ConfigMap given_settings(const BrokerConfig& config) {
  broker::ConfigMap given;
  for (const EffectiveSetting& setting : config.settings) {
    if (!setting.is_default) given.emplace(setting.key, setting.value);
  }
  given.insert_or_assign("log.dirs", config.data_folder);
  return given;
}

uring::UringOptions uring_options(const BrokerConfig& config, uring::LogSink& log) {
  uring::UringOptions options;
  switch (config.io_profile) {
    case IoProfile::kAuto:
      options.ring.profile = uring::Profile::kAuto;
      break;
    case IoProfile::kKernel61:
      options.ring.profile = uring::Profile::k6_1;
      break;
    case IoProfile::kKernel612:
      options.ring.profile = uring::Profile::k6_12;
      break;
  }
  options.pin_threads = config.pin_cores;
  options.log = &log;
  return options;
}

reactor::LogLevel log_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return reactor::LogLevel::kDebug;
    case LogLevel::kInfo:
      return reactor::LogLevel::kInfo;
    case LogLevel::kWarning:
      return reactor::LogLevel::kWarning;
    case LogLevel::kError:
      return reactor::LogLevel::kError;
  }
  return reactor::LogLevel::kInfo;
}

int cannot_start(std::string_view why) {
  fmt::print(stderr, "posthaste: {}\n", why);
  return kExitCannotStart;
}

}  // namespace

broker::BrokerOptions make_broker_options(const BrokerConfig& config, size_t pool_bytes, uint16_t cores,
                                          const std::string& host_name) {
  broker::BrokerOptions options;
  options.data_folder = config.data_folder;
  options.node_id = config.node_id;
  for (const Listener& listener : config.listeners) {
    broker::BrokerListener& out = options.listeners.emplace_back();
    out.name = listener.name;
    out.bind_address = bind_address(listener);
    const auto advertised = std::ranges::find(config.advertised_listeners, listener.name, &Listener::name);
    if (advertised != config.advertised_listeners.end()) {
      out.advertised_host = advertised->host;
      out.advertised_port = advertised->port;
    }
    if (out.advertised_host.empty()) out.advertised_host = listener.host.empty() ? host_name : listener.host;
  }
  // The pool's parts (WS D). What is left, a sixteenth, is for journal staging and small things; chunks in the cache go
  // when anyone needs memory.
  options.connection.request_memory_bytes = pool_bytes / 4;
  options.engine.tail_bytes_max = pool_bytes / 16 * 7;
  options.engine.cache_bytes_max = pool_bytes / 4;
  options.fetch_memory_bytes = pool_bytes / 4;
  options.connection.frame_bytes_max = static_cast<size_t>(config.max_request_bytes);
  options.connection.idle_timeout = milliseconds(config.connection_idle_milliseconds);
  options.accept.connections_max =
      std::min(options.accept.connections_max, static_cast<uint32_t>(config.max_connections));
  const GroupSettings& group = config.group;
  options.group.initial_rebalance_delay_ms = group.initial_rebalance_delay_milliseconds;
  options.group.min_session_timeout_ms = group.min_session_timeout_milliseconds;
  options.group.max_session_timeout_ms = group.max_session_timeout_milliseconds;
  options.group.max_group_size = group.max_size;
  options.group.offset_metadata_max_bytes = group.offset_metadata_max_bytes;
  options.group.offsets_retention_ms = group.offsets_retention_milliseconds;
  options.group.offsets_retention_check_interval_ms = group.offsets_retention_check_milliseconds;
  options.offsets_topic_partitions = group.offsets_topic_partitions;
  options.offsets_topic_segment_bytes = group.offsets_topic_segment_bytes;
  options.producers.expiration_ms = config.producer_id_expiration_milliseconds;
  options.topics.num_partitions = config.topic.partitions;
  options.topics.default_replication_factor = static_cast<int16_t>(config.topic.replication_factor);
  options.topics.delete_topic_enable = config.delete_topics;
  options.given = given_settings(config);
  options.auto_create_topics = config.auto_create_topics;
  options.fetch_sessions = static_cast<uint32_t>(config.fetch_sessions);
  options.fetch_max_bytes = static_cast<uint32_t>(config.fetch_max_bytes);
  options.retention_check_interval = milliseconds(config.retention_check_milliseconds);
  if (config.journal_streams > 0) {
    options.engine.streams = static_cast<uint16_t>(std::min<int32_t>(config.journal_streams, cores));
  }
  if (config.journal_bytes > 0) {
    constexpr uint64_t kJournalFileBytesMin = uint64_t{1} << 20;
    storage::EngineOptions& engine = options.engine;
    const uint64_t share = static_cast<uint64_t>(config.journal_bytes) / engine.journal_files;
    engine.journal_file_bytes = storage::align_down(std::max(kJournalFileBytesMin, share));
    engine.commit_bytes_max = static_cast<uint32_t>(
        std::min<uint64_t>(engine.commit_bytes_max, storage::align_down(engine.journal_file_bytes / 2)));
  }
  return options;
}

int serve(const BrokerConfig& config) {
  const auto begin = std::chrono::steady_clock::now();
  uring::StopSignals signals;
  const uring::Machine machine = uring::look_at_machine();
  const auto cores =
      static_cast<CoreId>(std::min<int32_t>(config.cores > 0 ? config.cores : machine.cpus, reactor::kCoresMax));
  const size_t pool = pool_bytes(config, machine, cores);
  uring::LogSink log(log_level(config.log_level));
  const auto say = [&log](std::string_view line) { log.write(reactor::LogLevel::kInfo, 0, line); };
  say(fmt::format("posthaste version={}", version()));
  say(fmt::format("machine kernel={} cores={} memory_mib={}", machine.kernel, cores, machine.memory_bytes >> 20));
  say(fmt::format("memory pool_mib={} cores={}", pool >> 20, cores));
  say(fmt::format("data folder={}", config.data_folder));
  for (const std::string& warning : config.warnings) log.write(reactor::LogLevel::kWarning, 0, warning);

  auto host = std::make_shared<broker::BrokerHost>();
  host->on_ready = [&](const broker::ReadyReport& report) {
    say(fmt::format("node id={} cluster={}{}", report.node_id, report.cluster_id, report.created ? " (new)" : ""));
    for (const std::string& note : report.notes) say(fmt::format("recovery {}", note));
    for (const std::string& listener : report.listeners) say(fmt::format("listener {}", listener));
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    say(fmt::format("ready partitions={} replayed_bytes={} after_ms={}", report.partitions, report.bytes_replayed,
                    took.count()));
  };
  const reactor::HostOptions host_options{.cores = cores, .pool_bytes_per_core = pool};
  auto running =
      uring::Host::start(host_options, uring_options(config, log),
                         broker::make_broker_program(make_broker_options(config, pool, cores, machine.host_name), host),
                         [&signals] { signals.wake(); });
  if (!running) return cannot_start(running.error());
  say(fmt::format("io io_uring profile={}", uring::to_string((*running)->profile())));
  const std::string signal = signals.wait();
  if (!signal.empty()) {
    say(fmt::format("stopping signal={}", signal));
    (*running)->request_stop();
  }
  (*running)->wait();
  if (!host->failure().empty()) return cannot_start(host->failure());
  say("stopped");
  return kExitStopped;
}

}  // namespace posthaste::app
