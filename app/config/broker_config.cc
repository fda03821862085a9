#include "app/config/broker_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "app/config/setting_values.h"
#include "config/broker_keys.h"
#include "config/connection_limits.h"

namespace posthaste::app {
namespace {

using Errors = std::vector<std::string>;
using Lines = std::vector<std::string>;

constexpr int64_t kMillisecondsPerMinute = 60'000;

TopicDefaults topic_defaults(const SettingValues& values) {
  TopicDefaults topic;
  topic.partitions = values.get<"num.partitions">();
  topic.replication_factor = values.get<"default.replication.factor">();
  return topic;
}

GroupSettings group_settings(const SettingValues& values) {
  GroupSettings group;
  group.initial_rebalance_delay_milliseconds = values.get<"group.initial.rebalance.delay.ms">();
  group.min_session_timeout_milliseconds = values.get<"group.min.session.timeout.ms">();
  group.max_session_timeout_milliseconds = values.get<"group.max.session.timeout.ms">();
  group.max_size = values.get<"group.max.size">();
  group.offset_metadata_max_bytes = values.get<"offset.metadata.max.bytes">();
  group.offsets_retention_milliseconds = values.get<"offsets.retention.minutes">() * kMillisecondsPerMinute;
  group.offsets_retention_check_milliseconds = values.get<"offsets.retention.check.interval.ms">();
  group.offsets_topic_partitions = values.get<"offsets.topic.num.partitions">();
  group.offsets_topic_segment_bytes = values.get<"offsets.topic.segment.bytes">();
  return group;
}

IoProfile io_profile(std::string_view name) {
  if (name == "6.1") return IoProfile::kKernel61;
  return name == "6.12" ? IoProfile::kKernel612 : IoProfile::kAuto;
}

LogLevel log_level(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

void read_plain_values(const SettingValues& values, BrokerConfig& config) {
  config.topic = topic_defaults(values);
  config.group = group_settings(values);
  config.auto_create_topics = values.get<"auto.create.topics.enable">();
  config.delete_topics = values.get<"delete.topic.enable">();
  config.connection_idle_milliseconds = values.get<"connections.max.idle.ms">();
  config.max_connections = values.get<"max.connections">();
  config.max_request_bytes = values.get<"socket.request.max.bytes">();
  config.queued_request_bytes = values.get<"queued.max.request.bytes">();
  config.fetch_sessions = values.get<"max.incremental.fetch.session.cache.slots">();
  config.fetch_max_bytes = values.get<"fetch.max.bytes">();
  config.page_partitions_max = values.get<"max.request.partition.size.limit">();
  config.retention_check_milliseconds = values.get<"log.retention.check.interval.ms">();
  config.producer_id_expiration_milliseconds = values.get<"producer.id.expiration.ms">();
  config.cores = values.get<"posthaste.cores">();
  config.pin_cores = values.get<"posthaste.pin.cores">();
  config.memory_bytes = values.get<"posthaste.memory.bytes">();
  config.journal_bytes = values.get<"posthaste.journal.bytes">();
  config.journal_streams = values.get<"posthaste.journal.streams">();
  config.stop_timeout_milliseconds = values.get<"posthaste.stop.timeout.ms">();
  config.io_profile = io_profile(values.get<"posthaste.io.profile">());
  config.log_level = log_level(values.get<"posthaste.log.level">());
}

void read_identity(const SettingValues& values, BrokerConfig& config, Errors& errors) {
  const int32_t node = values.get<"node.id">();
  const int32_t broker = values.get<"broker.id">();
  if (node >= 0 && broker >= 0 && node != broker) {
    errors.push_back(fmt::format("{}: node.id={} and broker.id={} must be the same; give only node.id",
                                 values.source("node.id"), node, broker));
  }
  if (const int32_t id = std::max(node, broker); id >= 0) config.node_id = id;
  const std::vector<std::string_view> roles = split_list(values.get<"process.roles">());
  if (std::ranges::find(roles, "broker") == roles.end()) {
    errors.push_back(
        fmt::format("{}: process.roles={} must hold broker: this process is a broker and its own controller",
                    values.source("process.roles"), values.get<"process.roles">()));
  }
}

void read_data_folder(const SettingValues& values, const ServeOptions& options, BrokerConfig& config, Errors& errors) {
  if (options.data_folder) {
    config.data_folder = *options.data_folder;
    if (config.data_folder.empty()) errors.emplace_back("--data: names no folder");
    return;
  }
  const bool in_the_list = values.has("log.dirs");
  const std::string_view key = in_the_list ? "log.dirs" : "log.dir";
  const std::vector<std::string_view> folders =
      split_list(in_the_list ? values.get<"log.dirs">() : values.get<"log.dir">());
  if (folders.size() != 1) {
    errors.push_back(fmt::format("{}: {} names {} folders, this version keeps its data in one", values.source(key), key,
                                 folders.size()));
    return;
  }
  config.data_folder = folders.front();
}

const Listener* find_listener(const std::vector<Listener>& listeners, std::string_view name) {
  const auto found = std::ranges::find(listeners, name, &Listener::name);
  return found == listeners.end() ? nullptr : &*found;
}

// The stock configuration of Kafka lists a controller listener beside the broker's. A single broker is its own
// controller and opens no such listener.
void take_controller_listeners(const SettingValues& values, BrokerConfig& config) {
  const std::string_view controllers = values.get<"controller.listener.names">();
  const auto is_controllers = [&](const Listener& listener) {
    return is_controller_listener(listener.name, controllers);
  };
  for (const Listener& listener : config.listeners) {
    if (!is_controllers(listener)) continue;
    config.notes.push_back(fmt::format(
        "listener {} is not opened: this broker is its own controller, and nobody else's", to_string(listener)));
  }
  ClusterSettings& cluster = config.cluster;
  std::ranges::copy_if(config.listeners, std::back_inserter(cluster.controller_listeners), is_controllers);
  std::ranges::copy_if(config.advertised_listeners, std::back_inserter(cluster.advertised_controller_listeners),
                       is_controllers);
  std::erase_if(config.listeners, is_controllers);
  std::erase_if(config.advertised_listeners, is_controllers);
}

void check_advertised(const SettingValues& values, const BrokerConfig& config, Errors& errors) {
  const std::string_view source = values.source("advertised.listeners");
  for (const Listener& listener : config.advertised_listeners) {
    if (listener.host == "0.0.0.0" || listener.host == "::") {
      errors.push_back(fmt::format(
          "{}: advertised.listeners={} is no address a client can connect to: name this host, or leave the key out and "
          "each client is told the address that it connected to",
          source, to_string(listener)));
    }
    if (find_listener(config.listeners, listener.name) == nullptr) {
      errors.push_back(
          fmt::format("{}: advertised.listeners names {}, which is not in listeners", source, listener.name));
    }
  }
}

void read_listeners(const SettingValues& values, const ServeOptions& options, BrokerConfig& config, Errors& errors) {
  if (options.listen) {
    auto listener = parse_host_port(*options.listen);
    if (!listener) {
      errors.push_back("--listen: " + listener.error());
      return;
    }
    config.listeners = {*listener};
  } else {
    const ListenerNames names{.protocol_map = values.get<"listener.security.protocol.map">(),
                              .protocol_map_is_given = values.has("listener.security.protocol.map"),
                              .controllers = values.get<"controller.listener.names">()};
    auto listeners = parse_listeners("listeners", values.get<"listeners">(), names);
    auto advertised = parse_listeners("advertised.listeners", values.get<"advertised.listeners">(), names);
    if (!listeners) errors.push_back(fmt::format("{}: {}", values.source("listeners"), listeners.error()));
    if (!advertised) errors.push_back(fmt::format("{}: {}", values.source("advertised.listeners"), advertised.error()));
    if (!listeners || !advertised) return;
    config.listeners = std::move(*listeners);
    config.advertised_listeners = std::move(*advertised);
    take_controller_listeners(values, config);
  }
  if (config.listeners.empty()) {
    errors.push_back(fmt::format("{}: listeners names no listener for clients; for example listeners=PLAINTEXT://:9092",
                                 values.source("listeners")));
  }
  for (const Listener& listener : config.listeners) {
    if (listener.protocol != "PLAINTEXT") {
      errors.push_back(fmt::format("{}: listeners={} wants {}; this version serves PLAINTEXT only",
                                   values.source("listeners"), to_string(listener), listener.protocol));
    }
  }
  check_advertised(values, config, errors);
}

void check_connection_limits(const SettingValues& values, Errors& errors) {
  config::ConfigMap limits;
  for (const auto& [name, property] : values.given()) {
    if (!config::is_connection_limit(name) || property.value.empty()) continue;
    if (auto problem = config::connection_limit_problem(name, property.value)) {
      errors.push_back(fmt::format("{}: {}", property.source, *problem));
      return;
    }
    limits.insert_or_assign(name, property.value);
  }
  if (auto conflict = config::connection_limit_conflict(limits)) {
    errors.push_back(fmt::format("{}: {}", values.source("max.connections.per.ip"), *conflict));
  }
}

// As in Kafka, in every unit: no limit, or at least a millisecond.
void check_times(const SettingValues& values, Errors& errors) {
  const std::vector<const BrokerKey*> units = config::keys_up_to(*find_broker_key("log.retention.hours"));
  const auto given = std::ranges::find_if(units, [&](const BrokerKey* key) { return values.has(key->name); });
  if (given == units.end() || values.int64((*given)->name) != 0) return;
  errors.push_back(fmt::format("{}: {}=0 is out of range, must be -1 (no limit) or 1 or more",
                               values.source((*given)->name), (*given)->name));
}

void warn_together(const SettingValues& values, BrokerConfig& config) {
  const int32_t max_message_bytes = values.get<"message.max.bytes">();
  if (max_message_bytes > config.max_request_bytes) {
    config.warnings.push_back(
        fmt::format("message.max.bytes={} is above socket.request.max.bytes={}: larger requests are refused first",
                    max_message_bytes, config.max_request_bytes));
  }
  const int64_t flush_messages = values.get<"log.flush.interval.messages">();
  if (flush_messages > 1) {
    config.warnings.push_back(
        fmt::format("log.flush.interval.messages={}: acknowledged no longer means durable for topics that do not set "
                    "flush.messages=1: what was acknowledged with acks=1 may be lost when the process is killed",
                    flush_messages));
  }
  if (config.topic.replication_factor > 1) {
    config.warnings.push_back(
        fmt::format("default.replication.factor={}: there is one broker, so topics that do not say another replication "
                    "factor cannot be created (INVALID_REPLICATION_FACTOR), automatically created ones neither: set it "
                    "to 1",
                    config.topic.replication_factor));
  }
}

void check_together(const SettingValues& values, const BrokerConfig& config, Errors& errors) {
  const GroupSettings& group = config.group;
  if (group.min_session_timeout_milliseconds > group.max_session_timeout_milliseconds) {
    errors.push_back(
        fmt::format("{}: group.min.session.timeout.ms={} must not be above group.max.session.timeout.ms={}",
                    values.source("group.min.session.timeout.ms"), group.min_session_timeout_milliseconds,
                    group.max_session_timeout_milliseconds));
  }
  if (config.topic.partitions < 1 || config.topic.replication_factor < 1) {
    errors.push_back(fmt::format("{}: default.replication.factor={} is out of range, must be 1 or more",
                                 values.source("default.replication.factor"), config.topic.replication_factor));
  }
  check_times(values, errors);
  check_connection_limits(values, errors);
  if (config.queued_request_bytes > 0 && config.queued_request_bytes < config.max_request_bytes) {
    errors.push_back(fmt::format("{}: queued.max.request.bytes={} must not be below socket.request.max.bytes={}",
                                 values.source("queued.max.request.bytes"), config.queued_request_bytes,
                                 config.max_request_bytes));
  }
}

// A start says which lines are ignored; `posthaste config check` says why.
std::string names_of(const SettingValues& values, SettingUse use) {
  constexpr size_t kNamesMax = 30;
  std::vector<std::string_view> names;
  for (const JudgedSetting& setting : values.judged()) {
    if (setting.use == use) names.push_back(setting.property.key);
  }
  std::ranges::sort(names);
  const auto again = std::ranges::unique(names);
  names.erase(again.begin(), again.end());
  if (names.size() <= kNamesMax) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(std::span(names).first(kNamesMax), ", "), names.size() - kNamesMax);
}

void list_settings(const SettingValues& values, BrokerConfig& config) {
  config.without_effect = names_of(values, SettingUse::kNoEffect);
  if (const std::string unknown = names_of(values, SettingUse::kUnknown); !unknown.empty()) {
    config.warnings.push_back(fmt::format("unknown keys are ignored: {} (posthaste config check says more)", unknown));
  }
  for (const BrokerKey& key : broker_keys()) {
    if (key.type == KeyType::kPassword) continue;
    config.settings.push_back({key.name, std::string(values.text(key.name)), !values.given().contains(key.name)});
  }
}

}  // namespace

std::expected<BrokerConfig, std::vector<std::string>> make_broker_config(std::span<const Property> properties,
                                                                         const ServeOptions& options) {
  Errors errors;
  const SettingValues values(properties);
  for (const JudgedSetting& setting : values.judged()) {
    if (setting.use != SettingUse::kWrong) continue;
    errors.push_back(fmt::format("{}: {}", setting.property.source, setting.why));
  }
  BrokerConfig config;
  read_plain_values(values, config);
  read_identity(values, config, errors);
  read_data_folder(values, options, config, errors);
  read_listeners(values, options, config, errors);
  read_cluster(values, !options.listen, config, errors);
  check_together(values, config, errors);
  warn_together(values, config);
  list_settings(values, config);
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return config;
}

}  // namespace posthaste::app
