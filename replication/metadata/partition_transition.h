// The next state of one partition when brokers come and go, or when its leader asks for another ISR: who leads, who is
// in sync, who could lead (ISR, ELR, last known leader: KIP-966). One pure function, for every reason there is:
// elections.h and isr_changes.h say when it is asked, and about which partitions.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "config/topic_config.h"
#include "reactor/time.h"
#include "replication/metadata/image.h"
#include "replication/metadata/log_reports.h"
#include "replication/metadata/replica_plan.h"

namespace posthaste::replication {

inline constexpr int32_t kNobody = -1;

// How long the members of a partition that are all unverified are waited for before the fullest of them is elected:
// machines that lost power together do not start together, and nobody has waited longer for a leader yet.
inline constexpr reactor::Duration kReportsPatience = std::chrono::seconds(3);

// The settings that decide about one partition.
struct PartitionRules {
  int32_t min_isr = 1;   // the effective one: min.insync.replicas, or the number of replicas if that is less
  bool unclean = false;  // unclean.leader.election.enable: data may be lost rather than wait
};

// Of settings that were checked: a topic's own and the defaults of topics.
int32_t effective_min_isr(const config::ConfigMap& own, const config::ConfigMap& defaults, size_t replicas);
PartitionRules rules_of(const TopicImage& topic, const PartitionImage& partition, const config::ConfigMap& defaults);
// The same for a partition that is measured by so many replicas (ReplicaPlan::counted).
PartitionRules rules_of(const TopicImage& topic, size_t replicas, const config::ConfigMap& defaults);

// What the controller knows beside the image.
struct ElectionInputs {
  const config::ConfigMap& defaults;
  const LogReports& reports;
  const std::map<int32_t, reactor::Instant>& active_since;  // brokers, since they were last unfenced
  reactor::Instant now;
};

struct PartitionAt {
  const MetadataImage& image;
  const TopicImage& topic;
  int32_t index = 0;

  const PartitionImage& partition() const { return topic.partitions.at(static_cast<size_t>(index)); }
};

// Nothing if there is no such topic or partition.
inline std::optional<PartitionAt> find_partition(const MetadataImage& image, std::string_view topic, int32_t index) {
  if (image.partition(topic, index) == nullptr) return std::nullopt;
  return PartitionAt{.image = image, .topic = *image.topic(topic), .index = index};
}

// What is asked of a partition beside being as the rules say.
struct TransitionDemand {
  std::optional<std::vector<int32_t>> isr{};  // its leader's; checked (isr_changes.h)
  std::vector<int32_t> verified{};            // members whose logs were found to hold all that is committed
  std::vector<int32_t> lost{};                // brokers whose replicas do not: out of ISR and ELR
  std::vector<int32_t> doubted{};             // brokers whose disks may have lied: unverified members
  int32_t keeps = kNobody;                    // leads on, though it is fenced, if nobody else can
  std::optional<ReplicaPlan> plan{};          // where its replicas are and shall be; checked (reassignments.h)
  bool preferred = false;                     // the first replica leads if it can
  bool unclean = false;                       // what only the dead hold is given up, whatever the topic says
  bool has_recovered = false;                 // the leader holds what can be had
};

// What changes, or nothing. A reassignment under which all that shall stay are in sync and beyond doubt ends in the
// same step. Whoever is no replica any more begins a new leader epoch: what it acknowledged before must not count if it
// becomes one again. A broker that is not active (MetadataImage) neither leads nor is in the ISR afterwards, but for a
// leader that shuts down and that nobody can follow yet.
std::optional<PartitionChangeRecord> next_state(const PartitionAt& at, const ElectionInputs& inputs,
                                                const TransitionDemand& demand);

}  // namespace posthaste::replication
