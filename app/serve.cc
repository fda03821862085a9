#include "app/serve.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "app/cli/cli.h"
#include "app/journal_fit.h"
#include "app/memory_plan.h"
#include "broker/server.h"
#include "net/address.h"
#include "reactor/bounded_write.h"
#include "reactor/check.h"
#include "reactor/uring/host.h"
#include "reactor/uring/machine.h"

namespace posthaste::app {
namespace {

using reactor::CoreId;
namespace uring = reactor::uring;

constexpr int kExitStopped = 0;
constexpr int kExitCannotStart = 2;
constexpr int kExitAtOnce = 76;  // beside the codes of reactor::FatalReason

// The part of each core's share of the reserved disk space that it may use before new files are made for it, which
// takes some milliseconds each. A small file system has less (storage/space/space_reserve.h).
constexpr uint64_t kReserveBytesPerCore = uint64_t{128} << 20;

// A broker that cannot hold this many connections is misconfigured.
constexpr uint32_t kConnectionsLeast = 1000;

// Logs once how many connections are possible and why, where an operator looks first.
void say_connections(const BrokerConfig& config, const MemoryPlan& plan, uint64_t descriptors, uring::LogSink& log) {
  const auto asked = static_cast<uint32_t>(config.max_connections);
  const std::string line = fmt::format(
      "connections max={} asked={} possible={} because={} descriptors={} descriptors_for_files={}",
      std::min(asked, plan.connections_possible), asked, plan.connections_possible,
      plan.descriptors_limit_connections ? "descriptors" : "memory", descriptors, plan.descriptors_for_files);
  const bool asked_too_much = asked != INT32_MAX && asked > plan.connections_possible;
  if (!asked_too_much && plan.connections_possible >= kConnectionsLeast) {
    return log.write(reactor::LogLevel::kInfo, 0, line);
  }
  log.write(reactor::LogLevel::kWarning, 0,
            fmt::format("{} remedy=\"{}\"", line,
                        plan.descriptors_limit_connections
                            ? "raise the limit of open files (ulimit -n, LimitNOFILE) or lower max.connections"
                            : "lower max.connections or use a machine with more memory"));
}

// Where `listener`, one of `config.listeners` or of controllers, listens and the address that it advertises.
broker::BrokerListener make_listener(const BrokerConfig& config, const Listener& listener,
                                     const std::vector<Listener>& all_advertised, const std::string& host_name) {
  broker::BrokerListener out{.name = listener.name, .host = listener.host, .port = listener.port};
  // Java, and so Kafka, listens to IPv4 and IPv6 when the address is the IPv6 one that means all addresses, unless
  // another listener has the IPv4 ones.
  const auto takes_ipv4 = [&](const Listener& other) {
    return &other != &listener && other.port == listener.port && other.port != 0;
  };
  if (out.host == "::" && std::ranges::none_of(config.listeners, takes_ipv4)) out.host.clear();
  const auto advertised = std::ranges::find(all_advertised, listener.name, &Listener::name);
  out.advertised_is_given = advertised != all_advertised.end();
  const std::string& host = out.advertised_is_given ? advertised->host : listener.host;
  if (out.advertised_is_given) out.advertised_port = advertised->port;
  out.advertise_as_connected = host.empty() || net::is_every_address(host);
  out.advertised_host = out.advertise_as_connected ? host_name : host;
  return out;
}

broker::QuorumOptions make_quorum_options(const BrokerConfig& config, const std::string& host_name) {
  const ClusterSettings& cluster = config.cluster;
  broker::QuorumOptions options;
  for (const QuorumVoter& voter : cluster.voters) {
    options.voters.push_back({.id = voter.id, .address = net::join_address(voter.host, voter.port)});
  }
  for (const Listener& listener : cluster.controller_listeners) {
    options.listeners.push_back(make_listener(config, listener, cluster.advertised_controller_listeners, host_name));
  }
  return options;
}

reactor::Duration milliseconds(int64_t value) {
  constexpr int64_t kForEver = int64_t{1000} * 60 * 60 * 24 * 365 * 100;
  return std::chrono::milliseconds(value < 0 ? kForEver : std::min(value, kForEver));
}

config::ConfigMap given_settings(const BrokerConfig& config) {
  config::ConfigMap given;
  for (const EffectiveSetting& setting : config.settings) {
    if (!setting.is_default) given.emplace(setting.key, setting.value);
  }
  given.insert_or_assign("log.dirs", config.data_folder);
  return given;
}

uring::UringOptions uring_options(const BrokerConfig& config, const uring::Machine& machine, uring::LogSink& log) {
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
  // A process that may use any processor for a part of the time shares them with others, and all of them would be
  // pinned to the same first ones.
  options.pin_threads = config.pin_cores && !machine.cpus_by_quota;
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

int cannot_start(uring::LogSink& log, std::string_view why) {
  log.write(reactor::LogLevel::kError, 0, fmt::format("cannot_start {}", why));
  return kExitCannotStart;
}

// A stop has a time limit: beyond it, a broker that is away costs more than what it still writes is worth.
[[noreturn]] void end_unfinished(int32_t after_milliseconds, const broker::BrokerHost& host) {
  reactor::say_last_words(
      fmt::format("posthaste: ended after {} ms (posthaste.stop.timeout.ms), still waiting for {}; what "
                  "was acknowledged is safe in the journal, the next start reads it\n",
                  after_milliseconds, describe(host.stage())));
  std::_Exit(kExitStopped);
}

// A second signal asks what the stop waits for; a third one asks for the end. Nothing acknowledged is lost by that, or
// by the end of the time for a stop: it is in the journal, as after SIGKILL.
void wait_for_end(uring::Host& running, uring::StopSignals& signals, const broker::BrokerHost& host,
                  uring::LogSink& log, int32_t stop_milliseconds) {
  const auto next = [&] {
    const std::string_view signal = signals.wait();
    if (signal == uring::StopSignals::kTimeIsUp) end_unfinished(stop_milliseconds, host);
    return signal;
  };
  std::string_view signal = next();
  if (!signal.empty()) {
    log.write(reactor::LogLevel::kInfo, 0, fmt::format("stopping signal={}", signal));
    running.request_stop();
    if (stop_milliseconds > 0) signals.set_time_limit(std::chrono::milliseconds(stop_milliseconds));
    signal = next();
  }
  if (!signal.empty()) {
    log.write(
        reactor::LogLevel::kWarning, 0,
        fmt::format("still_stopping signal={} waits_for=\"{}\" remedy=\"one more signal ends the process at once; "
                    "what was acknowledged is safe in the journal\"",
                    signal, describe(host.stage())));
    signal = next();
  }
  if (!signal.empty()) {
    reactor::say_last_words(fmt::format("posthaste: ended at once by {}, before the stop was complete (exit code {})\n",
                                        signal, kExitAtOnce));
    std::_Exit(kExitAtOnce);
  }
  running.wait();
}

// What the machine lacks for a start; empty if nothing.
std::string why_too_little(const MemoryPlan& plan, const uring::Machine& machine) {
  if (machine.descriptors < plan.descriptors_least) {
    return fmt::format(
        "this process may have {} files and connections open, the least to start with is {}: raise the limit of open "
        "files (ulimit -n, LimitNOFILE) or set posthaste.cores lower",
        machine.descriptors, plan.descriptors_least);
  }
  if (plan.budget_bytes() > machine.memory_bytes) {
    return fmt::format(
        "there are {} MiB of memory ({}) and the broker would take up to {} MiB: lower posthaste.memory.bytes, "
        "max.connections or posthaste.cores, or raise the limit",
        machine.memory_bytes >> 20, machine.memory_set_by.empty() ? "of the machine" : machine.memory_set_by,
        plan.budget_bytes() >> 20);
  }
  return {};
}

}  // namespace

broker::BrokerOptions make_broker_options(const BrokerConfig& config, const MemoryPlan& plan, uint16_t cores,
                                          const std::string& host_name) {
  broker::BrokerOptions options;
  options.data_folder = config.data_folder;
  options.node_id = config.node_id;
  for (const Listener& listener : config.listeners) {
    options.listeners.push_back(make_listener(config, listener, config.advertised_listeners, host_name));
  }
  options.quorum = make_quorum_options(config, host_name);
  options.connection.small_request_memory_bytes = plan.small_request_bytes;
  options.connection.request_memory_bytes = plan.request_bytes;
  options.connection.answer_memory_bytes = plan.answer_bytes;
  options.engine.open_files_max = plan.open_files_per_core;
  options.engine.tail_bytes_max = plan.tail_bytes;
  options.engine.cache_bytes_max = plan.cache_bytes;
  options.engine.reserve_bytes_max = kReserveBytesPerCore;
  options.fetch_memory_bytes = plan.fetch_bytes;
  options.wait_memory_bytes = plan.wait_bytes;
  options.engine.producers_max = plan.producer_bytes / storage::kProducerBytes;
  options.fetch_session_bytes = plan.session_bytes;
  options.group_memory_bytes = plan.group_bytes;
  // What one member may say is a small part of what all may.
  options.group.max_request_bytes = plan.group_bytes / 16;
  options.topics.max_partitions = plan.partitions_max;
  options.connection.frame_bytes_max = static_cast<size_t>(config.max_request_bytes);
  options.connection.idle_timeout = milliseconds(config.connection_idle_milliseconds);
  options.connections_possible = plan.connections_possible;
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
  options.page_partitions_max = config.page_partitions_max;
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
  reactor::bound_terminate();
  uring::StopSignals signals;
  const uring::Machine machine = uring::look_at_machine();
  const auto cores =
      static_cast<CoreId>(std::min<int32_t>(config.cores > 0 ? config.cores : machine.cpus, reactor::kCoresMax));
  const MemoryPlan plan =
      plan_memory(config, {.memory_bytes = machine.memory_bytes, .descriptors = machine.descriptors, .cores = cores});
  uring::LogSink log(log_level(config.log_level));
  if (!log.problem().empty()) return cannot_start(log, log.problem());
  if (const std::string why = why_too_little(plan, machine); !why.empty()) return cannot_start(log, why);
  const auto say = [&log](std::string_view line) { log.write(reactor::LogLevel::kInfo, 0, line); };
  say(fmt::format("posthaste version={}", version()));
  say(fmt::format("machine kernel={} cores={} memory_mib={} memory_set_by={}", machine.kernel, cores,
                  machine.memory_bytes >> 20, machine.memory_set_by.empty() ? "machine" : machine.memory_set_by));
  say(fmt::format("memory {}", describe_memory(plan, cores)));
  say_connections(config, plan, machine.descriptors, log);
  say(fmt::format("data folder={}", config.data_folder));
  if (!config.without_effect.empty()) {
    say(fmt::format("settings without_effect=\"{}\" explained_by=\"posthaste config check\"", config.without_effect));
  }
  for (const std::string& note : config.notes) say(note);
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
  broker::BrokerOptions options = make_broker_options(config, plan, cores, machine.host_name);
  const DiskSpace space = look_at_space(config.data_folder);
  if (const auto why = journal_problem(config, options.engine, space)) return cannot_start(log, *why);
  if (space.in_memory) {
    log.write(reactor::LogLevel::kWarning, 0,
              fmt::format("the data folder {} lies in memory (tmpfs): all of it is lost when the machine stops, also "
                          "what was acknowledged: pass a folder on a disk with --data",
                          config.data_folder));
  }
  const reactor::HostOptions host_options{.cores = cores, .pool_bytes_per_core = plan.pool_bytes};
  auto running =
      uring::Host::start(host_options, uring_options(config, machine, log),
                         broker::make_broker_program(std::move(options), host), [&signals] { signals.wake(); });
  if (!running) return cannot_start(log, running.error());
  say(fmt::format("io io_uring profile={}", uring::to_string((*running)->profile())));
  wait_for_end(**running, signals, *host, log, config.stop_timeout_milliseconds);
  if (!host->failure().empty()) return kExitCannotStart;  // and has said why
  say("stopped");
  return kExitStopped;
}

}  // namespace posthaste::app
