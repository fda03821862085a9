// The table of broker_keys.h, one row a key, sorted by name. Nothing else is here.
#include "broker/config/broker_keys.h"

#include <algorithm>
#include <array>

namespace posthaste::broker {
namespace {

using enum KeyType;
using enum KeyEffect;

// Defaults that differ from Kafka's: log.flush.interval.messages is 1 and min.insync.replicas 2, because acknowledged
// means durable here. log.dir is `data` in the current folder, because a durable broker does not keep its data in /tmp.
// node.id, process.roles and controller.listener.names, which Kafka requires, have defaults that make a lone broker
// work.
// clang-format off
constexpr auto kKeys = std::to_array<BrokerKey>({
  {"add.partitions.to.txn.retry.backoff.max.ms", kInt, "100", kNoTransactions, {0, INT32_MAX}},
  {"add.partitions.to.txn.retry.backoff.ms", kInt, "20", kNoTransactions, {1, INT32_MAX}},
  {"advertised.listeners", kList, "", kUsed},
  {"alter.config.policy.class.name", kClass, "", kRefusedUnlessDefault},
  {"alter.log.dirs.replication.quota.window.num", kInt, "11", kNoQuotas, {1, INT32_MAX}},
  {"alter.log.dirs.replication.quota.window.size.seconds", kInt, "1", kNoQuotas, {1, INT32_MAX}},
  {"authorizer.class.name", kString, "", kRefusedUnlessDefault},
  {"auto.create.topics.enable", kBoolean, "true", kUsed},
  {"auto.leader.rebalance.enable", kBoolean, "true", kLoneBroker},
  {"background.threads", kInt, "10", kThreadPerCore, {1, INT32_MAX}},
  {"broker.heartbeat.interval.ms", kInt, "2000", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"broker.id", kInt, "-1", kUsed, {INT32_MIN, INT32_MAX}},
  {"broker.rack", kString, "", kLoneBroker},
  {"broker.session.timeout.ms", kInt, "9000", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"client.quota.callback.class", kClass, "", kRefusedUnlessDefault},
  {"compression.gzip.level", kInt, "-1", kOpaqueBatches, {-1, 9}},
  {"compression.lz4.level", kInt, "9", kOpaqueBatches, {1, 17}},
  {"compression.type", kString, "producer", kOpaqueBatches, {}, "uncompressed,zstd,lz4,snappy,gzip,producer"},
  {"compression.zstd.level", kInt, "3", kOpaqueBatches, {-131072, 22}},
  {"config.providers", kList, "", kRefusedUnlessDefault},
  {"connection.failed.authentication.delay.ms", kInt, "100", kNoSecurity, {0, INT32_MAX}},
  {"connections.max.idle.ms", kLong, "600000", kUsed},
  {"connections.max.reauth.ms", kLong, "0", kNoSecurity},
  {"controlled.shutdown.enable", kBoolean, "true", kLoneBroker},
  {"controller.listener.names", kList, "", kUsed},
  {"controller.quorum.append.linger.ms", kInt, "25", kLoneBroker, {0, INT32_MAX}},
  {"controller.quorum.auto.join.enable", kBoolean, "false", kLoneBroker},
  {"controller.quorum.bootstrap.servers", kList, "", kLoneBroker},
  {"controller.quorum.election.backoff.max.ms", kInt, "1000", kLoneBroker, {0, INT32_MAX}},
  {"controller.quorum.election.timeout.ms", kInt, "1000", kLoneBroker, {0, INT32_MAX}},
  {"controller.quorum.fetch.max.bytes", kInt, "1048576", kLoneBroker, {1, INT32_MAX}},
  {"controller.quorum.fetch.snapshot.max.bytes", kInt, "1048576", kLoneBroker, {1, INT32_MAX}},
  {"controller.quorum.fetch.timeout.ms", kInt, "2000", kLoneBroker, {0, INT32_MAX}},
  {"controller.quorum.request.timeout.ms", kInt, "2000", kLoneBroker, {0, INT32_MAX}},
  {"controller.quorum.retry.backoff.ms", kInt, "20", kLoneBroker, {0, INT32_MAX}},
  {"controller.quorum.voters", kList, "", kLoneBroker},
  {"controller.quota.window.num", kInt, "11", kLoneBroker, {1, INT32_MAX}},
  {"controller.quota.window.size.seconds", kInt, "1", kLoneBroker, {1, INT32_MAX}},
  {"controller.socket.timeout.ms", kInt, "30000", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"cordoned.log.dirs", kList, "", kOwnStorage},
  {"create.topic.policy.class.name", kClass, "", kRefusedUnlessDefault},
  {"default.replication.factor", kInt, "1", kUsed, {INT32_MIN, INT32_MAX}},
  {"delegation.token.expiry.check.interval.ms", kLong, "3600000", kNoSecurity, {1, INT64_MAX}},
  {"delegation.token.expiry.time.ms", kLong, "86400000", kNoSecurity, {1, INT64_MAX}},
  {"delegation.token.max.lifetime.ms", kLong, "604800000", kNoSecurity, {1, INT64_MAX}},
  {"delegation.token.secret.key", kPassword, "", kNoSecurity},
  {"delete.records.purgatory.purge.interval.requests", kInt, "1", kNoPurgatory, {INT32_MIN, INT32_MAX}},
  {"delete.topic.enable", kBoolean, "true", kUsed},
  {"early.start.listeners", kList, "", kLoneBroker},
  {"fetch.max.bytes", kInt, "57671680", kUsed, {1024, INT32_MAX}},
  {"fetch.purgatory.purge.interval.requests", kInt, "1000", kNoPurgatory, {INT32_MIN, INT32_MAX}},
  {"follower.fetch.last.tiered.offset.enable", kBoolean, "false", kLoneBroker},
  {"group.consumer.assignment.interval.ms", kInt, "1000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.consumer.assignors", kList, "uniform,range", kClassicGroupsOnly},
  {"group.consumer.heartbeat.interval.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.consumer.max.assignment.interval.ms", kInt, "15000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.consumer.max.heartbeat.interval.ms", kInt, "15000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.consumer.max.session.timeout.ms", kInt, "60000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.consumer.max.size", kInt, "2147483647", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.consumer.migration.policy", kString, "bidirectional", kClassicGroupsOnly, {}, "DISABLED,DOWNGRADE,UPGRADE,BIDIRECTIONAL"},
  {"group.consumer.min.assignment.interval.ms", kInt, "0", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.consumer.min.heartbeat.interval.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.consumer.min.session.timeout.ms", kInt, "45000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.consumer.session.timeout.ms", kInt, "45000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.coordinator.append.linger.ms", kInt, "-1", kThreadPerCore, {-1, INT32_MAX}},
  {"group.coordinator.background.threads", kInt, "2", kThreadPerCore, {1, INT32_MAX}},
  {"group.coordinator.cached.buffer.max.bytes", kInt, "1048588", kThreadPerCore, {524288, INT32_MAX}},
  {"group.coordinator.rebalance.protocols", kList, "classic,consumer,streams", kClassicGroupsOnly, {}, "consumer,classic,share,streams"},
  {"group.coordinator.threads", kInt, "4", kThreadPerCore, {1, INT32_MAX}},
  {"group.initial.rebalance.delay.ms", kInt, "3000", kUsed, {INT32_MIN, INT32_MAX}},
  {"group.max.session.timeout.ms", kInt, "1800000", kUsed, {INT32_MIN, INT32_MAX}},
  {"group.max.size", kInt, "2147483647", kUsed, {1, INT32_MAX}},
  {"group.min.session.timeout.ms", kInt, "6000", kUsed, {INT32_MIN, INT32_MAX}},
  {"group.share.assignment.interval.ms", kInt, "1000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.share.assignors", kList, "simple", kClassicGroupsOnly},
  {"group.share.delivery.count.limit", kInt, "5", kClassicGroupsOnly, {2, 10}},
  {"group.share.heartbeat.interval.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.share.max.assignment.interval.ms", kInt, "15000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.share.max.delivery.count.limit", kInt, "10", kClassicGroupsOnly, {5, 25}},
  {"group.share.max.heartbeat.interval.ms", kInt, "15000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.share.max.partition.max.record.locks", kInt, "4000", kClassicGroupsOnly, {2000, 10000}},
  {"group.share.max.record.lock.duration.ms", kInt, "60000", kClassicGroupsOnly, {30000, 3600000}},
  {"group.share.max.session.timeout.ms", kInt, "60000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.share.max.share.sessions", kInt, "2000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.share.max.size", kInt, "200", kClassicGroupsOnly, {1, 1000}},
  {"group.share.min.assignment.interval.ms", kInt, "0", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.share.min.delivery.count.limit", kInt, "2", kClassicGroupsOnly, {2, 5}},
  {"group.share.min.heartbeat.interval.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.share.min.partition.max.record.locks", kInt, "100", kClassicGroupsOnly, {100, 2000}},
  {"group.share.min.record.lock.duration.ms", kInt, "15000", kClassicGroupsOnly, {1000, 30000}},
  {"group.share.min.session.timeout.ms", kInt, "45000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.share.partition.max.record.locks", kInt, "2000", kClassicGroupsOnly, {100, 10000}},
  {"group.share.record.lock.duration.ms", kInt, "30000", kClassicGroupsOnly, {1000, 3600000}},
  {"group.share.session.timeout.ms", kInt, "45000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.assignment.interval.ms", kInt, "1000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.streams.heartbeat.interval.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.initial.rebalance.delay.ms", kInt, "3000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.streams.max.assignment.interval.ms", kInt, "15000", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.streams.max.heartbeat.interval.ms", kInt, "15000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.max.session.timeout.ms", kInt, "60000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.max.size", kInt, "2147483647", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.max.standby.replicas", kInt, "2", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.streams.min.assignment.interval.ms", kInt, "0", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.streams.min.heartbeat.interval.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.min.session.timeout.ms", kInt, "45000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"group.streams.num.standby.replicas", kInt, "0", kClassicGroupsOnly, {0, INT32_MAX}},
  {"group.streams.session.timeout.ms", kInt, "45000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"initial.broker.registration.timeout.ms", kInt, "60000", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"inter.broker.listener.name", kString, "", kLoneBroker},
  {"kafka.metrics.polling.interval.secs", kInt, "10", kNoJavaMetrics, {1, INT32_MAX}},
  {"kafka.metrics.reporters", kList, "", kNoJavaMetrics},
  {"leader.imbalance.check.interval.seconds", kLong, "300", kLoneBroker, {1, INT64_MAX}},
  {"listener.security.protocol.map", kString, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", kUsed},
  {"listeners", kList, "PLAINTEXT://:9092", kUsed},
  {"log.cleaner.backoff.ms", kLong, "15000", kNoCompaction, {0, INT64_MAX}},
  {"log.cleaner.dedupe.buffer.size", kLong, "134217728", kNoCompaction},
  {"log.cleaner.delete.retention.ms", kLong, "86400000", kNoCompaction, {0, INT64_MAX}},
  {"log.cleaner.enable", kBoolean, "true", kNoCompaction},
  {"log.cleaner.io.buffer.load.factor", kDouble, "0.9", kNoCompaction},
  {"log.cleaner.io.buffer.size", kInt, "524288", kNoCompaction, {0, INT32_MAX}},
  {"log.cleaner.io.max.bytes.per.second", kDouble, "1.7976931348623157E308", kNoCompaction},
  {"log.cleaner.max.compaction.lag.ms", kLong, "9223372036854775807", kNoCompaction, {1, INT64_MAX}},
  {"log.cleaner.min.cleanable.ratio", kDouble, "0.5", kNoCompaction, {0, 1}},
  {"log.cleaner.min.compaction.lag.ms", kLong, "0", kNoCompaction, {0, INT64_MAX}},
  {"log.cleaner.threads", kInt, "1", kNoCompaction, {0, INT32_MAX}},
  {"log.cleanup.policy", kList, "delete", kUsed, {}, "compact,delete"},
  {"log.dir", kList, "data", kUsed},
  {"log.dir.failure.timeout.ms", kLong, "30000", kOwnStorage, {1, INT64_MAX}},
  {"log.dirs", kList, "", kUsed},
  {"log.flush.interval.messages", kLong, "1", kUsed, {1, INT64_MAX}},
  {"log.flush.interval.ms", kLong, "", kOwnStorage},
  {"log.flush.offset.checkpoint.interval.ms", kInt, "60000", kOwnStorage, {0, INT32_MAX}},
  {"log.flush.scheduler.interval.ms", kLong, "9223372036854775807", kOwnStorage},
  {"log.flush.start.offset.checkpoint.interval.ms", kInt, "60000", kOwnStorage, {0, INT32_MAX}},
  {"log.index.interval.bytes", kInt, "4096", kUsed, {0, INT32_MAX}},
  {"log.index.size.max.bytes", kInt, "10485760", kOwnStorage, {4, INT32_MAX}},
  {"log.local.retention.bytes", kLong, "-2", kNoTiering, {-2, INT64_MAX}},
  {"log.local.retention.ms", kLong, "-2", kNoTiering, {-2, INT64_MAX}},
  {"log.message.timestamp.after.max.ms", kLong, "3600000", kUsed, {0, INT64_MAX}},
  {"log.message.timestamp.before.max.ms", kLong, "9223372036854775807", kUsed, {0, INT64_MAX}},
  {"log.message.timestamp.type", kString, "CreateTime", kUsed, {}, "CreateTime,LogAppendTime"},
  {"log.preallocate", kBoolean, "false", kOwnStorage},
  {"log.retention.bytes", kLong, "-1", kUsed},
  {"log.retention.check.interval.ms", kLong, "300000", kUsed, {1, INT64_MAX}},
  {"log.retention.hours", kInt, "168", kUsed, {INT32_MIN, INT32_MAX}},
  {"log.retention.minutes", kInt, "", kUsed, {INT32_MIN, INT32_MAX}},
  {"log.retention.ms", kLong, "", kUsed},
  {"log.roll.hours", kInt, "168", kUsed, {1, INT32_MAX}},
  {"log.roll.jitter.hours", kInt, "0", kUsed, {0, INT32_MAX}},
  {"log.roll.jitter.ms", kLong, "", kUsed, {0, INT64_MAX}},
  {"log.roll.ms", kLong, "", kUsed, {1, INT64_MAX}},
  {"log.segment.bytes", kInt, "1073741824", kUsed, {1048576, INT32_MAX}},
  {"log.segment.delete.delay.ms", kLong, "60000", kUsed, {0, INT64_MAX}},
  {"max.connection.creation.rate", kInt, "2147483647", kNoQuotas, {0, INT32_MAX}},
  {"max.connections", kInt, "2147483647", kUsed, {0, INT32_MAX}},
  {"max.connections.per.ip", kInt, "2147483647", kUsed, {0, INT32_MAX}},
  {"max.connections.per.ip.overrides", kString, "", kUsed},
  {"max.incremental.fetch.session.cache.slots", kInt, "1000", kUsed, {0, INT32_MAX}},
  {"max.request.partition.size.limit", kInt, "2000", kUsed, {1, INT32_MAX}},
  {"message.max.bytes", kInt, "1048588", kUsed, {0, INT32_MAX}},
  {"metadata.log.dir", kString, "", kLoneBroker},
  {"metadata.log.max.record.bytes.between.snapshots", kLong, "20971520", kLoneBroker, {1, INT64_MAX}},
  {"metadata.log.max.snapshot.interval.ms", kLong, "3600000", kLoneBroker, {0, INT64_MAX}},
  {"metadata.log.segment.bytes", kInt, "1073741824", kLoneBroker, {8388608, INT32_MAX}},
  {"metadata.log.segment.ms", kLong, "604800000", kLoneBroker},
  {"metadata.max.idle.interval.ms", kInt, "500", kLoneBroker, {0, INT32_MAX}},
  {"metadata.max.retention.bytes", kLong, "104857600", kLoneBroker},
  {"metadata.max.retention.ms", kLong, "604800000", kLoneBroker},
  {"metric.reporters", kList, "", kNoJavaMetrics},
  {"metrics.num.samples", kInt, "2", kNoJavaMetrics, {1, INT32_MAX}},
  {"metrics.recording.level", kString, "INFO", kNoJavaMetrics},
  {"metrics.sample.window.ms", kLong, "30000", kNoJavaMetrics, {1, INT64_MAX}},
  {"min.insync.replicas", kInt, "2", kUsed, {1, INT32_MAX}},
  {"node.id", kInt, "-1", kUsed, {-1, INT32_MAX}},
  {"num.io.threads", kInt, "8", kThreadPerCore, {1, INT32_MAX}},
  {"num.network.threads", kInt, "3", kThreadPerCore, {1, INT32_MAX}},
  {"num.partitions", kInt, "1", kUsed, {1, INT32_MAX}},
  {"num.recovery.threads.per.data.dir", kInt, "2", kThreadPerCore, {1, INT32_MAX}},
  {"num.replica.alter.log.dirs.threads", kInt, "", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"num.replica.fetchers", kInt, "1", kLoneBroker, {1, INT32_MAX}},
  {"offset.metadata.max.bytes", kInt, "4096", kUsed, {INT32_MIN, INT32_MAX}},
  {"offsets.commit.timeout.ms", kInt, "5000", kThreadPerCore, {1, INT32_MAX}},
  {"offsets.load.buffer.size", kInt, "5242880", kThreadPerCore, {1, INT32_MAX}},
  {"offsets.retention.check.interval.ms", kLong, "600000", kUsed, {1, INT64_MAX}},
  {"offsets.retention.minutes", kInt, "10080", kUsed, {1, INT32_MAX}},
  {"offsets.topic.compression.codec", kInt, "0", kOwnStorage, {INT32_MIN, INT32_MAX}},
  {"offsets.topic.num.partitions", kInt, "50", kUsed, {1, INT32_MAX}},
  {"offsets.topic.replication.factor", kShort, "3", kUsed, {1, INT16_MAX}},
  {"offsets.topic.segment.bytes", kInt, "104857600", kUsed, {1, INT32_MAX}},
  {"posthaste.cores", kInt, "0", kUsed, {0, 64}},
  {"posthaste.io.profile", kString, "auto", kUsed, {}, "auto,6.1,6.12"},
  {"posthaste.journal.bytes", kLong, "0", kUsed, {0, INT64_MAX}},
  {"posthaste.journal.streams", kInt, "0", kUsed, {0, 64}},
  {"posthaste.log.level", kString, "info", kUsed, {}, "debug,info,warning,error"},
  {"posthaste.memory.bytes", kLong, "0", kUsed, {0, INT64_MAX}},
  {"posthaste.pin.cores", kBoolean, "true", kUsed},
  {"posthaste.stop.timeout.ms", kInt, "4000", kUsed, {0, INT32_MAX}},
  {"principal.builder.class", kClass, "", kNoSecurity},
  {"process.roles", kList, "broker,controller", kUsed, {}, "broker,controller"},
  {"producer.id.expiration.ms", kInt, "86400000", kUsed, {1, INT32_MAX}},
  {"producer.purgatory.purge.interval.requests", kInt, "1000", kNoPurgatory, {INT32_MIN, INT32_MAX}},
  {"queued.max.request.bytes", kLong, "-1", kUsed},
  {"queued.max.requests", kInt, "500", kNoQuotas, {1, INT32_MAX}},
  {"quota.window.num", kInt, "11", kNoQuotas, {1, INT32_MAX}},
  {"quota.window.size.seconds", kInt, "1", kNoQuotas, {1, INT32_MAX}},
  {"remote.fetch.max.wait.ms", kInt, "500", kNoTiering, {1, INT32_MAX}},
  {"remote.list.offsets.request.timeout.ms", kLong, "30000", kNoTiering, {1, INT64_MAX}},
  {"remote.log.index.file.cache.total.size.bytes", kLong, "1073741824", kNoTiering, {1, INT64_MAX}},
  {"remote.log.manager.copier.thread.pool.size", kInt, "10", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.copy.max.bytes.per.second", kLong, "9223372036854775807", kNoTiering, {1, INT64_MAX}},
  {"remote.log.manager.copy.quota.window.num", kInt, "11", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.copy.quota.window.size.seconds", kInt, "1", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.expiration.thread.pool.size", kInt, "10", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.fetch.max.bytes.per.second", kLong, "9223372036854775807", kNoTiering, {1, INT64_MAX}},
  {"remote.log.manager.fetch.quota.window.num", kInt, "11", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.fetch.quota.window.size.seconds", kInt, "1", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.follower.thread.pool.size", kInt, "2", kNoTiering, {1, INT32_MAX}},
  {"remote.log.manager.task.interval.ms", kLong, "30000", kNoTiering, {1, INT64_MAX}},
  {"remote.log.manager.thread.pool.size", kInt, "2", kNoTiering, {1, INT32_MAX}},
  {"remote.log.metadata.custom.metadata.max.bytes", kInt, "128", kNoTiering, {0, INT32_MAX}},
  {"remote.log.metadata.manager.class.name", kString, "", kNoTiering},
  {"remote.log.metadata.manager.class.path", kString, "", kNoTiering},
  {"remote.log.metadata.manager.impl.prefix", kString, "rlmm.config.", kNoTiering},
  {"remote.log.metadata.manager.listener.name", kString, "", kNoTiering},
  {"remote.log.reader.max.pending.tasks", kInt, "100", kNoTiering, {1, INT32_MAX}},
  {"remote.log.reader.threads", kInt, "10", kNoTiering, {1, INT32_MAX}},
  {"remote.log.storage.manager.class.name", kString, "", kNoTiering},
  {"remote.log.storage.manager.class.path", kString, "", kNoTiering},
  {"remote.log.storage.manager.impl.prefix", kString, "rsm.config.", kNoTiering},
  {"remote.log.storage.system.enable", kBoolean, "false", kRefusedUnlessDefault},
  {"replica.fetch.backoff.ms", kInt, "1000", kLoneBroker, {0, INT32_MAX}},
  {"replica.fetch.max.bytes", kInt, "1048576", kLoneBroker, {0, INT32_MAX}},
  {"replica.fetch.min.bytes", kInt, "1", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"replica.fetch.response.max.bytes", kInt, "10485760", kLoneBroker, {0, INT32_MAX}},
  {"replica.fetch.wait.max.ms", kInt, "500", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"replica.high.watermark.checkpoint.interval.ms", kLong, "5000", kLoneBroker},
  {"replica.lag.time.max.ms", kLong, "30000", kLoneBroker},
  {"replica.selector.class", kString, "", kLoneBroker},
  {"replica.socket.receive.buffer.bytes", kInt, "65536", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"replica.socket.timeout.ms", kInt, "30000", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"replication.quota.window.num", kInt, "11", kLoneBroker, {1, INT32_MAX}},
  {"replication.quota.window.size.seconds", kInt, "1", kLoneBroker, {1, INT32_MAX}},
  {"request.timeout.ms", kInt, "30000", kLoneBroker, {INT32_MIN, INT32_MAX}},
  {"sasl.client.callback.handler.class", kClass, "", kNoSecurity},
  {"sasl.enabled.mechanisms", kList, "GSSAPI", kNoSecurity},
  {"sasl.jaas.config", kPassword, "", kNoSecurity},
  {"sasl.kerberos.kinit.cmd", kString, "/usr/bin/kinit", kNoSecurity},
  {"sasl.kerberos.min.time.before.relogin", kLong, "60000", kNoSecurity},
  {"sasl.kerberos.principal.to.local.rules", kList, "DEFAULT", kNoSecurity},
  {"sasl.kerberos.service.name", kString, "", kNoSecurity},
  {"sasl.kerberos.ticket.renew.jitter", kDouble, "0.05", kNoSecurity},
  {"sasl.kerberos.ticket.renew.window.factor", kDouble, "0.8", kNoSecurity},
  {"sasl.login.callback.handler.class", kClass, "", kNoSecurity},
  {"sasl.login.class", kClass, "", kNoSecurity},
  {"sasl.login.connect.timeout.ms", kInt, "", kNoSecurity, {INT32_MIN, INT32_MAX}},
  {"sasl.login.read.timeout.ms", kInt, "", kNoSecurity, {INT32_MIN, INT32_MAX}},
  {"sasl.login.refresh.buffer.seconds", kShort, "300", kNoSecurity, {INT16_MIN, INT16_MAX}},
  {"sasl.login.refresh.min.period.seconds", kShort, "60", kNoSecurity, {INT16_MIN, INT16_MAX}},
  {"sasl.login.refresh.window.factor", kDouble, "0.8", kNoSecurity},
  {"sasl.login.refresh.window.jitter", kDouble, "0.05", kNoSecurity},
  {"sasl.login.retry.backoff.max.ms", kLong, "10000", kNoSecurity},
  {"sasl.login.retry.backoff.ms", kLong, "100", kNoSecurity},
  {"sasl.mechanism.controller.protocol", kString, "GSSAPI", kNoSecurity},
  {"sasl.mechanism.inter.broker.protocol", kString, "GSSAPI", kNoSecurity},
  {"sasl.oauthbearer.assertion.algorithm", kString, "RS256", kNoSecurity, {}, "ES256,RS256"},
  {"sasl.oauthbearer.assertion.claim.aud", kString, "", kNoSecurity},
  {"sasl.oauthbearer.assertion.claim.exp.seconds", kInt, "300", kNoSecurity, {0, 86400}},
  {"sasl.oauthbearer.assertion.claim.iss", kString, "", kNoSecurity},
  {"sasl.oauthbearer.assertion.claim.jti.include", kBoolean, "false", kNoSecurity},
  {"sasl.oauthbearer.assertion.claim.nbf.seconds", kInt, "60", kNoSecurity, {0, 3600}},
  {"sasl.oauthbearer.assertion.claim.sub", kString, "", kNoSecurity},
  {"sasl.oauthbearer.assertion.file", kString, "", kNoSecurity},
  {"sasl.oauthbearer.assertion.private.key.file", kString, "", kNoSecurity},
  {"sasl.oauthbearer.assertion.private.key.passphrase", kPassword, "", kNoSecurity},
  {"sasl.oauthbearer.assertion.template.file", kString, "", kNoSecurity},
  {"sasl.oauthbearer.client.credentials.client.id", kString, "", kNoSecurity},
  {"sasl.oauthbearer.client.credentials.client.secret", kPassword, "", kNoSecurity},
  {"sasl.oauthbearer.clock.skew.seconds", kInt, "30", kNoSecurity, {INT32_MIN, INT32_MAX}},
  {"sasl.oauthbearer.expected.audience", kList, "", kNoSecurity},
  {"sasl.oauthbearer.expected.issuer", kString, "", kNoSecurity},
  {"sasl.oauthbearer.jwks.endpoint.refresh.ms", kLong, "3600000", kNoSecurity},
  {"sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", kLong, "10000", kNoSecurity},
  {"sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", kLong, "100", kNoSecurity},
  {"sasl.oauthbearer.jwks.endpoint.url", kString, "", kNoSecurity},
  {"sasl.oauthbearer.jwt.retriever.class", kClass, "", kNoSecurity},
  {"sasl.oauthbearer.jwt.validator.class", kClass, "", kNoSecurity},
  {"sasl.oauthbearer.scope", kString, "", kNoSecurity},
  {"sasl.oauthbearer.scope.claim.name", kString, "scope", kNoSecurity},
  {"sasl.oauthbearer.sub.claim.name", kString, "sub", kNoSecurity},
  {"sasl.oauthbearer.token.endpoint.url", kString, "", kNoSecurity},
  {"sasl.server.callback.handler.class", kClass, "", kNoSecurity},
  {"sasl.server.max.receive.size", kInt, "524288", kNoSecurity, {INT32_MIN, INT32_MAX}},
  {"security.inter.broker.protocol", kString, "PLAINTEXT", kNoSecurity, {}, "PLAINTEXT,SSL,SASL_PLAINTEXT,SASL_SSL"},
  {"security.providers", kString, "", kNoSecurity},
  {"share.coordinator.append.linger.ms", kInt, "-1", kClassicGroupsOnly, {-1, INT32_MAX}},
  {"share.coordinator.cached.buffer.max.bytes", kInt, "1048588", kClassicGroupsOnly, {524288, INT32_MAX}},
  {"share.coordinator.load.buffer.size", kInt, "5242880", kClassicGroupsOnly, {1, INT32_MAX}},
  {"share.coordinator.snapshot.update.records.per.snapshot", kInt, "500", kClassicGroupsOnly, {0, 500}},
  {"share.coordinator.state.topic.compression.codec", kInt, "0", kClassicGroupsOnly, {INT32_MIN, INT32_MAX}},
  {"share.coordinator.state.topic.min.isr", kShort, "2", kClassicGroupsOnly, {1, INT16_MAX}},
  {"share.coordinator.state.topic.num.partitions", kInt, "50", kClassicGroupsOnly, {1, INT32_MAX}},
  {"share.coordinator.state.topic.replication.factor", kShort, "3", kClassicGroupsOnly, {1, INT16_MAX}},
  {"share.coordinator.state.topic.segment.bytes", kInt, "104857600", kClassicGroupsOnly, {1, INT32_MAX}},
  {"share.coordinator.threads", kInt, "1", kClassicGroupsOnly, {1, INT32_MAX}},
  {"share.coordinator.write.timeout.ms", kInt, "5000", kClassicGroupsOnly, {1, INT32_MAX}},
  {"share.fetch.purgatory.purge.interval.requests", kInt, "1000", kClassicGroupsOnly, {INT32_MIN, INT32_MAX}},
  {"socket.connection.setup.timeout.max.ms", kLong, "30000", kLoneBroker},
  {"socket.connection.setup.timeout.ms", kLong, "10000", kLoneBroker},
  {"socket.listen.backlog.size", kInt, "50", kUsed, {1, INT32_MAX}},
  {"socket.receive.buffer.bytes", kInt, "102400", kKernelBuffers, {INT32_MIN, INT32_MAX}},
  {"socket.request.max.bytes", kInt, "104857600", kUsed, {1, INT32_MAX}},
  {"socket.send.buffer.bytes", kInt, "102400", kKernelBuffers, {INT32_MIN, INT32_MAX}},
  {"ssl.allow.dn.changes", kBoolean, "false", kNoSecurity},
  {"ssl.allow.san.changes", kBoolean, "false", kNoSecurity},
  {"ssl.cipher.suites", kList, "", kNoSecurity},
  {"ssl.client.auth", kString, "none", kNoSecurity, {}, "required,requested,none"},
  {"ssl.enabled.protocols", kList, "TLSv1.2,TLSv1.3", kNoSecurity},
  {"ssl.endpoint.identification.algorithm", kString, "https", kNoSecurity},
  {"ssl.engine.factory.class", kClass, "", kNoSecurity},
  {"ssl.key.password", kPassword, "", kNoSecurity},
  {"ssl.keymanager.algorithm", kString, "SunX509", kNoSecurity},
  {"ssl.keystore.certificate.chain", kPassword, "", kNoSecurity},
  {"ssl.keystore.key", kPassword, "", kNoSecurity},
  {"ssl.keystore.location", kString, "", kNoSecurity},
  {"ssl.keystore.password", kPassword, "", kNoSecurity},
  {"ssl.keystore.type", kString, "JKS", kNoSecurity},
  {"ssl.principal.mapping.rules", kString, "DEFAULT", kNoSecurity},
  {"ssl.protocol", kString, "TLSv1.3", kNoSecurity},
  {"ssl.provider", kString, "", kNoSecurity},
  {"ssl.secure.random.implementation", kString, "", kNoSecurity},
  {"ssl.trustmanager.algorithm", kString, "PKIX", kNoSecurity},
  {"ssl.truststore.certificates", kPassword, "", kNoSecurity},
  {"ssl.truststore.location", kString, "", kNoSecurity},
  {"ssl.truststore.password", kPassword, "", kNoSecurity},
  {"ssl.truststore.type", kString, "JKS", kNoSecurity},
  {"telemetry.max.bytes", kInt, "1048576", kNoJavaMetrics, {1, INT32_MAX}},
  {"transaction.abort.timed.out.transaction.cleanup.interval.ms", kInt, "10000", kNoTransactions, {1, INT32_MAX}},
  {"transaction.max.timeout.ms", kInt, "900000", kNoTransactions, {1, INT32_MAX}},
  {"transaction.partition.verification.enable", kBoolean, "true", kNoTransactions},
  {"transaction.remove.expired.transaction.cleanup.interval.ms", kInt, "3600000", kNoTransactions, {1, INT32_MAX}},
  {"transaction.state.log.load.buffer.size", kInt, "5242880", kNoTransactions, {1, INT32_MAX}},
  {"transaction.state.log.min.isr", kInt, "2", kNoTransactions, {1, INT32_MAX}},
  {"transaction.state.log.num.partitions", kInt, "50", kNoTransactions, {1, INT32_MAX}},
  {"transaction.state.log.replication.factor", kShort, "3", kNoTransactions, {1, INT16_MAX}},
  {"transaction.state.log.segment.bytes", kInt, "104857600", kNoTransactions, {1, INT32_MAX}},
  {"transaction.two.phase.commit.enable", kBoolean, "false", kNoTransactions},
  {"transactional.id.expiration.ms", kInt, "604800000", kNoTransactions, {1, INT32_MAX}},
  {"unclean.leader.election.enable", kBoolean, "false", kLoneBroker},
});
// clang-format on
static_assert(std::ranges::is_sorted(kKeys, {}, &BrokerKey::name));

}  // namespace

std::span<const BrokerKey> broker_keys() { return kKeys; }

const BrokerKey* find_broker_key(std::string_view name) {
  const auto found = std::ranges::lower_bound(kKeys, name, {}, &BrokerKey::name);
  return found != kKeys.end() && found->name == name ? &*found : nullptr;
}

std::string_view to_string(KeyType type) {
  switch (type) {
    case kBoolean:
      return "boolean (true or false)";
    case kInt:
      return "int (a whole number of 32 bits)";
    case kLong:
      return "long (a whole number of 64 bits)";
    case kShort:
      return "short (a whole number of 16 bits)";
    case kDouble:
      return "double (a number)";
    case kString:
      return "string";
    case kList:
      return "list (comma-separated)";
    case kPassword:
      return "password";
    case kClass:
      return "class";
  }
  return "?";
}

std::string_view reason(KeyEffect effect) {
  switch (effect) {
    case kUsed:
      return "";
    case kRefusedUnlessDefault:
      return "this version cannot honour it, and to ignore it would be unsafe";
    case kLoneBroker:
      return "this broker is a cluster of one and its own quorum";
    case kNoTiering:
      return "there is no tiered storage in this version";
    case kNoSecurity:
      return "only PLAINTEXT listeners are served in this version";
    case kClassicGroupsOnly:
      return "of the group protocols this version serves the classic one";
    case kNoTransactions:
      return "transactions are not served in this version";
    case kNoCompaction:
      return "this version does not compact logs";
    case kOpaqueBatches:
      return "batches are stored as the producer compressed them";
    case kNoQuotas:
      return "there are no quotas in this version";
    case kNoPurgatory:
      return "a waiting request is woken by what it waits for";
    case kThreadPerCore:
      return "there is one thread per core, see posthaste.cores";
    case kNoJavaMetrics:
      return "metrics are not reported through Java classes";
    case kKernelBuffers:
      return "the kernel sizes socket buffers by itself";
    case kOwnStorage:
      return "the journal and its own segments replace what it tunes";
    case kPerListener:
      return "it is set for one listener, and this version has it for all of them only";
  }
  return "";
}

}  // namespace posthaste::broker
