// The keys of Kafka 4.3 as its own classes state them: name, type, default and what they accept. Ours must be the same,
// except for the differences below, with their reasons. It finds a key that is missing, or that accepts what Kafka
// refuses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "config/broker_keys.h"
#include "config/topic_config.h"

namespace posthaste::config {
namespace {

// "LEAST..MOST" of numbers, either may be missing; "{A,B}" of words; empty: anything.
struct KafkaKey {
  std::string_view name;
  std::string_view type;
  std::string_view default_value;
  std::string_view accepted;
  std::string_view broker_key = {};  // of a topic's key
};

// clang-format off
constexpr KafkaKey kTopicKeys[] = {
    {"cleanup.policy", "list", "delete", "{compact,delete}", "log.cleanup.policy"},
    {"compression.gzip.level", "int", "-1", "-1..9", "compression.gzip.level"},
    {"compression.lz4.level", "int", "9", "1..17", "compression.lz4.level"},
    {"compression.type", "string", "producer", "{uncompressed,zstd,lz4,snappy,gzip,producer}", "compression.type"},
    {"compression.zstd.level", "int", "3", "-131072..22", "compression.zstd.level"},
    {"delete.retention.ms", "long", "86400000", "0..", "log.cleaner.delete.retention.ms"},
    {"file.delete.delay.ms", "long", "60000", "0..", "log.segment.delete.delay.ms"},
    {"flush.messages", "long", "9223372036854775807", "1..", "log.flush.interval.messages"},
    {"flush.ms", "long", "9223372036854775807", "0..", "log.flush.interval.ms"},
    {"follower.replication.throttled.replicas", "list", "", "", ""},
    {"index.interval.bytes", "int", "4096", "0..", "log.index.interval.bytes"},
    {"leader.replication.throttled.replicas", "list", "", "", ""},
    {"local.retention.bytes", "long", "-2", "-2..", "log.local.retention.bytes"},
    {"local.retention.ms", "long", "-2", "-2..", "log.local.retention.ms"},
    {"max.compaction.lag.ms", "long", "9223372036854775807", "1..", "log.cleaner.max.compaction.lag.ms"},
    {"max.message.bytes", "int", "1048588", "0..", "message.max.bytes"},
    {"message.timestamp.after.max.ms", "long", "3600000", "0..", "log.message.timestamp.after.max.ms"},
    {"message.timestamp.before.max.ms", "long", "9223372036854775807", "0..", "log.message.timestamp.before.max.ms"},
    {"message.timestamp.type", "string", "CreateTime", "{CreateTime,LogAppendTime}", "log.message.timestamp.type"},
    {"min.cleanable.dirty.ratio", "double", "0.5", "0..1", "log.cleaner.min.cleanable.ratio"},
    {"min.compaction.lag.ms", "long", "0", "0..", "log.cleaner.min.compaction.lag.ms"},
    {"min.insync.replicas", "int", "1", "1..", "min.insync.replicas"},
    {"preallocate", "boolean", "false", "", "log.preallocate"},
    {"remote.log.copy.disable", "boolean", "false", "", ""},
    {"remote.log.delete.on.disable", "boolean", "false", "", ""},
    {"remote.storage.enable", "boolean", "false", "", ""},
    {"retention.bytes", "long", "-1", "", "log.retention.bytes"},
    {"retention.ms", "long", "604800000", "-1..", "log.retention.ms"},
    {"segment.bytes", "int", "1073741824", "1048576..", "log.segment.bytes"},
    {"segment.index.bytes", "int", "10485760", "4..", "log.index.size.max.bytes"},
    {"segment.jitter.ms", "long", "0", "0..", "log.roll.jitter.ms"},
    {"segment.ms", "long", "604800000", "1..", "log.roll.ms"},
    {"unclean.leader.election.enable", "boolean", "false", "", "unclean.leader.election.enable"},
};

constexpr KafkaKey kBrokerKeys[] = {
    {"add.partitions.to.txn.retry.backoff.max.ms", "int", "100", "0.."},
    {"add.partitions.to.txn.retry.backoff.ms", "int", "20", "1.."},
    {"advertised.listeners", "list", "null", ""},
    {"alter.config.policy.class.name", "class", "null", ""},
    {"alter.log.dirs.replication.quota.window.num", "int", "11", "1.."},
    {"alter.log.dirs.replication.quota.window.size.seconds", "int", "1", "1.."},
    {"authorizer.class.name", "string", "", ""},
    {"auto.create.topics.enable", "boolean", "true", ""},
    {"auto.leader.rebalance.enable", "boolean", "true", ""},
    {"background.threads", "int", "10", "1.."},
    {"broker.heartbeat.interval.ms", "int", "2000", ""},
    {"broker.id", "int", "-1", ""},
    {"broker.rack", "string", "null", ""},
    {"broker.session.timeout.ms", "int", "9000", ""},
    {"client.quota.callback.class", "class", "null", ""},
    {"compression.gzip.level", "int", "-1", "-1..9"},
    {"compression.lz4.level", "int", "9", "1..17"},
    {"compression.type", "string", "producer", "{uncompressed,zstd,lz4,snappy,gzip,producer}"},
    {"compression.zstd.level", "int", "3", "-131072..22"},
    {"config.providers", "list", "", ""},
    {"connection.failed.authentication.delay.ms", "int", "100", "0.."},
    {"connections.max.idle.ms", "long", "600000", ""},
    {"connections.max.reauth.ms", "long", "0", ""},
    {"controlled.shutdown.enable", "boolean", "true", ""},
    {"controller.listener.names", "list", "(required)", ""},
    {"controller.quorum.append.linger.ms", "int", "25", "0.."},
    {"controller.quorum.auto.join.enable", "boolean", "false", ""},
    {"controller.quorum.bootstrap.servers", "list", "", ""},
    {"controller.quorum.election.backoff.max.ms", "int", "1000", "0.."},
    {"controller.quorum.election.timeout.ms", "int", "1000", "0.."},
    {"controller.quorum.fetch.max.bytes", "int", "1048576", "1.."},
    {"controller.quorum.fetch.snapshot.max.bytes", "int", "1048576", "1.."},
    {"controller.quorum.fetch.timeout.ms", "int", "2000", "0.."},
    {"controller.quorum.request.timeout.ms", "int", "2000", "0.."},
    {"controller.quorum.retry.backoff.ms", "int", "20", "0.."},
    {"controller.quorum.voters", "list", "", ""},
    {"controller.quota.window.num", "int", "11", "1.."},
    {"controller.quota.window.size.seconds", "int", "1", "1.."},
    {"controller.socket.timeout.ms", "int", "30000", ""},
    {"cordoned.log.dirs", "list", "", ""},
    {"create.topic.policy.class.name", "class", "null", ""},
    {"default.replication.factor", "int", "1", ""},
    {"delegation.token.expiry.check.interval.ms", "long", "3600000", "1.."},
    {"delegation.token.expiry.time.ms", "long", "86400000", "1.."},
    {"delegation.token.max.lifetime.ms", "long", "604800000", "1.."},
    {"delegation.token.secret.key", "password", "null", ""},
    {"delete.records.purgatory.purge.interval.requests", "int", "1", ""},
    {"delete.topic.enable", "boolean", "true", ""},
    {"early.start.listeners", "list", "null", ""},
    {"fetch.max.bytes", "int", "57671680", "1024.."},
    {"fetch.purgatory.purge.interval.requests", "int", "1000", ""},
    {"follower.fetch.last.tiered.offset.enable", "boolean", "false", ""},
    {"group.consumer.assignment.interval.ms", "int", "1000", "0.."},
    {"group.consumer.assignors", "list", "uniform,range", ""},
    {"group.consumer.heartbeat.interval.ms", "int", "5000", "1.."},
    {"group.consumer.max.assignment.interval.ms", "int", "15000", "0.."},
    {"group.consumer.max.heartbeat.interval.ms", "int", "15000", "1.."},
    {"group.consumer.max.session.timeout.ms", "int", "60000", "1.."},
    {"group.consumer.max.size", "int", "2147483647", "1.."},
    {"group.consumer.migration.policy", "string", "bidirectional", "{DISABLED,DOWNGRADE,UPGRADE,BIDIRECTIONAL}"},
    {"group.consumer.min.assignment.interval.ms", "int", "0", "0.."},
    {"group.consumer.min.heartbeat.interval.ms", "int", "5000", "1.."},
    {"group.consumer.min.session.timeout.ms", "int", "45000", "1.."},
    {"group.consumer.session.timeout.ms", "int", "45000", "1.."},
    {"group.coordinator.append.linger.ms", "int", "-1", "-1.."},
    {"group.coordinator.background.threads", "int", "2", "1.."},
    {"group.coordinator.cached.buffer.max.bytes", "int", "1048588", "524288.."},
    {"group.coordinator.rebalance.protocols", "list", "classic,consumer,streams", "{consumer,classic,share,streams}"},
    {"group.coordinator.threads", "int", "4", "1.."},
    {"group.initial.rebalance.delay.ms", "int", "3000", ""},
    {"group.max.session.timeout.ms", "int", "1800000", ""},
    {"group.max.size", "int", "2147483647", "1.."},
    {"group.min.session.timeout.ms", "int", "6000", ""},
    {"group.share.assignment.interval.ms", "int", "1000", "0.."},
    {"group.share.assignors", "list", "simple", ""},
    {"group.share.delivery.count.limit", "int", "5", "2..10"},
    {"group.share.heartbeat.interval.ms", "int", "5000", "1.."},
    {"group.share.max.assignment.interval.ms", "int", "15000", "0.."},
    {"group.share.max.delivery.count.limit", "int", "10", "5..25"},
    {"group.share.max.heartbeat.interval.ms", "int", "15000", "1.."},
    {"group.share.max.partition.max.record.locks", "int", "4000", "2000..10000"},
    {"group.share.max.record.lock.duration.ms", "int", "60000", "30000..3600000"},
    {"group.share.max.session.timeout.ms", "int", "60000", "1.."},
    {"group.share.max.share.sessions", "int", "2000", "1.."},
    {"group.share.max.size", "int", "200", "1..1000"},
    {"group.share.min.assignment.interval.ms", "int", "0", "0.."},
    {"group.share.min.delivery.count.limit", "int", "2", "2..5"},
    {"group.share.min.heartbeat.interval.ms", "int", "5000", "1.."},
    {"group.share.min.partition.max.record.locks", "int", "100", "100..2000"},
    {"group.share.min.record.lock.duration.ms", "int", "15000", "1000..30000"},
    {"group.share.min.session.timeout.ms", "int", "45000", "1.."},
    {"group.share.partition.max.record.locks", "int", "2000", "100..10000"},
    {"group.share.record.lock.duration.ms", "int", "30000", "1000..3600000"},
    {"group.share.session.timeout.ms", "int", "45000", "1.."},
    {"group.streams.assignment.interval.ms", "int", "1000", "0.."},
    {"group.streams.heartbeat.interval.ms", "int", "5000", "1.."},
    {"group.streams.initial.rebalance.delay.ms", "int", "3000", "0.."},
    {"group.streams.max.assignment.interval.ms", "int", "15000", "0.."},
    {"group.streams.max.heartbeat.interval.ms", "int", "15000", "1.."},
    {"group.streams.max.session.timeout.ms", "int", "60000", "1.."},
    {"group.streams.max.size", "int", "2147483647", "1.."},
    {"group.streams.max.standby.replicas", "int", "2", "0.."},
    {"group.streams.min.assignment.interval.ms", "int", "0", "0.."},
    {"group.streams.min.heartbeat.interval.ms", "int", "5000", "1.."},
    {"group.streams.min.session.timeout.ms", "int", "45000", "1.."},
    {"group.streams.num.standby.replicas", "int", "0", "0.."},
    {"group.streams.session.timeout.ms", "int", "45000", "1.."},
    {"initial.broker.registration.timeout.ms", "int", "60000", ""},
    {"inter.broker.listener.name", "string", "null", ""},
    {"kafka.metrics.polling.interval.secs", "int", "10", "1.."},
    {"kafka.metrics.reporters", "list", "", ""},
    {"leader.imbalance.check.interval.seconds", "long", "300", "1.."},
    {"listener.security.protocol.map", "string", "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", ""},
    {"listeners", "list", "PLAINTEXT://:9092", ""},
    {"log.cleaner.backoff.ms", "long", "15000", "0.."},
    {"log.cleaner.dedupe.buffer.size", "long", "134217728", ""},
    {"log.cleaner.delete.retention.ms", "long", "86400000", "0.."},
    {"log.cleaner.enable", "boolean", "true", ""},
    {"log.cleaner.io.buffer.load.factor", "double", "0.9", ""},
    {"log.cleaner.io.buffer.size", "int", "524288", "0.."},
    {"log.cleaner.io.max.bytes.per.second", "double", "1.7976931348623157E308", ""},
    {"log.cleaner.max.compaction.lag.ms", "long", "9223372036854775807", "1.."},
    {"log.cleaner.min.cleanable.ratio", "double", "0.5", "0..1"},
    {"log.cleaner.min.compaction.lag.ms", "long", "0", "0.."},
    {"log.cleaner.threads", "int", "1", "0.."},
    {"log.cleanup.policy", "list", "delete", "{compact,delete}"},
    {"log.dir", "list", "/tmp/kafka-logs", ""},
    {"log.dir.failure.timeout.ms", "long", "30000", "1.."},
    {"log.dirs", "list", "null", ""},
    {"log.flush.interval.messages", "long", "9223372036854775807", "1.."},
    {"log.flush.interval.ms", "long", "null", ""},
    {"log.flush.offset.checkpoint.interval.ms", "int", "60000", "0.."},
    {"log.flush.scheduler.interval.ms", "long", "9223372036854775807", ""},
    {"log.flush.start.offset.checkpoint.interval.ms", "int", "60000", "0.."},
    {"log.index.interval.bytes", "int", "4096", "0.."},
    {"log.index.size.max.bytes", "int", "10485760", "4.."},
    {"log.local.retention.bytes", "long", "-2", "-2.."},
    {"log.local.retention.ms", "long", "-2", "-2.."},
    {"log.message.timestamp.after.max.ms", "long", "3600000", "0.."},
    {"log.message.timestamp.before.max.ms", "long", "9223372036854775807", "0.."},
    {"log.message.timestamp.type", "string", "CreateTime", "{CreateTime,LogAppendTime}"},
    {"log.preallocate", "boolean", "false", ""},
    {"log.retention.bytes", "long", "-1", ""},
    {"log.retention.check.interval.ms", "long", "300000", "1.."},
    {"log.retention.hours", "int", "168", ""},
    {"log.retention.minutes", "int", "null", ""},
    {"log.retention.ms", "long", "null", ""},
    {"log.roll.hours", "int", "168", "1.."},
    {"log.roll.jitter.hours", "int", "0", "0.."},
    {"log.roll.jitter.ms", "long", "null", ""},
    {"log.roll.ms", "long", "null", ""},
    {"log.segment.bytes", "int", "1073741824", "1048576.."},
    {"log.segment.delete.delay.ms", "long", "60000", "0.."},
    {"max.connection.creation.rate", "int", "2147483647", "0.."},
    {"max.connections", "int", "2147483647", "0.."},
    {"max.connections.per.ip", "int", "2147483647", "0.."},
    {"max.connections.per.ip.overrides", "string", "", ""},
    {"max.incremental.fetch.session.cache.slots", "int", "1000", "0.."},
    {"max.request.partition.size.limit", "int", "2000", "1.."},
    {"message.max.bytes", "int", "1048588", "0.."},
    {"metadata.log.dir", "string", "null", ""},
    {"metadata.log.max.record.bytes.between.snapshots", "long", "20971520", "1.."},
    {"metadata.log.max.snapshot.interval.ms", "long", "3600000", "0.."},
    {"metadata.log.segment.bytes", "int", "1073741824", "8388608.."},
    {"metadata.log.segment.ms", "long", "604800000", ""},
    {"metadata.max.idle.interval.ms", "int", "500", "0.."},
    {"metadata.max.retention.bytes", "long", "104857600", ""},
    {"metadata.max.retention.ms", "long", "604800000", ""},
    {"metric.reporters", "list", "org.apache.kafka.common.metrics.JmxReporter", ""},
    {"metrics.num.samples", "int", "2", "1.."},
    {"metrics.recording.level", "string", "INFO", ""},
    {"metrics.sample.window.ms", "long", "30000", "1.."},
    {"min.insync.replicas", "int", "1", "1.."},
    {"node.id", "int", "(required)", "0.."},
    {"num.io.threads", "int", "8", "1.."},
    {"num.network.threads", "int", "3", "1.."},
    {"num.partitions", "int", "1", "1.."},
    {"num.recovery.threads.per.data.dir", "int", "2", "1.."},
    {"num.replica.alter.log.dirs.threads", "int", "null", ""},
    {"num.replica.fetchers", "int", "1", "1.."},
    {"offset.metadata.max.bytes", "int", "4096", ""},
    {"offsets.commit.timeout.ms", "int", "5000", "1.."},
    {"offsets.load.buffer.size", "int", "5242880", "1.."},
    {"offsets.retention.check.interval.ms", "long", "600000", "1.."},
    {"offsets.retention.minutes", "int", "10080", "1.."},
    {"offsets.topic.compression.codec", "int", "0", ""},
    {"offsets.topic.num.partitions", "int", "50", "1.."},
    {"offsets.topic.replication.factor", "short", "3", "1.."},
    {"offsets.topic.segment.bytes", "int", "104857600", "1.."},
    {"principal.builder.class", "class", "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", ""},
    {"process.roles", "list", "(required)", "{broker,controller}"},
    {"producer.id.expiration.ms", "int", "86400000", "1.."},
    {"producer.purgatory.purge.interval.requests", "int", "1000", ""},
    {"queued.max.request.bytes", "long", "-1", ""},
    {"queued.max.requests", "int", "500", "1.."},
    {"quota.window.num", "int", "11", "1.."},
    {"quota.window.size.seconds", "int", "1", "1.."},
    {"remote.fetch.max.wait.ms", "int", "500", "1.."},
    {"remote.list.offsets.request.timeout.ms", "long", "30000", "1.."},
    {"remote.log.index.file.cache.total.size.bytes", "long", "1073741824", "1.."},
    {"remote.log.manager.copier.thread.pool.size", "int", "10", "1.."},
    {"remote.log.manager.copy.max.bytes.per.second", "long", "9223372036854775807", "1.."},
    {"remote.log.manager.copy.quota.window.num", "int", "11", "1.."},
    {"remote.log.manager.copy.quota.window.size.seconds", "int", "1", "1.."},
    {"remote.log.manager.expiration.thread.pool.size", "int", "10", "1.."},
    {"remote.log.manager.fetch.max.bytes.per.second", "long", "9223372036854775807", "1.."},
    {"remote.log.manager.fetch.quota.window.num", "int", "11", "1.."},
    {"remote.log.manager.fetch.quota.window.size.seconds", "int", "1", "1.."},
    {"remote.log.manager.follower.thread.pool.size", "int", "2", "1.."},
    {"remote.log.manager.task.interval.ms", "long", "30000", "1.."},
    {"remote.log.manager.thread.pool.size", "int", "2", "1.."},
    {"remote.log.metadata.custom.metadata.max.bytes", "int", "128", "0.."},
    {"remote.log.metadata.manager.class.name", "string", "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", ""},
    {"remote.log.metadata.manager.class.path", "string", "null", ""},
    {"remote.log.metadata.manager.impl.prefix", "string", "rlmm.config.", ""},
    {"remote.log.metadata.manager.listener.name", "string", "null", ""},
    {"remote.log.reader.max.pending.tasks", "int", "100", "1.."},
    {"remote.log.reader.threads", "int", "10", "1.."},
    {"remote.log.storage.manager.class.name", "string", "null", ""},
    {"remote.log.storage.manager.class.path", "string", "null", ""},
    {"remote.log.storage.manager.impl.prefix", "string", "rsm.config.", ""},
    {"remote.log.storage.system.enable", "boolean", "false", ""},
    {"replica.fetch.backoff.ms", "int", "1000", "0.."},
    {"replica.fetch.max.bytes", "int", "1048576", "0.."},
    {"replica.fetch.min.bytes", "int", "1", ""},
    {"replica.fetch.response.max.bytes", "int", "10485760", "0.."},
    {"replica.fetch.wait.max.ms", "int", "500", ""},
    {"replica.high.watermark.checkpoint.interval.ms", "long", "5000", ""},
    {"replica.lag.time.max.ms", "long", "30000", ""},
    {"replica.selector.class", "string", "null", ""},
    {"replica.socket.receive.buffer.bytes", "int", "65536", ""},
    {"replica.socket.timeout.ms", "int", "30000", ""},
    {"replication.quota.window.num", "int", "11", "1.."},
    {"replication.quota.window.size.seconds", "int", "1", "1.."},
    {"request.timeout.ms", "int", "30000", ""},
    {"sasl.client.callback.handler.class", "class", "null", ""},
    {"sasl.enabled.mechanisms", "list", "GSSAPI", ""},
    {"sasl.jaas.config", "password", "null", ""},
    {"sasl.kerberos.kinit.cmd", "string", "/usr/bin/kinit", ""},
    {"sasl.kerberos.min.time.before.relogin", "long", "60000", ""},
    {"sasl.kerberos.principal.to.local.rules", "list", "DEFAULT", ""},
    {"sasl.kerberos.service.name", "string", "null", ""},
    {"sasl.kerberos.ticket.renew.jitter", "double", "0.05", ""},
    {"sasl.kerberos.ticket.renew.window.factor", "double", "0.8", ""},
    {"sasl.login.callback.handler.class", "class", "null", ""},
    {"sasl.login.class", "class", "null", ""},
    {"sasl.login.connect.timeout.ms", "int", "null", ""},
    {"sasl.login.read.timeout.ms", "int", "null", ""},
    {"sasl.login.refresh.buffer.seconds", "short", "300", ""},
    {"sasl.login.refresh.min.period.seconds", "short", "60", ""},
    {"sasl.login.refresh.window.factor", "double", "0.8", ""},
    {"sasl.login.refresh.window.jitter", "double", "0.05", ""},
    {"sasl.login.retry.backoff.max.ms", "long", "10000", ""},
    {"sasl.login.retry.backoff.ms", "long", "100", ""},
    {"sasl.mechanism.controller.protocol", "string", "GSSAPI", ""},
    {"sasl.mechanism.inter.broker.protocol", "string", "GSSAPI", ""},
    {"sasl.oauthbearer.assertion.algorithm", "string", "RS256", "{ES256,RS256}"},
    {"sasl.oauthbearer.assertion.claim.aud", "string", "null", ""},
    {"sasl.oauthbearer.assertion.claim.exp.seconds", "int", "300", "0..86400"},
    {"sasl.oauthbearer.assertion.claim.iss", "string", "null", ""},
    {"sasl.oauthbearer.assertion.claim.jti.include", "boolean", "false", ""},
    {"sasl.oauthbearer.assertion.claim.nbf.seconds", "int", "60", "0..3600"},
    {"sasl.oauthbearer.assertion.claim.sub", "string", "null", ""},
    {"sasl.oauthbearer.assertion.file", "string", "null", ""},
    {"sasl.oauthbearer.assertion.private.key.file", "string", "null", ""},
    {"sasl.oauthbearer.assertion.private.key.passphrase", "password", "null", ""},
    {"sasl.oauthbearer.assertion.template.file", "string", "null", ""},
    {"sasl.oauthbearer.client.credentials.client.id", "string", "null", ""},
    {"sasl.oauthbearer.client.credentials.client.secret", "password", "null", ""},
    {"sasl.oauthbearer.clock.skew.seconds", "int", "30", ""},
    {"sasl.oauthbearer.expected.audience", "list", "", ""},
    {"sasl.oauthbearer.expected.issuer", "string", "null", ""},
    {"sasl.oauthbearer.jwks.endpoint.refresh.ms", "long", "3600000", ""},
    {"sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", "long", "10000", ""},
    {"sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", "long", "100", ""},
    {"sasl.oauthbearer.jwks.endpoint.url", "string", "null", ""},
    {"sasl.oauthbearer.jwt.retriever.class", "class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever", ""},
    {"sasl.oauthbearer.jwt.validator.class", "class", "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator", ""},
    {"sasl.oauthbearer.scope", "string", "null", ""},
    {"sasl.oauthbearer.scope.claim.name", "string", "scope", ""},
    {"sasl.oauthbearer.sub.claim.name", "string", "sub", ""},
    {"sasl.oauthbearer.token.endpoint.url", "string", "null", ""},
    {"sasl.server.callback.handler.class", "class", "null", ""},
    {"sasl.server.max.receive.size", "int", "524288", ""},
    {"security.inter.broker.protocol", "string", "PLAINTEXT", "{PLAINTEXT,SSL,SASL_PLAINTEXT,SASL_SSL}"},
    {"security.providers", "string", "null", ""},
    {"share.coordinator.append.linger.ms", "int", "-1", "-1.."},
    {"share.coordinator.cached.buffer.max.bytes", "int", "1048588", "524288.."},
    {"share.coordinator.load.buffer.size", "int", "5242880", "1.."},
    {"share.coordinator.snapshot.update.records.per.snapshot", "int", "500", "0..500"},
    {"share.coordinator.state.topic.compression.codec", "int", "0", ""},
    {"share.coordinator.state.topic.min.isr", "short", "2", "1.."},
    {"share.coordinator.state.topic.num.partitions", "int", "50", "1.."},
    {"share.coordinator.state.topic.replication.factor", "short", "3", "1.."},
    {"share.coordinator.state.topic.segment.bytes", "int", "104857600", "1.."},
    {"share.coordinator.threads", "int", "1", "1.."},
    {"share.coordinator.write.timeout.ms", "int", "5000", "1.."},
    {"share.fetch.purgatory.purge.interval.requests", "int", "1000", ""},
    {"socket.connection.setup.timeout.max.ms", "long", "30000", ""},
    {"socket.connection.setup.timeout.ms", "long", "10000", ""},
    {"socket.listen.backlog.size", "int", "50", "1.."},
    {"socket.receive.buffer.bytes", "int", "102400", ""},
    {"socket.request.max.bytes", "int", "104857600", "1.."},
    {"socket.send.buffer.bytes", "int", "102400", ""},
    {"ssl.allow.dn.changes", "boolean", "false", ""},
    {"ssl.allow.san.changes", "boolean", "false", ""},
    {"ssl.cipher.suites", "list", "", ""},
    {"ssl.client.auth", "string", "none", "{required,requested,none}"},
    {"ssl.enabled.protocols", "list", "TLSv1.2,TLSv1.3", ""},
    {"ssl.endpoint.identification.algorithm", "string", "https", ""},
    {"ssl.engine.factory.class", "class", "null", ""},
    {"ssl.key.password", "password", "null", ""},
    {"ssl.keymanager.algorithm", "string", "SunX509", ""},
    {"ssl.keystore.certificate.chain", "password", "null", ""},
    {"ssl.keystore.key", "password", "null", ""},
    {"ssl.keystore.location", "string", "null", ""},
    {"ssl.keystore.password", "password", "null", ""},
    {"ssl.keystore.type", "string", "JKS", ""},
    {"ssl.principal.mapping.rules", "string", "DEFAULT", ""},
    {"ssl.protocol", "string", "TLSv1.3", ""},
    {"ssl.provider", "string", "null", ""},
    {"ssl.secure.random.implementation", "string", "null", ""},
    {"ssl.trustmanager.algorithm", "string", "PKIX", ""},
    {"ssl.truststore.certificates", "password", "null", ""},
    {"ssl.truststore.location", "string", "null", ""},
    {"ssl.truststore.password", "password", "null", ""},
    {"ssl.truststore.type", "string", "JKS", ""},
    {"telemetry.max.bytes", "int", "1048576", "1.."},
    {"transaction.abort.timed.out.transaction.cleanup.interval.ms", "int", "10000", "1.."},
    {"transaction.max.timeout.ms", "int", "900000", "1.."},
    {"transaction.partition.verification.enable", "boolean", "true", ""},
    {"transaction.remove.expired.transaction.cleanup.interval.ms", "int", "3600000", "1.."},
    {"transaction.state.log.load.buffer.size", "int", "5242880", "1.."},
    {"transaction.state.log.min.isr", "int", "2", "1.."},
    {"transaction.state.log.num.partitions", "int", "50", "1.."},
    {"transaction.state.log.replication.factor", "short", "3", "1.."},
    {"transaction.state.log.segment.bytes", "int", "104857600", "1.."},
    {"transaction.two.phase.commit.enable", "boolean", "false", ""},
    {"transactional.id.expiration.ms", "int", "604800000", "1.."},
    {"unclean.leader.election.enable", "boolean", "false", ""},
};
// clang-format on

// Where we differ: what the test would report for the key, and why.
const std::map<std::string_view, std::string_view> kDeliberate = {
    {"topic flush.messages default 1", "acknowledged means durable"},
    {"topic min.insync.replicas default 2", "likewise"},
    {"log.flush.interval.messages default 1", "likewise"},
    {"min.insync.replicas default 2", "likewise"},
    {"log.dir default data", "a durable broker does not keep its data in /tmp"},
    {"controller.listener.names default ", "a lone broker needs none"},
    {"node.id default -1", "taken from the data folder"},
    {"node.id accepts -1..", "likewise: -1 says so"},
    {"process.roles default broker,controller", "a lone broker is both"},
    {"metric.reporters default ", "a Java class that is not here"},
    {"principal.builder.class default ", "likewise"},
    {"remote.log.metadata.manager.class.name default ", "likewise"},
    {"sasl.oauthbearer.jwt.retriever.class default ", "likewise"},
    {"sasl.oauthbearer.jwt.validator.class default ", "likewise"},
    {"log.roll.jitter.ms accepts 0..", "Kafka checks it beside the definition"},
    {"log.roll.ms accepts 1..", "likewise"},
};

std::string_view short_name(KeyType type) {
  const std::string_view name = to_string(type);
  return name.substr(0, name.find(' '));
}

std::string range_text(int64_t least, int64_t most, std::string_view type) {
  const bool is_int = type == "int";
  const bool is_short = type == "short";
  const int64_t lowest = is_int ? INT32_MIN : is_short ? INT16_MIN : INT64_MIN;
  const int64_t highest = is_int ? INT32_MAX : is_short ? INT16_MAX : INT64_MAX;
  if (least <= lowest && most >= highest) return "";
  return fmt::format("{}..{}", least <= lowest ? "" : std::to_string(least),
                     most >= highest ? "" : std::to_string(most));
}

// The differences between our definition of the key and Kafka's.
void expect_same(std::string_view prefix, const KafkaKey& kafka, std::string_view type, std::string_view default_value,
                 const std::string& accepted) {
  const auto differs = [&](const std::string& what) {
    const std::string whole = fmt::format("{}{} {}", prefix, kafka.name, what);
    EXPECT_TRUE(kDeliberate.contains(whole))
        << whole << ", in Kafka: " << kafka.type << " = " << kafka.default_value << " of " << kafka.accepted;
  };
  if (type != kafka.type) differs(fmt::format("type {}", type));
  const std::string_view none =
      kafka.default_value == "null" || kafka.default_value == "(required)" ? "" : kafka.default_value;
  if (default_value != none || kafka.default_value == "(required)") differs(fmt::format("default {}", default_value));
  if (accepted != kafka.accepted) differs(fmt::format("accepts {}", accepted));
}

TEST(KafkasKeys, EveryBrokerKeyHasItsTypeDefaultAndRange) {
  for (const KafkaKey& kafka : kBrokerKeys) {
    const BrokerKey* key = find_broker_key(kafka.name);
    ASSERT_NE(key, nullptr) << kafka.name;
    const std::string accepted = key->allowed.empty() ? range_text(key->range.least, key->range.most, kafka.type)
                                                      : fmt::format("{{{}}}", key->allowed);
    expect_same("", kafka, short_name(key->type), key->default_value, accepted);
  }
}

TEST(KafkasKeys, WeHaveNoOthersButOurs) {
  for (const BrokerKey& key : broker_keys()) {
    if (key.name.starts_with("posthaste.")) continue;
    EXPECT_NE(std::ranges::find(kBrokerKeys, key.name, &KafkaKey::name), std::end(kBrokerKeys)) << key.name;
  }
  EXPECT_EQ(topic_keys_by_name().size(), std::size(kTopicKeys));
}

TEST(KafkasKeys, EveryTopicKeyHasItsTypeDefaultRangeAndBrokerKey) {
  for (const KafkaKey& kafka : kTopicKeys) {
    const TopicKey* key = find_topic_key(kafka.name);
    ASSERT_NE(key, nullptr) << kafka.name;
    EXPECT_EQ(key->broker.name, kafka.broker_key) << kafka.name;
    const std::string_view type = short_name(key->type);
    const std::string_view words = key->allowed;
    const bool is_number = type == "int" || type == "long" || type == "double";
    const std::string accepted = !words.empty() ? fmt::format("{{{}}}", words)
                                 : is_number    ? range_text(key->range.least, key->range.most, type)
                                                : "";
    expect_same("topic ", kafka, type, key->default_value, accepted);
  }
}

}  // namespace
}  // namespace posthaste::config
