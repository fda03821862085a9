// What a broker's configuration becomes: defaults, precedence, and the error for each mistake.
#include "app/config/broker_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "app/config/setting_values.h"
#include "config/broker_keys.h"

namespace posthaste::app {
namespace {

using config::broker_keys;
using config::BrokerKey;
using config::find_broker_key;

std::expected<BrokerConfig, std::vector<std::string>> from(std::string_view text, const ServeOptions& options = {}) {
  const auto properties = parse_properties(text, "server.properties");
  if (!properties) return std::unexpected(std::vector{properties.error()});
  return make_broker_config(*properties, options);
}

std::string mistake(std::string_view text, const ServeOptions& options = {}) {
  const auto config = from(text, options);
  if (config) return "accepted";
  std::string all;
  for (const std::string& error : config.error()) all += error + "\n";
  return all;
}

TEST(BrokerConfig, NothingIsNeeded) {
  const auto config = from("");
  ASSERT_TRUE(config) << mistake("");
  EXPECT_FALSE(config->node_id);
  EXPECT_EQ(config->data_folder, "data");
  EXPECT_EQ(config->listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "", 9092}}));
  EXPECT_TRUE(config->advertised_listeners.empty());
  EXPECT_TRUE(config->warnings.empty());
  EXPECT_TRUE(config->without_effect.empty());
}

// The members' initial values are the documented defaults; the table holds them as text. They must agree.
TEST(BrokerConfig, DefaultsOfTheTableAreTheDefaultsOfTheStruct) {
  const BrokerConfig plain;
  const auto config = from("");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->topic.partitions, plain.topic.partitions);
  EXPECT_EQ(config->topic.replication_factor, plain.topic.replication_factor);
  EXPECT_EQ(config->group.initial_rebalance_delay_milliseconds, plain.group.initial_rebalance_delay_milliseconds);
  EXPECT_EQ(config->group.min_session_timeout_milliseconds, plain.group.min_session_timeout_milliseconds);
  EXPECT_EQ(config->group.max_session_timeout_milliseconds, plain.group.max_session_timeout_milliseconds);
  EXPECT_EQ(config->group.offsets_retention_milliseconds, plain.group.offsets_retention_milliseconds);
  EXPECT_EQ(config->group.offsets_retention_check_milliseconds, plain.group.offsets_retention_check_milliseconds);
  EXPECT_EQ(config->group.offsets_topic_partitions, plain.group.offsets_topic_partitions);
  EXPECT_EQ(config->group.offsets_topic_segment_bytes, plain.group.offsets_topic_segment_bytes);
  EXPECT_EQ(config->group.offset_metadata_max_bytes, plain.group.offset_metadata_max_bytes);
  EXPECT_EQ(config->connection_idle_milliseconds, plain.connection_idle_milliseconds);
  EXPECT_EQ(config->max_request_bytes, plain.max_request_bytes);
  EXPECT_EQ(config->fetch_max_bytes, plain.fetch_max_bytes);
  EXPECT_EQ(config->retention_check_milliseconds, plain.retention_check_milliseconds);
  EXPECT_EQ(config->producer_id_expiration_milliseconds, plain.producer_id_expiration_milliseconds);
  EXPECT_EQ(config->pin_cores, plain.pin_cores);
}

TEST(BrokerConfig, EveryDefaultIsAValidValueOfItsKey) {
  for (const BrokerKey& key : broker_keys()) {
    if (key.default_value.empty()) continue;
    const Property property{std::string(key.name), std::string(key.default_value), "default"};
    const auto config = make_broker_config(std::span(&property, 1), {});
    EXPECT_TRUE(config) << key.name << ": " << (config ? "" : config.error().front());
  }
}

TEST(BrokerConfig, TheKeysAreKafkasAndOurs) {
  EXPECT_GE(broker_keys().size(), 340U);
  ASSERT_NE(find_broker_key("log.retention.hours"), nullptr);
  EXPECT_EQ(find_broker_key("log.retention.hours")->default_value, "168");
  EXPECT_EQ(find_broker_key("log.retention.hour"), nullptr);
  EXPECT_EQ(find_broker_key(""), nullptr);
}

