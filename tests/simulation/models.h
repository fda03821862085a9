// The model clients of a simulated run: idempotent and plain producers, consumers, group members, and the reader that
// checks everything at the end. Each is one coroutine on a client host; all report to one Oracle and stop when
// load_over is set. They retry as a real client does, so the broker must be right whatever fails in between.
#pragma once
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "reactor/core.h"
#include "tests/simulation/oracle.h"

namespace posthaste::simulation {

class KafkaClient;

struct Topic {
  std::string name;
  int32_t partitions = 1;
};

// What a run can make of the replica of a partition: a leader that is alone; one beside which an in-sync replica
// acknowledges nothing; none.
enum class ReplicaState : uint8_t { kLeader, kHeldBack, kNone };

// What all models of one run share. Lives in the run, outlives the hosts.
struct Models {
  std::string broker_address;
  std::vector<Topic> topics;
  std::string group;  // its members share the partitions of topics[0]
  Oracle oracle;
  bool topics_created = false;
  bool load_over = false;  // producers and members finish what they began and end
  bool everything_read = false;
  uint32_t broker_cores = 1;  // of the broker's present life
  uint32_t running = 0;       // models that have not ended
  uint64_t retries = 0;
  uint64_t rebalances = 0;
  // Of a broker that serves.
  std::function<void(const PartitionName&, ReplicaState)> set_replica;
};

// Creates the topics; returns once the broker has them. Retries without end.
reactor::Task<void> create_topics(reactor::Core& core, Models& models);

// Sends batches with sequence numbers, up to five in flight, and repeats them until they are acknowledged.
reactor::Task<void> idempotent_producer(reactor::Core& core, Models& models, uint32_t id);

// Sends without sequence numbers, acks=1 or all, and never repeats: a lost answer is a record that may or may not be
// there.
reactor::Task<void> plain_producer(reactor::Core& core, Models& models, uint32_t id);

// Reads one partition from its start for as long as the run lasts.
reactor::Task<void> consumer(reactor::Core& core, Models& models, PartitionName partition, uint32_t id);

// Joins the group, owns what it is assigned, commits growing offsets, leaves or falls silent now and then.
reactor::Task<void> group_member(reactor::Core& core, Models& models, uint32_t id);

// Commits and deletes offsets of a group without members, and looks whether what is there is what was acknowledged.
reactor::Task<void> offset_keeper(reactor::Core& core, Models& models);

// In a world without faults: a fetch that waits for any partition must be answered soon after a record was
// acknowledged.
reactor::Task<void> long_poller(reactor::Core& core, Models& models);

// In a world without faults: what other replicas hold back is not shown, and a request that waits for a replica is
// answered soon when its records are below the high watermark, or when the replica does not lead any more.
reactor::Task<void> held_replica(reactor::Core& core, Models& models);

// In a world without faults: of a fetch session over all partitions, whose answers hold one batch, none starves.
reactor::Task<void> session_reader(reactor::Core& core, Models& models);

// In a world without faults: beside readers that wait for records with large requests, more than the broker has memory
// for, a producer is answered soon.
reactor::Task<void> waiting_crowd(reactor::Core& core, Models& models);

// Reads every partition from 0 to the end and the committed offsets, and has the oracle compare. Retries until it
// could.
reactor::Task<void> final_reader(reactor::Core& core, Models& models);

namespace detail {
// A model's own randomness, drawn from its core once so that the order of models does not matter to it.
inline std::mt19937_64 seeded(reactor::Core& core) { return std::mt19937_64(core.random()); }
inline uint64_t below(std::mt19937_64& random, uint64_t limit) { return random() % limit; }
// Any partition of any topic.
inline PartitionName any_partition(const Models& models, std::mt19937_64& random) {
  const Topic& topic = models.topics[below(random, models.topics.size())];
  return {topic.name, static_cast<int32_t>(below(random, static_cast<uint64_t>(topic.partitions)))};
}
// A backoff as clients have it, with jitter.
inline reactor::Duration backoff(std::mt19937_64& random) {
  return reactor::Duration(std::chrono::milliseconds(20 + below(random, 200)));
}
// The end of a partition, as the broker says. Repeats the request until there is an answer.
reactor::Task<int64_t> find_end(reactor::Core& core, KafkaClient& client, PartitionName partition);
}  // namespace detail

}  // namespace posthaste::simulation
