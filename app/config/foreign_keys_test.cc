// Which unknown keys are taken for typing errors, and which belong to other programs.
#include "app/config/foreign_keys.h"

#include <gtest/gtest.h>

#include <string>

#include "config/broker_keys.h"

namespace posthaste::app {
namespace {

using config::broker_keys;
using config::find_broker_key;

// Keys of earlier releases of Kafka, and what other programs and vendors have in the same file.
constexpr std::string_view kOfOthers[] = {
    "advertised.host.name",
    "advertised.port",
    "allow.everyone.if.no.acl.found",
    "auto.include.jmx.reporter",
    "broker.id.generation.enable",
    "client.quota.callback.static.consume",
    "client.quota.callback.static.produce",
    "client.quota.callback.static.storage.hard",
    "confluent.balancer.enable",
    "confluent.license",
    "confluent.license.topic.replication.factor",
    "confluent.metadata.topic.replication.factor",
    "confluent.metrics.reporter.bootstrap.servers",
    "confluent.security.event.logger.enable",
    "confluent.support.metrics.enable",
    "config.providers.env.class",
    "config.providers.file.param.allowed.paths",
    "control.plane.listener.name",
    "cruise.control.metrics.reporter.bootstrap.servers",
    "cruise.control.metrics.topic",
    "cruise.control.metrics.topic.auto.create",
    "delegation.token.master.key",
    "enable.zookeeper.electors",
    "group.coordinator.new.enable",
    "host.name",
    "inter.broker.protocol.version",
    "kafka.csv.metrics.dir",
    "kafka.csv.metrics.reporter.enabled",
    "kafka.rest.bootstrap.servers",
    "kafka.rest.client.ssl.key.password",
    "ldap.group.name.attribute",
    "ldap.java.naming.security.principal",
    "leader.imbalance.per.broker.percentage",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "metadata.bootstrap.servers",
    "metrics.context.resource.cluster.id",
    "num.replica.fetcher.threads.per.broker",
    "offsets.commit.required.acks",
    "opa.authorizer.url",
    "password.encoder.cipher.algorithm",
    "password.encoder.secret",
    "port",
    "port.9092.tcp.port",
    "producer.purgatory.size",
    "quota.consumer.default",
    "quota.producer.default",
    "reserved.broker.max.id",
    "rlmm.config.topic.name",
    "rsm.config.chunk.size",
    "schema.registry.url",
    "service.port",
    "strimzi.authorization.kafka.cluster.name",
    "strimzi.authorization.token.endpoint.uri",
    "super.users",
    "unstable.api.versions.enable",
    "zookeeper.clientCnxnSocket",
    "zookeeper.connect",
    "zookeeper.connection.timeout.ms",
    "zookeeper.metadata.migration.enable",
    "zookeeper.session.timeout.ms",
    "zookeeper.set.acl",
    "zookeeper.sync.time.ms",
};

TEST(ForeignKeys, KeysOfOthersAreNoSlips) {
  for (const std::string_view key : kOfOthers) {
    const ForeignKey judged = judge_foreign_key(key);
    EXPECT_FALSE(judged.is_slip) << key << ": " << judged.why;
    EXPECT_FALSE(judged.why.empty());
  }
}

// One letter too few, one too many, two swapped, other separators: named, whatever the key.
TEST(ForeignKeys, ASlipOfAnyKeyNamesAKey) {
  constexpr size_t kEach = 7;  // a distance to every key is slow
  for (size_t i = 0; i < broker_keys().size(); i += kEach) {
    const std::string name(broker_keys()[i].name);
    const size_t middle = name.size() / 2;
    std::string swapped = name;
    std::swap(swapped[middle], swapped[middle - 1]);
    std::string underscores = name;
    for (char& c : underscores) c = c == '.' ? '_' : c;
    for (const std::string& slip : {name.substr(0, name.size() - 1), name + "s",
                                    name.substr(0, middle) + name.substr(middle + 1), swapped, underscores}) {
      if (find_broker_key(slip) != nullptr || slip == "log.message.timestamp.difference.max.ms") continue;
      const ForeignKey judged = judge_foreign_key(slip);
      EXPECT_TRUE(judged.is_slip) << slip << ": " << judged.why;
      EXPECT_NE(judged.why.find("did you mean"), std::string::npos) << slip;
    }
  }
}

TEST(ForeignKeys, NamesTheKeyThatWasMeant) {
  EXPECT_EQ(judge_foreign_key("num.partition").why, "did you mean num.partitions?");
  EXPECT_EQ(judge_foreign_key("LOG_RETENTION_HOURS").why, "did you mean log.retention.hours?");
  EXPECT_EQ(judge_foreign_key("log.retention.hrs").why, "did you mean log.retention.hours?");
  EXPECT_EQ(judge_foreign_key("retention.ms").why, "that is a topic's key; the broker's is log.retention.ms");
  EXPECT_TRUE(judge_foreign_key("retention.ms").is_slip);
  EXPECT_TRUE(judge_foreign_key("posthaste.no.such.key").is_slip) << "our own prefix is nobody else's";
  EXPECT_FALSE(judge_foreign_key("").is_slip);
  EXPECT_FALSE(judge_foreign_key(std::string(10'000, 'x')).is_slip);
}

}  // namespace
}  // namespace posthaste::app
