// What a broker is started with: plain values that app/ fills from Kafka's configuration keys (named beside each) and
// simulations fill by hand. It reads no file and checks nothing; app/config does.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/groups/types.h"
#include "net/listener.h"
#include "replication/metadata/topic_controller.h"
#include "storage/engine.h"

namespace posthaste::broker {

struct BrokerListener {
  std::string name = "PLAINTEXT";
  std::string host;   // where: an ip, a name (all addresses that it has), or empty: every address of this machine
  uint16_t port = 0;  // 0 picks one
  std::string advertised_host;   // the host for clients; empty: the first ip that was bound
  uint16_t advertised_port = 0;  // 0: the port that was bound
  // Each client gets the address of this broker that it connected to. `advertised_host` then only names this machine in
  // the metadata log.
  bool advertise_as_connected = false;
  bool advertised_is_given = false;  // by the operator: only for the start's log lines
};

// Who agrees on the metadata log with this broker, and where they meet.
struct QuorumOptions {
  struct Voter {
    int32_t id = 0;
    std::string address;  // "host:port"; the host may be a name
  };
  std::vector<Voter> voters;              // controller.quorum.voters, this broker too; empty: it is alone
  std::vector<BrokerListener> listeners;  // those of controller.listener.names
};

struct BrokerOptions {
  std::string data_folder = "data";       // log.dirs
  std::optional<int32_t> node_id;         // node.id; none: the folder's, or 1 on the first start
  std::optional<std::string> cluster_id;  // for the first start only; none: random
  std::vector<BrokerListener> listeners;  // listeners, advertised.listeners; those of clients
  QuorumOptions quorum;
  net::ConnectionLimits connection;
  // What is possible for the process, independent of max.connections: descriptors, and memory for connections.
  uint32_t connections_possible = INT32_MAX;
  GroupConfig group;
  storage::EngineOptions engine;      // data_directory is overwritten with data_folder
  storage::ProducerLimits producers;  // producer.id.expiration.ms
  replication::TopicRules topics;     // num.partitions, default.replication.factor, delete.topic.enable
  // Broker keys as they were given, checked: what DescribeConfigs shows, and (log.* and others) the settings of topics
  // without their own.
  config::ConfigMap given;

  bool auto_create_topics = true;                     // auto.create.topics.enable
  int32_t offsets_topic_partitions = 50;              // offsets.topic.num.partitions; of use until the topic exists
  int32_t offsets_topic_segment_bytes = 104'857'600;  // offsets.topic.segment.bytes; likewise
  uint32_t fetch_sessions = 1000;                     // max.incremental.fetch.session.cache.slots
  uint32_t fetch_max_bytes = 57'671'680;              // fetch.max.bytes: an upper bound whatever the client asks for
  int32_t page_partitions_max = 2'000;                // max.request.partition.size.limit: of DescribeTopicPartitions
  // Of answers to Fetch that are being made or sent by one core. One answer takes at most a quarter of it (but always
  // its first batch), so that a few readers of old data cannot pin all memory.
  uint64_t fetch_memory_bytes = uint64_t{16} << 20;
  // Of each core, what requests keep while they wait (long polls of many partitions), and sessions of fetches.
  uint64_t wait_memory_bytes = uint64_t{8} << 20;
  uint64_t fetch_session_bytes = uint64_t{8} << 20;
  // Of each core: groups, their members and committed offsets.
  uint64_t group_memory_bytes = uint64_t{64} << 20;
  reactor::Duration retention_check_interval = std::chrono::minutes(5);  // log.retention.check.interval.ms
};

}  // namespace posthaste::broker