// The configuration file that comes with Kafka 4, reduced to its settings.
TEST(BrokerConfig, KafkasStockFileIsAcceptedAsItIs) {
  const auto config = from(R"(
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/var/lib/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
)");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->node_id, 1);
  EXPECT_EQ(config->data_folder, "/var/lib/kraft-combined-logs");
  EXPECT_EQ(config->listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "", 9092}}));
  EXPECT_EQ(config->advertised_listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "localhost", 9092}}));
  EXPECT_NE(config->without_effect.find("num.io.threads"), std::string::npos);
  EXPECT_EQ(config->without_effect.find("num.partitions"), std::string::npos);
  EXPECT_TRUE(config->warnings.empty());
}

TEST(BrokerConfig, LaterSettingsCount) {
  EXPECT_EQ(from("num.partitions=2\nnum.partitions=3")->topic.partitions, 3);
  EXPECT_EQ(from("log.dir=/a\nlog.dirs=/b")->data_folder, "/b");
  EXPECT_EQ(from("log.dirs=/b", {.data_folder = "/c"})->data_folder, "/c");
}

TEST(BrokerConfig, UnknownKeysNameTheirNeighbour) {
  EXPECT_EQ(mistake("num.partition=3"),
            "server.properties:1: unknown key num.partition: did you mean num.partitions?\n");
  EXPECT_EQ(mistake("\nlog.retention.hour=3"),
            "server.properties:2: unknown key log.retention.hour: did you mean log.retention.hours?\n");
  EXPECT_NE(mistake("retention.ms=1").find("log.retention.ms"), std::string::npos);
  EXPECT_NE(mistake("posthaste.core=1").find("posthaste.cores"), std::string::npos);
}

// As Kafka, which starts with any keys in its file.
TEST(BrokerConfig, KeysOfOthersAreIgnoredWithAWarning) {
  const auto config = from(
      "zookeeper.connect=a:2181\nsuper.users=User:admin\nallow.everyone.if.no.acl.found=true\n"
      "confluent.support.metrics.enable=false\nconfluent.support.metrics.enable=true\nrsm.config.a=b\n"
      "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=secret\nlistener.name.plaintext.max.connections=5");
  ASSERT_TRUE(config) << config.error().front();
  ASSERT_EQ(config->warnings.size(), 1U);
  EXPECT_EQ(config->warnings[0],
            "unknown keys are ignored: allow.everyone.if.no.acl.found, confluent.support.metrics.enable, rsm.config.a, "
            "super.users, zookeeper.connect (posthaste config check says more)");
  EXPECT_EQ(config->without_effect,
            "listener.name.plaintext.max.connections, listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config");
}

std::vector<SettingUse> uses(std::string_view text) {
  std::vector<SettingUse> out;
  const SettingValues values(*parse_properties(text, "f"));
  for (const JudgedSetting& setting : values.judged()) {
    out.push_back(setting.use);
    EXPECT_EQ(setting.why.empty(), setting.use == SettingUse::kUsed) << setting.property.key;
  }
  return out;
}

TEST(BrokerConfig, EveryLineIsJudged) {
  using enum SettingUse;
  EXPECT_EQ(uses("num.partitions=3\nnum.io.threads=8\nfoo.bar=1\nnum.partition=3\nauthorizer.class.name=x\n"
                 "authorizer.class.name=\nlog.segment.bytes=1"),
            (std::vector{kUsed, kNoEffect, kUnknown, kWrong, kWrong, kUsed, kWrong}));
  EXPECT_EQ(uses("log.retention.ms=5\nlog.retention.hours=3\nlog.dir=/a\nlog.dirs=/b\nlog.roll.hours=5"),
            (std::vector{kUsed, kNoEffect, kNoEffect, kUsed, kUsed}))
      << "the finest unit counts";
  EXPECT_EQ(uses("num.partitions=3\nnum.partitions=4"), (std::vector{kNoEffect, kUsed}));
}

TEST(BrokerConfig, WhatNothingReadsIsSaidToHaveNoEffect) {
  for (const std::string_view key : {"log.index.interval.bytes", "log.segment.delete.delay.ms", "min.insync.replicas",
                                     "offsets.topic.replication.factor", "socket.listen.backlog.size"}) {
    EXPECT_EQ(uses(fmt::format("{}=5", key)), std::vector{SettingUse::kNoEffect}) << key;
  }
  for (const std::string_view key :
       {"log.roll.jitter.ms", "log.roll.jitter.hours", "max.request.partition.size.limit"}) {
    EXPECT_EQ(uses(fmt::format("{}=5", key)), std::vector{SettingUse::kUsed}) << key;
  }
  EXPECT_EQ(from("max.request.partition.size.limit=5")->page_partitions_max, 5);
}

