#include "replication/metadata/partition_transition.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "config/topic_keys.h"
#include "reactor/check.h"
#include "replication/planted_bugs.h"

namespace posthaste::replication {
namespace {

using reactor::Instant;
using reactor::planted;
using Brokers = std::vector<int32_t>;

bool same(std::span<const int32_t> a, std::span<const int32_t> b) { return std::ranges::equal(a, b); }

class Transition {
 public:
  Transition(const PartitionAt& at, const ElectionInputs& inputs, const TransitionDemand& demand)
      : at_(at),
        inputs_(inputs),
        demand_(demand),
        partition_(at.partition()),
        rules_(rules_of(at.topic, partition_, inputs.defaults)),
        last_known_(copy(partition_.unsettled.last_known_elr())),
        recovery_(demand.has_recovered ? kRecovered : partition_.leader_recovery_state) {}

  std::optional<PartitionChangeRecord> run() {
    gather_members();
    elect();
    if (leader_ == kNobody && keeps_leader()) return std::nullopt;
    if (!is_unclean_) settle_elr();
    check();
    return record();
  }

 private:
  static Brokers copy(std::span<const int32_t> of) { return {of.begin(), of.end()}; }

  bool is_lost(int32_t id) const { return contains(demand_.lost, id) && !planted(kBugs["lost-stays-eligible"]); }
  bool is_verified(int32_t id) const { return planted(kBugs["unverified-preferred"]) || !contains(unverified_, id); }

  bool keeps_leader() const { return demand_.keeps != kNobody && partition_.leader == demand_.keeps; }

  void gather_members() {
    for (const int32_t id : demand_.isr ? *demand_.isr : copy(partition_.isr)) {
      if (at_.image.is_active(id) && !is_lost(id)) isr_.push_back(id);
    }
    const std::span<const int32_t> before[] = {partition_.isr, partition_.unsettled.elr()};
    for (const std::span<const int32_t> members : before) {
      for (const int32_t id : members) {
        if (!is_lost(id)) members_.push_back(id);
      }
    }
    for (const int32_t id : partition_.unsettled.unverified()) {
      if (!contains(demand_.verified, id)) unverified_.push_back(id);
    }
  }

  // Holds all that is committed, as far as is known, and takes part.
  bool is_candidate(int32_t id) const {
    return contains(isr_, id) || (contains(partition_.unsettled.elr(), id) && !is_lost(id) && at_.image.is_active(id));
  }

  void elect() {
    const int32_t preferred = partition_.replicas.front();
    if (demand_.preferred && contains(isr_, preferred) && is_verified(preferred)) return lead(preferred);
    if (contains(isr_, partition_.leader) && is_verified(partition_.leader)) return lead(partition_.leader);
    if (const int32_t id = first_verified(/*in_sync=*/true); id != kNobody) return lead(id);
    if (const int32_t id = first_verified(/*in_sync=*/false); id != kNobody) return lead(id);
    if (keeps_leader()) return;
    const bool is_asked_too_early = demand_.unclean && planted(kBugs["unclean-asked-beside-member"]);
    if (!is_asked_too_early && std::ranges::any_of(partition_.replicas, [&](int32_t id) { return is_candidate(id); })) {
      if (const int32_t id = fullest_unverified(); id != kNobody) lead(id);
      return;
    }
    if (rules_.unclean || demand_.unclean || planted(kBugs["unclean-without-leave"])) elect_uncleanly();
  }

  int32_t first_verified(bool in_sync) const {
    for (const int32_t id : partition_.replicas) {
      if (contains(isr_, id) == in_sync && is_candidate(id) && is_verified(id)) return id;
    }
    return kNobody;
  }

  // Nobody who can lead is beyond doubt. All members are heard, or those who come in time.
  int32_t fullest_unverified() const {
    int32_t fullest = kNobody;
    std::optional<ReplicaPosition> most;
    size_t heard = 0;
    Instant first = Instant::never();
    for (const int32_t id : partition_.replicas) {
      if (!is_candidate(id)) continue;
      if (const auto since = inputs_.active_since.find(id); since != inputs_.active_since.end()) {
        first = std::min(first, since->second);
      }
      const auto position = inputs_.reports.of(at_.topic.id, at_.index, *at_.image.broker(id));
      heard += position ? 1 : 0;
      if (position && (!most || (*position > *most && !planted(kBugs["first-unverified-leads"])))) {
        most = position;
        fullest = id;
      }
    }
    const bool is_time_over = first != Instant::never() && inputs_.now >= first + kReportsPatience;
    return heard == members_.size() || is_time_over ? fullest : kNobody;
  }

