// librdkafka's handles with owners, and the settings that `produce` and `consume` share. The commands do
// the rest.
#pragma once
#include <librdkafka/rdkafka.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/cli/result.h"

namespace posthaste::app {

struct KafkaDeleter {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
  void operator()(rd_kafka_topic_partition_list_t* list) const { rd_kafka_topic_partition_list_destroy(list); }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  void operator()(const rd_kafka_metadata_t* metadata) const { rd_kafka_metadata_destroy(metadata); }
};
template <class T>
using KafkaOwner = std::unique_ptr<T, KafkaDeleter>;

using KafkaSettings = std::vector<std::pair<std::string, std::string>>;

// A configuration with bootstrap servers, the settings of this program, then `settings` and `extra` ("KEY=VALUE", from
// --property). Fails with kUsage, naming what librdkafka refuses.
CliResult<KafkaOwner<rd_kafka_conf_t>> make_kafka_conf(const std::string& bootstrap, const KafkaSettings& settings,
                                                       const std::vector<std::string>& extra);

// A running client. Takes `conf`. Fails with kUsage.
CliResult<KafkaOwner<rd_kafka_t>> make_kafka_client(rd_kafka_type_t type, KafkaOwner<rd_kafka_conf_t> conf);

// Partition ids of `topic`, ascending; waits for a broker first, so that a command fails at once where there is none.
// Fails: kUnreachable, kRefused (no such topic).
CliResult<std::vector<int32_t>> partitions_of(rd_kafka_t* client, const std::string& topic,
                                              std::chrono::milliseconds timeout);

// A request to stop (SIGINT, SIGTERM) arrived since stop_on_signals() was called.
void stop_on_signals();
bool stop_requested();

}  // namespace posthaste::app