TEST(BrokerConfig, OutOfRangeNamesTheRange) {
  for (const std::string key : {"log.retention.ms", "log.retention.minutes", "log.retention.hours"}) {
    EXPECT_EQ(mistake(key + "=0"),
              "server.properties:1: " + key + "=0 is out of range, must be -1 (no limit) or 1 or more\n");
  }
  EXPECT_EQ(mistake("log.retention.hours=0\nlog.retention.ms=5"), "accepted") << "it does not count";
  EXPECT_NE(mistake("log.roll.ms=0").find("out of range"), std::string::npos);
  EXPECT_NE(mistake("log.roll.jitter.ms=-1").find("out of range"), std::string::npos);

  EXPECT_EQ(mistake("num.partitions=0"),
            "server.properties:1: num.partitions=0 is out of range, must be 1 to 2147483647\n");
  EXPECT_EQ(mistake("log.segment.bytes=5"),
            "server.properties:1: log.segment.bytes=5 is out of range, must be 1048576 to 2147483647\n");
  EXPECT_EQ(mistake("log.flush.interval.messages=0"),
            "server.properties:1: log.flush.interval.messages=0 is out of range, must be 1 or more\n");
  EXPECT_EQ(mistake("log.cleaner.min.cleanable.ratio=1.5"),
            "server.properties:1: log.cleaner.min.cleanable.ratio=1.5 is out of range, must be 0 to 1\n");
  EXPECT_NE(mistake("num.partitions=99999999999").find("must be 1 to 2147483647"), std::string::npos);
  EXPECT_NE(mistake("log.retention.bytes=99999999999999999999").find("out of range"), std::string::npos);
  EXPECT_NE(mistake("default.replication.factor=0").find("must be 1 or more"), std::string::npos);
}

TEST(BrokerConfig, WrongTypesNameTheType) {
  EXPECT_EQ(mistake("num.partitions=many"),
            "server.properties:1: num.partitions=many is not of type int (a whole number of 32 bits)\n");
  EXPECT_EQ(mistake("num.partitions=1.5"),
            "server.properties:1: num.partitions=1.5 is not of type int (a whole number of 32 bits)\n");
  EXPECT_EQ(mistake("num.partitions="),
            "server.properties:1: num.partitions= is not of type int (a whole number of 32 bits)\n");
  EXPECT_EQ(mistake("num.partitions=-"),
            "server.properties:1: num.partitions=- is not of type int (a whole number of 32 bits)\n");
  EXPECT_EQ(mistake("auto.create.topics.enable=yes"),
            "server.properties:1: auto.create.topics.enable=yes is not a boolean (true or false)\n");
  EXPECT_EQ(mistake("log.cleanup.policy=delete,shred"),
            "server.properties:1: log.cleanup.policy=delete,shred must be a list of compact, delete\n");
  EXPECT_EQ(mistake("posthaste.io.profile=5.4"),
            "server.properties:1: posthaste.io.profile=5.4 must be one of auto, 6.1, 6.12\n");
  EXPECT_NE(mistake("log.cleaner.min.cleanable.ratio=nan").find("double"), std::string::npos);
}

TEST(BrokerConfig, LimitsOnConnectionsAndRequests) {
  const auto config = from("max.connections=5\nmax.connections.per.ip=0\nmax.connections.per.ip.overrides=10.0.0.1:3");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->max_connections, 5);
  EXPECT_TRUE(config->without_effect.empty());
  EXPECT_EQ(mistake("\nmax.connections.per.ip=0"),
            "server.properties:2: max.connections.per.ip can be 0 only if max.connections.per.ip.overrides names an "
            "address that may connect\n");
  EXPECT_EQ(mistake("max.connections.per.ip.overrides=client:3"),
            "server.properties:1: Invalid value client:3 for max.connections.per.ip.overrides: 'client' is no IP "
            "address, and host names are not looked up\n");
  EXPECT_EQ(from("queued.max.request.bytes=200000000")->queued_request_bytes, 200'000'000);
  EXPECT_EQ(mistake("queued.max.request.bytes=0"), "accepted");
  EXPECT_EQ(
      mistake("queued.max.request.bytes=1000"),
      "server.properties:1: queued.max.request.bytes=1000 must not be below socket.request.max.bytes=104857600\n");
}

TEST(BrokerConfig, AllMistakesAreReportedAtOnce) {
  const auto config = from("num.partitions=0\nnum.partition=1\nlisteners=x");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().size(), 3U);
}

