#include "tests/controller/checker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ranges>
#include <set>

namespace posthaste::controller_model {
namespace {

using net::kafka::ErrorCode;
using replication::kRecovering;
using replication::TopicImage;

std::string describe(const PartitionImage& partition) {
  return fmt::format("leader {} epoch {}/{} isr {} elr {} unverified {} last {} recovery {} of {} + {} - {}",
                     partition.leader, partition.leader_epoch, partition.partition_epoch, partition.isr,
                     partition.unsettled.elr(), partition.unsettled.unverified(), partition.unsettled.last_known_elr(),
                     partition.leader_recovery_state, partition.replicas, partition.unsettled.adding_replicas(),
                     partition.unsettled.removing_replicas());
}

std::vector<int32_t> without(std::span<const int32_t> from, std::span<const int32_t> what) {
  std::vector<int32_t> left;
  for (const int32_t id : from) {
    if (!contains(what, id)) left.push_back(id);
  }
  return left;
}

std::vector<int32_t> target_of(const PartitionImage& partition) {
  return without(partition.replicas, partition.unsettled.removing_replicas());
}

// Ascending.
std::vector<int32_t> original_of(const PartitionImage& partition) {
  std::vector<int32_t> original = without(partition.replicas, partition.unsettled.adding_replicas());
  std::ranges::sort(original);
  return original;
}

bool is_moving(const PartitionImage& partition) {
  return !partition.unsettled.adding_replicas().empty() || !partition.unsettled.removing_replicas().empty();
}

bool is_member(const PartitionImage& partition, int32_t id) {
  return contains(partition.isr, id) || contains(partition.unsettled.elr(), id);
}

}  // namespace

int32_t min_isr_of(const MetadataImage& image, const TopicImage& topic, const PartitionImage& partition) {
  const auto own = topic.configs().find("min.insync.replicas");
  const auto& brokers = image.broker_configs("");
  const auto broad = brokers.find("min.insync.replicas");
  std::string value = "2";
  if (broad != brokers.end()) value = broad->second;
  if (own != topic.configs().end()) value = own->second;
  return std::min(std::stoi(value), static_cast<int32_t>(original_of(partition).size()));
}

void Checker::changed(const MetadataImage& before, const MetadataImage& after, Cause cause) {
  after.topics().for_each([&](const TopicImage& topic) {
    const TopicImage* was = before.topic(topic.id);
    for (size_t index = 0; index < topic.partitions.size(); ++index) {
      const PartitionImage& partition = topic.partitions[index];
      const std::string name = fmt::format("{}-{}", topic.name, index);
      check_state(after, name, partition);
      if (!partition.unsettled.elr().empty() && partition.leader != -1 &&
          static_cast<int32_t>(partition.isr.size()) >= min_isr_of(after, topic, partition)) {
        fail(fmt::format("S4: {} has an ELR beside an ISR that commits: {}", name, describe(partition)));
      }
      const Partition key{topic.id, static_cast<int32_t>(index)};
      if (was == nullptr || index >= was->partitions.size()) {
        histories_[key].leaders[partition.leader_epoch] = partition.leader;
      } else if (!(was->partitions[index] == partition)) {
        check_step(after, key, name, was->partitions[index], partition, cause);
      }
    }
  });
  check_logs(after);
}

void Checker::check_state(const MetadataImage& image, const std::string& name, const PartitionImage& partition) {
  const auto wrong = [&](std::string_view rule) { fail(fmt::format("{}: {} {}", rule, name, describe(partition))); };
  if (partition.leader != -1 && !contains(partition.isr, partition.leader)) wrong("S1, the leader is not in the ISR");
  if (partition.isr.empty() && partition.leader != -1) wrong("S1, nobody is in sync and somebody leads");
  for (const int32_t id : partition.unsettled.elr()) {
    if (contains(partition.isr, id)) wrong("S2, in ISR and ELR");
  }
  if (partition.isr.empty() && partition.unsettled.last_known_elr().empty()) wrong("S3, nobody is remembered");
  const auto adding = partition.unsettled.adding_replicas();
  const auto removing = partition.unsettled.removing_replicas();
  if (!without(adding, partition.replicas).empty() || !without(removing, partition.replicas).empty() ||
      without(adding, removing).size() != adding.size() || adding.size() == partition.replicas.size() ||
      removing.size() == partition.replicas.size()) {
    wrong("S7, who comes or goes is no replica, or does both, or all do");
  }
  if (contains(partition.unsettled.unverified(), partition.leader)) wrong("S5, an unverified leader");
  for (const std::span<const int32_t> members : {std::span<const int32_t>(partition.isr), partition.unsettled.elr()}) {
    for (const int32_t id : members) {
      if (image.broker(id) == nullptr) wrong("S6, a member is not registered");
    }
  }
}

void Checker::check_step(const MetadataImage& image, const Partition& key, const std::string& name,
                         const PartitionImage& before, const PartitionImage& after, Cause cause) {
  const auto wrong = [&](std::string_view rule) {
    fail(fmt::format("{}: {} from {} to {}", rule, name, describe(before), describe(after)));
  };
  if (after.partition_epoch <= before.partition_epoch) wrong("T1, another state under the same partition epoch");
  if (after.leader_epoch < before.leader_epoch) wrong("T2, the leader epoch goes back");
  if (after.leader != before.leader && after.leader_epoch == before.leader_epoch) wrong("T2, two leaders of an epoch");
  const auto* led = before.leader == -1 ? nullptr : image.broker(before.leader);
  const bool is_doubted = contains(after.unsettled.unverified(), before.leader);  // that life is over
  if (after.leader == -1 && led != nullptr && !led->fenced && led->in_controlled_shutdown && !is_doubted) {
    wrong("G1, a broker that shuts down leads no more and nobody else does");
  }
  History& history = histories_[key];
  const auto [known, is_new] = history.leaders.emplace(after.leader_epoch, after.leader);
  if (!is_new && known->second != after.leader) wrong("T2, two leaders of an epoch");
  for (const int32_t id : after.unsettled.elr()) {
    if (!is_member(before, id)) wrong("T3, eligible from nowhere");
  }
  const bool is_unclean = after.leader_recovery_state == kRecovering && before.leader_recovery_state != kRecovering;
  for (const int32_t id : after.isr) {
    if (contains(before.isr, id)) continue;
    const bool is_elected = id == after.leader && (is_unclean || contains(before.unsettled.elr(), id));
    const bool was_recovering = before.leader_recovery_state == kRecovering && id == after.leader;
    if (cause != Cause::kIsrChange && !is_elected && !was_recovering) wrong("T4, in sync from nowhere");
    if (!image.is_active(id)) wrong("T5, a broker that takes no part enters the ISR");
  }
  if (!(after.replicas == before.replicas)) check_places(image, name, before, after, cause);
  if (after.leader != -1 && after.leader != before.leader) check_election(image, key, name, before, after, cause);
}

void Checker::check_places(const MetadataImage& image, const std::string& name, const PartitionImage& before,
                           const PartitionImage& after, Cause cause) {
  const auto wrong = [&](std::string_view rule) {
    fail(fmt::format("{}: {} from {} to {}", rule, name, describe(before), describe(after)));
  };
  if (cause != Cause::kReassigned && (!is_moving(before) || target_of(before) != without(after.replicas, {}))) {
    wrong("M1, other replicas than were asked for");
  }
  if (after.leader != -1 && after.leader_epoch == before.leader_epoch &&
      !without(before.replicas, after.replicas).empty()) {
    wrong("M5, a replica goes within a leader epoch");
  }
  const auto holds_all = [](const PartitionImage& partition) {
    return std::ranges::any_of(partition.replicas, [&](int32_t id) {
      return is_member(partition, id) && !contains(partition.unsettled.unverified(), id);
    });
  };
  if (holds_all(before) && !holds_all(after)) wrong("M6, nobody is left who holds all");
  if (before.leader != -1 && image.is_active(before.leader) && after.leader == -1) wrong("M6, nobody leads any more");
  if (without(original_of(before), after.replicas).empty()) return;
  ++moved_;
  for (const int32_t id : after.replicas) {
    if (!contains(after.isr, id) || contains(after.unsettled.unverified(), id))
      wrong("M7, over before all are in sync");
  }
}

void Checker::reassigned(const MetadataImage& before, const MetadataImage& after,
                         const std::vector<replication::ReassignRequest::Topic>& asked,
                         const std::vector<replication::ReassignResult>& results) {
  for (size_t topic = 0; topic < asked.size(); ++topic) {
    for (size_t i = 0; i < asked[topic].partitions.size(); ++i) {
      const auto& partition = asked[topic].partitions[i];
      const std::string name = fmt::format("{}-{}", asked[topic].name, partition.index);
      check_move(name, partition.replicas, results.at(topic).partitions.at(i).error,
                 *before.partition(asked[topic].name, partition.index),
                 *after.partition(asked[topic].name, partition.index));
    }
  }
}

void Checker::drained(const MetadataImage& image, int32_t broker) {
  image.topics().for_each([&](const TopicImage& topic) {
    for (const PartitionImage& partition : topic.partitions) {
      if (partition.leader != broker) continue;
      for (const int32_t id : partition.replicas) {
        if (!is_member(partition, id) || !image.is_active(id) || contains(partition.unsettled.unverified(), id))
          continue;
        fail(
            fmt::format("G2: broker {} may go, and {} could lead {}: {}", broker, id, topic.name, describe(partition)));
      }
    }
  });
}

void Checker::placed(const MetadataImage& image, const TopicImage& topic, size_t first) {
  std::set<std::string> racks;
  std::map<int32_t, int> led;
  const auto rack_of = [&](int32_t id) { return image.broker(id)->rack.value_or(""); };
  for (const auto& [id, registration] : image.brokers()) {
    racks.insert(rack_of(id));
    if (image.is_active(id)) led[id] = 0;
  }
  for (size_t index = first; index < topic.partitions.size(); ++index) {
    const PartitionImage& partition = topic.partitions[index];
    const auto wrong = [&](std::string_view rule) {
      fail(fmt::format("{}: {}-{} {}", rule, topic.name, index, describe(partition)));
    };
    if (!led.contains(partition.leader) || partition.leader != partition.replicas.front())
      return wrong("P1, who leads");
    ++led[partition.leader];
    std::map<std::string, size_t> uses;
    for (const int32_t id : partition.replicas) ++uses[rack_of(id)];
    if (uses.size() != std::min(racks.size(), partition.replicas.size())) return wrong("P2, racks are left out");
  }
  const auto [least, most] = std::ranges::minmax(std::views::values(led));
  if (most > least + 1)
    fail(fmt::format("P3: {}: one broker leads {} new partitions, another one {}", topic.name, most, least));
}

void Checker::check_move(const std::string& name, const std::optional<std::vector<int32_t>>& target, ErrorCode answer,
                         const PartitionImage& before, const PartitionImage& after) {
  const auto wrong = [&](std::string_view rule) {
    fail(fmt::format("{}: {} error {} from {} to {}", rule, name, static_cast<int>(answer), describe(before),
                     describe(after)));
  };
  if (answer != ErrorCode::kNone && !(after == before)) wrong("M3, refused and changed");
  if (!target && (answer == ErrorCode::kNoReassignmentInProgress) == is_moving(before)) {
    wrong("M4, nothing is under way and it is cancelled, or the reverse");
  }
  if (answer != ErrorCode::kNone) return;
  if (target && target_of(after) != *target) wrong("M1, other replicas than were asked for");
  if ((!target || is_moving(after)) && original_of(after) != original_of(before))
    wrong("M2, the replicas before are lost");
  if (!target && is_moving(after)) wrong("M2, cancelled and still under way");
}

void Checker::check_election(const MetadataImage& image, const Partition& key, const std::string& name,
                             const PartitionImage& before, const PartitionImage& after, Cause cause) {
  const auto wrong = [&](std::string_view rule) {
    fail(fmt::format("{}: {} from {} to {}", rule, name, describe(before), describe(after)));
  };
  if (!image.is_active(after.leader)) wrong("E1, a leader that takes no part");
  const auto is_better = [&](int32_t id) {
    return is_member(before, id) && image.is_active(id) && !contains(before.unsettled.unverified(), id);
  };
  const bool has_better = std::ranges::any_of(before.replicas, is_better);
  // Its leader found that it is in sync and holds all, and goes by the same change; L2 looks at its log.
  const bool was_found = cause == Cause::kIsrChange && after.leader_recovery_state != kRecovering;
  if (!is_member(before, after.leader) && !was_found) {
    const TopicImage& topic = *image.topic(key.first);
    const auto leave = topic.configs().find("unclean.leader.election.enable");
    const bool has_leave = leave != topic.configs().end() && leave->second == "true";
    if (!has_leave && cause != Cause::kUncleanAsked) wrong("E2, unclean without leave");
    const auto is_there = [&](int32_t id) { return is_member(before, id) && image.is_active(id); };
    if (std::ranges::any_of(before.replicas, is_there)) wrong("E3, unclean though a member lives");
    if (after.leader_recovery_state != kRecovering) wrong("E4, unclean and not recovering");
    ++unclean_;
    return forgive(key, after);
  }
  if (contains(before.unsettled.elr(), after.leader)) ++from_elr_;
  if (contains(before.unsettled.unverified(), after.leader) && !was_found) {
    if (has_better) wrong("E5, unverified though a verified member lives");
    for (const int32_t id : before.replicas) {
      if (id == after.leader || !is_member(before, id) || !image.is_active(id)) continue;
      if (replicas_.reported(id, key) > replicas_.reported(after.leader, key)) wrong("E6, another one holds more");
    }
    ++from_unverified_;
    if (replicas_.is_lying()) forgive(key, after);  // what its disk has lost is outside the promise
  }
}

void Checker::elections_asked(const MetadataImage& before, const MetadataImage& after, net::kafka::ElectionType type,
                              const std::vector<replication::ElectionResult>& results, bool is_all) {
  std::map<std::pair<std::string, int32_t>, ErrorCode> answers;
  for (const replication::ElectionResult& topic : results) {
    for (const auto& partition : topic.partitions) answers[{topic.topic, partition.index}] = partition.error;
  }
  before.topics().for_each([&](const TopicImage& topic) {
    for (size_t index = 0; index < topic.partitions.size(); ++index) {
      const auto found = answers.find({topic.name, static_cast<int32_t>(index)});
      if (found == answers.end() && !is_all) continue;
      const ErrorCode answer = found == answers.end() ? ErrorCode::kElectionNotNeeded : found->second;
      check_answer(after, fmt::format("{}-{}", topic.name, index), type, answer, topic.partitions[index],
                   after.topic(topic.id)->partitions[index]);
    }
  });
}

void Checker::check_answer(const MetadataImage& image, const std::string& name, net::kafka::ElectionType type,
                           ErrorCode answer, const PartitionImage& before, const PartitionImage& after) {
  const auto wrong = [&](std::string_view rule) {
    fail(fmt::format("{}: {} error {} from {} to {}", rule, name, static_cast<int>(answer), describe(before),
                     describe(after)));
  };
  const bool is_preferred = type == net::kafka::ElectionType::kPreferred;
  const int32_t first = before.replicas.front();
  const bool was_needed = is_preferred ? before.leader != first : before.leader == -1;
  const bool is_done = is_preferred ? after.leader == first : after.leader != -1;
  if (was_needed == (answer == ErrorCode::kElectionNotNeeded)) wrong("A1, needed and said not to be, or the reverse");
  if (answer == ErrorCode::kNone && !is_done) wrong("A2, answered and not elected");
  if (answer != ErrorCode::kNone && !(after == before)) wrong("A3, refused and changed");
  if (answer != ErrorCode::kPreferredLeaderNotAvailable) return;
  if (contains(before.isr, first) && image.is_active(first) && !contains(before.unsettled.unverified(), first)) {
    wrong("A4, who can lead is not elected");
  }
}

// What the leader has of it is the truth from now on.
void Checker::forgive(const Partition& key, const PartitionImage& after) {
  History& history = histories_[key];
  const ReplicaLog* log = replicas_.log(after.leader, key);
  size_t same = 0;
  while (log != nullptr && same < history.acknowledged.size() && same < log->durable &&
         log->entries[same] == history.acknowledged[same]) {
    ++same;
  }
  history.acknowledged.resize(same);
  history.forgiven_below = after.leader_epoch;
  history.forgiven_to = after.leader;
}

// It was elected uncleanly before it had heard that it had been no replica for a while: what it had then was not its to
// lead with.
void Checker::thrown_away(int32_t broker, const Partition& key, int32_t view_epoch) {
  History& history = histories_[key];
  if (history.forgiven_to == broker && view_epoch < history.forgiven_below) history.acknowledged.clear();
}

void Checker::acknowledged(const MetadataImage& image, const Partition& key, int32_t epoch, const ReplicaLog& log,
                           size_t count) {
  History& history = histories_[key];
  if (epoch < history.forgiven_below || image.topic(key.first) == nullptr) return;
  for (size_t i = 0; i < count; ++i) {
    if (i == history.acknowledged.size()) {
      history.acknowledged.push_back(log.entries[i]);
      ++acknowledged_;
    } else if (!(history.acknowledged[i] == log.entries[i])) {
      return fail(fmt::format("L1: record {} was acknowledged as another one", i));
    }
  }
}

bool Checker::holds(int32_t broker, const Partition& key, const std::vector<Entry>& entries) const {
  const ReplicaLog* log = replicas_.log(broker, key);
  if (log == nullptr) return entries.empty();
  return log->durable >= entries.size() && std::equal(entries.begin(), entries.end(), log->entries.begin());
}

void Checker::check_logs(const MetadataImage& image) {
  image.topics().for_each([&](const TopicImage& topic) {
    for (size_t index = 0; index < topic.partitions.size(); ++index) {
      const PartitionImage& partition = topic.partitions[index];
      const Partition key{topic.id, static_cast<int32_t>(index)};
      const History& history = histories_[key];
      for (const int32_t id : partition.replicas) {
        if (!is_member(partition, id) || contains(partition.unsettled.unverified(), id)) continue;
        if (replicas_.is_distrusted(id) || holds(id, key, history.acknowledged)) continue;
        fail(fmt::format("L2: {}-{} broker {} can be elected and does not hold {} acknowledged records: {}", topic.name,
                         index, id, history.acknowledged.size(), describe(partition)));
      }
    }
  });
}

}  // namespace posthaste::controller_model
