// The configuration of a broker as typed values: what `posthaste serve` starts from. Built from a properties file, then
// overrides, then command-line options; checked in one pass that reports every mistake at once. It knows no other room;
// the wiring in app/ hands each room the plain values it needs.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config/listeners.h"
#include "app/config/properties.h"
#include "app/config/quorum_config.h"

namespace posthaste::app {

// What a topic gets when the request that creates it does not say otherwise. The settings of its log are not here: the
// broker makes them of the given keys (config/topic_config.h), because they may change while it runs.
struct TopicDefaults {
  int32_t partitions = 1;
  int32_t replication_factor = 1;
};

struct GroupSettings {
  int32_t initial_rebalance_delay_milliseconds = 3000;
  int32_t min_session_timeout_milliseconds = 6000;
  int32_t max_session_timeout_milliseconds = 1'800'000;
  int32_t max_size = INT32_MAX;
  int32_t offset_metadata_max_bytes = 4096;
  int64_t offsets_retention_milliseconds = 604'800'000;
  int64_t offsets_retention_check_milliseconds = 600'000;
  int32_t offsets_topic_partitions = 50;
  int32_t offsets_topic_segment_bytes = 104'857'600;
};

// Which io_uring features are used; kAuto looks at the running kernel.
enum class IoProfile : uint8_t { kAuto, kKernel61, kKernel612 };

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// Every key with its value in text form, for DescribeConfigs and `--print-config`. Passwords are not in it.
struct EffectiveSetting {
  std::string_view key;
  std::string value;
  bool is_default = true;
};

struct BrokerConfig {
  std::optional<int32_t> node_id;  // none: the one in the data folder, or 1 on the first start
  std::string data_folder = "data";
  std::vector<Listener> listeners;  // of clients: never empty; all PLAINTEXT
  // As given, for some of `listeners`. An empty host: the address that the client connected to.
  std::vector<Listener> advertised_listeners;
  ClusterSettings cluster;
  TopicDefaults topic;
  GroupSettings group;
  bool auto_create_topics = true;
  bool delete_topics = true;
  int64_t connection_idle_milliseconds = 600'000;  // negative: connections never idle out
  int32_t max_connections = INT32_MAX;             // as given; it may change while the broker runs
  int32_t max_request_bytes = 104'857'600;
  int64_t queued_request_bytes = -1;  // of all cores; 0 and below: what the memory allows
  int32_t fetch_sessions = 1000;
  int32_t fetch_max_bytes = 57'671'680;
  int32_t page_partitions_max = 2'000;  // of DescribeTopicPartitions
  int64_t retention_check_milliseconds = 300'000;
  int32_t producer_id_expiration_milliseconds = 86'400'000;
  int32_t cores = 0;  // 0: every core this process may use
  bool pin_cores = true;
  int64_t memory_bytes = 0;                  // 0: sized from the machine
  int64_t journal_bytes = 0;                 // per stream; 0: sized by the storage room
  int32_t journal_streams = 0;               // 0: sized from the device
  int32_t stop_timeout_milliseconds = 4000;  // 0: as long as it takes
  IoProfile io_profile = IoProfile::kAuto;
  LogLevel log_level = LogLevel::kInfo;

  std::string without_effect;  // names of keys that were given, are valid and change nothing
  std::vector<std::string> warnings;
  std::vector<std::string> notes;          // what to know and not to worry about
  std::vector<EffectiveSetting> settings;  // sorted by key
};

// What the command line adds on top of file and overrides.
struct ServeOptions {
  std::optional<std::string> data_folder;  // --data
  std::optional<std::string> listen;       // --listen HOST:PORT: one PLAINTEXT listener; nothing else is advertised
};

// The configuration from `properties`, in order: of two settings of one key the later one counts. Fails with all
// mistakes, one readable line each; every line names the source and what would be valid. Pure; any core.
std::expected<BrokerConfig, std::vector<std::string>> make_broker_config(std::span<const Property> properties,
                                                                         const ServeOptions& options);

}  // namespace posthaste::app