TEST(BrokerConfig, WhatWouldBeUnsafeToIgnoreIsRefused) {
  EXPECT_NE(mistake("authorizer.class.name=org.example.Authorizer").find("access control comes with a later version"),
            std::string::npos);
  EXPECT_NE(mistake("remote.log.storage.system.enable=true").find("is refused"), std::string::npos);
  EXPECT_EQ(mistake("remote.log.storage.system.enable=false"), "accepted");
  EXPECT_EQ(mistake("authorizer.class.name="), "accepted");
  EXPECT_NE(mistake("listeners=SSL://:9093").find("PLAINTEXT only"), std::string::npos);
}

TEST(BrokerConfig, Identity) {
  EXPECT_EQ(from("node.id=7")->node_id, 7);
  EXPECT_EQ(from("broker.id=7")->node_id, 7);
  EXPECT_NE(mistake("node.id=7\nbroker.id=8").find("must be the same"), std::string::npos);
  EXPECT_NE(mistake("process.roles=controller").find("must hold broker"), std::string::npos);
}

TEST(BrokerConfig, OneDataFolder) { EXPECT_NE(mistake("log.dirs=/a,/b").find("names 2 folders"), std::string::npos); }

TEST(BrokerConfig, Listeners) {
  const auto config = from(
      "listeners=INSIDE://10.0.0.1:9092,outside://"
      "[::1]:9094\nlistener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT\n"
      "advertised.listeners=OUTSIDE://broker.example:19094");
  ASSERT_TRUE(config) << config.error().front();
  EXPECT_EQ(config->listeners.at(1), (Listener{"OUTSIDE", "PLAINTEXT", "::1", 9094}));
  EXPECT_EQ(config->advertised_listeners, (std::vector<Listener>{{"OUTSIDE", "PLAINTEXT", "broker.example", 19094}}));
  EXPECT_EQ(to_string(config->listeners.at(1)), "OUTSIDE://[::1]:9094");
}

TEST(BrokerConfig, ListenMistakes) {
  EXPECT_NE(mistake("listeners=localhost:9092").find("NAME://HOST:PORT"), std::string::npos);
  EXPECT_NE(mistake("listeners=PLAINTEXT://h:70000").find("NAME://HOST:PORT"), std::string::npos);
  EXPECT_NE(mistake("listeners=PLAINTEXT://::1:9092").find("NAME://HOST:PORT"), std::string::npos);
  EXPECT_NE(mistake("listeners=INSIDE://h:9092").find("add INSIDE:PLAINTEXT"), std::string::npos);
  EXPECT_NE(mistake("listeners=PLAINTEXT://a:1,PLAINTEXT://b:2").find("stands twice"), std::string::npos);
  EXPECT_NE(mistake("listeners=PLAINTEXT://a:1,SSL://b:1").find("same port"), std::string::npos);
  EXPECT_NE(mistake("listeners=").find("no listener"), std::string::npos);
  EXPECT_NE(mistake("advertised.listeners=PLAINTEXT://0.0.0.0:9092").find("no address a client can connect to"),
            std::string::npos);
  EXPECT_NE(mistake("advertised.listeners=SSL://h:9092").find("not in listeners"), std::string::npos);
}

TEST(BrokerConfig, AnIPv4AndAnIPv6ListenerMayShareAPort) {
  constexpr std::string_view kMap = "\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT";
  const auto shares = [&](std::string_view listeners) {
    return mistake(fmt::format("listeners={}{}", listeners, kMap));
  };
  EXPECT_EQ(shares("A://0.0.0.0:9092,B://[::]:9092"), "accepted");
  EXPECT_EQ(shares("A://[::1]:9092,B://127.0.0.1:9092"), "accepted");
  // Whether these are of two kinds only a resolver knows.
  EXPECT_NE(shares("A://localhost:9092,B://[::1]:9092").find("same port 9092"), std::string::npos);
  EXPECT_NE(shares("A://:9092,B://[::1]:9092").find("same port 9092"), std::string::npos);
  EXPECT_NE(shares("A://10.0.0.1:9092,B://10.0.0.2:9092").find("same port 9092"), std::string::npos);
  EXPECT_NE(shares("A://10.0.0.1:9092,B://[::1]:9092,C://[::2]:9092").find("same port 9092"), std::string::npos);
}

