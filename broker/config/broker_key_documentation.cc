// Our words for the broker keys that do something; a key that does nothing says why (broker_keys.h).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "broker/config/broker_keys.h"
#include "broker/config/describe_configs.h"

namespace posthaste::broker {
namespace {

struct Words {
  std::string_view name;
  std::string_view text;
};

// Keys that hold the default of a topic key have that key's words and are not repeated here.
constexpr auto kWords = std::to_array<Words>({
    {"advertised.listeners",
     "Host and port that clients are told for each listener; without it the host in listeners or, where that is every "
     "address, the one that a client connected to."},
    {"auto.create.topics.enable", "Whether a topic that a client asks about, and that is not there, is created."},
    {"broker.id", "The older name of node.id; the same number if both are given."},
    {"connections.max.idle.ms", "A connection without a request for so long is closed; below 0: never."},
    {"controller.listener.names", "Listeners for controllers: named for Kafka's sake, a lone broker opens none."},
    {"default.replication.factor",
     "Replicas of a topic created without a number of its own; 1 until there are more "
     "brokers."},
    {"delete.topic.enable", "Whether topics may be deleted."},
    {"fetch.max.bytes", "Most bytes of one answer to Fetch, whatever the client asks for."},
    {"group.initial.rebalance.delay.ms", "How long a new group waits for more members before its first assignment."},
    {"group.max.session.timeout.ms", "Longest session timeout that a member may ask for."},
    {"group.max.size", "Most members of one group."},
    {"group.min.session.timeout.ms", "Shortest session timeout that a member may ask for."},
    {"listener.security.protocol.map", "The protocol of each listener's name; only PLAINTEXT is served."},
    {"listeners",
     "Where to listen, as NAME://host:port; a name is bound at all its addresses, an empty host is every address."},
    {"log.dir", "The data folder, where log.dirs is not given."},
    {"log.dirs", "The data folder; one."},
    {"log.retention.check.interval.ms", "How often old segments are looked for."},
    {"log.retention.hours", "Default of retention.ms, in hours, where neither minutes nor milliseconds are given."},
    {"log.retention.minutes", "Default of retention.ms, in minutes, where milliseconds are not given."},
    {"log.roll.hours", "Default of segment.ms, in hours, where milliseconds are not given."},
    {"log.roll.jitter.hours", "Default of segment.jitter.ms, in hours, where milliseconds are not given."},
    {"max.connections",
     "Most connections at once; further ones are closed as they come. Never above what the process can have: file "
     "descriptors and memory for connections, as logged at start."},
    {"max.connections.per.ip", "Most connections at once from one address; further ones are closed as they come."},
    {"max.connections.per.ip.overrides",
     "Other limits than max.connections.per.ip for some addresses, as ADDRESS:COUNT,...; host names are not looked "
     "up."},
    {"max.incremental.fetch.session.cache.slots", "Most fetch sessions at once; a reader beyond goes on without one."},
    {"max.request.partition.size.limit", "Most partitions in one answer of DescribeTopicPartitions."},
    {"node.id", "This broker's number; the data folder keeps it."},
    {"num.partitions", "Partitions of a topic created without a number of its own."},
    {"offset.metadata.max.bytes", "Longest text that a member may commit with an offset."},
    {"offsets.retention.check.interval.ms", "How often expired offsets are looked for."},
    {"offsets.retention.minutes", "How long offsets of an empty group are kept."},
    {"offsets.topic.num.partitions", "Partitions of __consumer_offsets when it is created."},
    {"offsets.topic.replication.factor", "Replicas of __consumer_offsets; 1 until there are more brokers."},
    {"offsets.topic.segment.bytes", "Size of a segment of __consumer_offsets when it is created."},
    {"posthaste.cores", "Cores to run on, one thread each; 0: all of them."},
    {"posthaste.io.profile", "Which io_uring features to use: those of kernel 6.1, of 6.12, or what the kernel has."},
    {"posthaste.journal.bytes", "Size of each core's journal; 0: a default that bounds recovery."},
    {"posthaste.journal.streams", "Journals to write side by side; 0: one."},
    {"posthaste.log.level", "Least important message that is logged."},
    {"posthaste.memory.bytes", "Memory for requests, tails and caches over all cores; 0: an eighth of the machine."},
    {"posthaste.pin.cores", "Whether each thread stays on its core."},
    {"posthaste.stop.timeout.ms",
     "How long a stop may finish requests and write records to their files; then the process ends, and the next start "
     "reads what was acknowledged from the journal. 0: as long as it takes."},
    {"process.roles", "Must hold broker; controller is accepted, for this broker is its own."},
    {"producer.id.expiration.ms", "How long the sequence numbers of an idle producer are remembered."},
    {"queued.max.request.bytes",
     "Most memory for requests that are not answered, over all cores; a request beyond waits. Each core takes at least "
     "one request of socket.request.max.bytes. 0 or below: a quarter of posthaste.memory.bytes, which bounds it "
     "always."},
    {"socket.listen.backlog.size", "Connections that may wait to be accepted."},
    {"socket.request.max.bytes",
     "Largest request; a larger one closes its connection, and so does one that a core's memory for requests could "
     "never hold, as logged at start."},
});
static_assert(std::ranges::is_sorted(kWords, {}, &Words::name));

}  // namespace

std::string broker_key_documentation(std::string_view name) {
  const BrokerKey* key = find_broker_key(name);
  if (key != nullptr && !reason(key->effect).empty()) {
    return fmt::format("Has no effect: {}.", reason(key->effect));
  }
  if (const TopicConfigDefinition* topic_key = topic_key_of(name)) {
    return fmt::format("{} Holds for topics without {} of their own.", topic_key->documentation, topic_key->name);
  }
  const auto found = std::ranges::lower_bound(kWords, name, {}, &Words::name);
  return found == kWords.end() || found->name != name ? std::string() : std::string(found->text);
}

}  // namespace posthaste::broker