  void lead(int32_t id) {
    leader_ = id;
    if (!contains(isr_, id)) isr_ = {id};
    std::erase(unverified_, id);  // the others are measured by it from now on
  }

  // What only the dead hold is given up. Who led last has most of it, as a rule.
  void elect_uncleanly() {
    if (last_known_.size() == 1 && at_.image.is_active(last_known_.front()) && !is_lost(last_known_.front())) {
      leader_ = last_known_.front();
    } else {
      const auto active = std::ranges::find_if(partition_.replicas,
                                               [&](int32_t id) { return at_.image.is_active(id) && !is_lost(id); });
      if (active == partition_.replicas.end()) return;
      leader_ = *active;
    }
    is_unclean_ = true;
    isr_ = {leader_};
    elr_.clear();
    last_known_.clear();
    unverified_.clear();
    recovery_ = kRecovering;
  }

  bool can_commit() const { return leader_ != kNobody && isr_.size() >= static_cast<size_t>(rules_.min_isr); }

  // Who leaves an ISR that cannot commit anything, because it is too small or nobody leads, holds all that was
  // committed, until it can again.
  void settle_elr() {
    if (leader_ != kNobody) last_known_.clear();
    if (!can_commit()) {
      std::ranges::copy_if(members_, std::back_inserter(elr_), [&](int32_t id) { return !contains(isr_, id); });
    }
    if (leader_ == kNobody && partition_.leader != kNobody) last_known_ = {partition_.leader};
  }

  void check() const {
    CHECK(leader_ == kNobody || contains(isr_, leader_), "{} leads and is not in sync", leader_);
    CHECK(leader_ == kNobody || at_.image.is_active(leader_), "{} leads and takes no part", leader_);
    CHECK(!isr_.empty() || leader_ == kNobody);
    CHECK(elr_.empty() || !can_commit(), "an ELR beside an ISR that commits");
  }

  std::optional<PartitionChangeRecord> record() {
    std::erase_if(unverified_, [&](int32_t id) { return !contains(isr_, id) && !contains(elr_, id); });
    PartitionChangeRecord record{.partition_id = at_.index, .topic_id = at_.topic.id};
    if (!same(isr_, partition_.isr)) record.isr = isr_;
    if (leader_ != partition_.leader) record.leader = leader_;
    if (recovery_ != partition_.leader_recovery_state) record.leader_recovery_state = recovery_;
    if (!same(elr_, partition_.unsettled.elr())) record.elr = elr_;
    if (!same(last_known_, partition_.unsettled.last_known_elr())) record.last_known_elr = last_known_;
    if (!same(unverified_, partition_.unsettled.unverified())) record.unverified = unverified_;
    const PartitionChangeRecord nothing{.partition_id = at_.index, .topic_id = at_.topic.id};
    if (record == nothing) return std::nullopt;
    return record;
  }

  const PartitionAt& at_;
  const ElectionInputs& inputs_;
  const TransitionDemand& demand_;
  const PartitionImage& partition_;
  PartitionRules rules_;
  Brokers members_;  // of ISR and ELR as they were, without those that are lost
  Brokers isr_;
  Brokers elr_;
  Brokers last_known_;
  Brokers unverified_;
  int32_t leader_ = kNobody;
  int8_t recovery_;
  bool is_unclean_ = false;
};

// Both keys' rows say that a lone broker does not act on them, so their values are taken as they are shown.
std::string shown(const config::ConfigMap& own, const config::ConfigMap& defaults, std::string_view key) {
  const config::TopicKey* row = config::find_topic_key(key);
  CHECK(row != nullptr, "there is no key {}", key);
  return config::shown_topic_config(*row, config::TopicSettings(own, defaults).text(*row));
}

}  // namespace

int32_t effective_min_isr(const config::ConfigMap& own, const config::ConfigMap& defaults, size_t replicas) {
  const std::string least = shown(own, defaults, kMinIsrKey);
  int32_t min_isr = 0;
  const auto parsed = std::from_chars(least.data(), least.data() + least.size(), min_isr);
  CHECK(parsed.ec == std::errc() && min_isr > 0, "min.insync.replicas is '{}'", least);
  return std::min(min_isr, static_cast<int32_t>(replicas));
}

PartitionRules rules_of(const TopicImage& topic, const PartitionImage& partition, const config::ConfigMap& defaults) {
  return {.min_isr = effective_min_isr(topic.configs(), defaults, partition.replicas.size()),
          .unclean = shown(topic.configs(), defaults, "unclean.leader.election.enable") == "true"};
}

std::optional<PartitionChangeRecord> next_state(const PartitionAt& at, const ElectionInputs& inputs,
                                                const TransitionDemand& demand) {
  return Transition(at, inputs, demand).run();
}

}  // namespace posthaste::replication