// As they stand in Kafka's config/broker.properties, server.properties, and a file of one who runs both roles.
TEST(BrokerConfig, ListenersOfKafkasOwnFiles) {
  const auto broker = from(
      "process.roles=broker\nnode.id=2\ncontroller.quorum.bootstrap.servers=localhost:9093\n"
      "listeners=PLAINTEXT://localhost:9092\ninter.broker.listener.name=PLAINTEXT\n"
      "advertised.listeners=PLAINTEXT://localhost:9092\ncontroller.listener.names=CONTROLLER\n"
      "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL");
  ASSERT_TRUE(broker) << broker.error().front();
  EXPECT_EQ(broker->listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "localhost", 9092}}));
  EXPECT_EQ(broker->advertised_listeners, broker->listeners);
  EXPECT_TRUE(broker->notes.empty());
  const auto both = from(
      "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n"
      "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"
      "advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093");
  ASSERT_TRUE(both) << both.error().front();
  EXPECT_EQ(both->listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "", 9092}}));
  EXPECT_EQ(both->advertised_listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "localhost", 9092}}));
  ASSERT_EQ(both->notes.size(), 1U);
  EXPECT_NE(both->notes[0].find("CONTROLLER://:9093 is not opened"), std::string::npos);
}

TEST(BrokerConfig, ControllerListenersArePlaintextUnlessSomethingIsSecured) {
  constexpr std::string_view kTwo = "listeners=PLAINTEXT://:1,Ctl://:2\ncontroller.listener.names=";
  EXPECT_EQ(mistake(fmt::format("{}CTL", kTwo)), "accepted");
  EXPECT_EQ(mistake(fmt::format("{}ctl,OTHER", kTwo)), "accepted") << "Kafka's names are in upper case";
  EXPECT_NE(mistake(fmt::format("{}OTHER", kTwo)).find("add CTL:PLAINTEXT"), std::string::npos);
  EXPECT_NE(mistake(fmt::format("{}CTL,SSL", kTwo)).find("add CTL:PLAINTEXT"), std::string::npos);
  EXPECT_NE(mistake(fmt::format("{}CTL\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT", kTwo)).find("add CTL"),
            std::string::npos);
  EXPECT_NE(mistake("listeners=PLAINTEXT://:1,SASL_PLAINTEXT://:3,CTL://:2\ncontroller.listener.names=CTL").find("CTL"),
            std::string::npos);
}

TEST(BrokerConfig, ListenOptionReplacesTheFilesListeners) {
  const auto config =
      from("listeners=PLAINTEXT://:1\nadvertised.listeners=PLAINTEXT://h:1", {.listen = "127.0.0.1:9093"});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->listeners, (std::vector<Listener>{{"PLAINTEXT", "PLAINTEXT", "127.0.0.1", 9093}}));
  EXPECT_TRUE(config->advertised_listeners.empty());
  EXPECT_EQ(from("", {.listen = "0.0.0.0:9093"})->listeners.at(0).host, "0.0.0.0");
  EXPECT_NE(mistake("", {.listen = "9093"}).find("--listen"), std::string::npos);
}

TEST(BrokerConfig, SettingsTellDefaultFromGiven) {
  const auto config = from("num.partitions=4\nssl.key.password=secret");
  ASSERT_TRUE(config);
  const auto find = [&](std::string_view key) {
    return std::ranges::find(config->settings, key, &EffectiveSetting::key);
  };
  EXPECT_EQ(find("num.partitions")->value, "4");
  EXPECT_FALSE(find("num.partitions")->is_default);
  EXPECT_TRUE(find("log.segment.bytes")->is_default);
  EXPECT_EQ(find("ssl.key.password"), config->settings.end());
}

TEST(BrokerConfig, ReplicasThatNoBrokerIsThereForWarn) {
  EXPECT_EQ(from("default.replication.factor=3")->warnings.size(), 1U);
  EXPECT_TRUE(from("default.replication.factor=1")->warnings.empty());
}

TEST(BrokerConfig, RelaxedDurabilityWarns) { EXPECT_EQ(from("log.flush.interval.messages=100")->warnings.size(), 1U); }

TEST(BrokerConfig, SettingsOfOneListenerAndOfPlugInsAreAccepted) {
  EXPECT_EQ(mistake("listener.name.inside.ssl.keystore.location=/x\nrsm.config.a=b"), "accepted");
  EXPECT_NE(mistake("listener.name.inside.ssl.keystore.lokation=/x").find("unknown key"), std::string::npos);
}

}  // namespace
}  // namespace posthaste::app
