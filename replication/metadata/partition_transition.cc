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
        plan_(demand.plan ? *demand.plan : plan_of(partition_)),
        last_known_(copy(partition_.unsettled.last_known_elr())),
        recovery_(demand.has_recovered ? kRecovered : partition_.leader_recovery_state) {}

  std::optional<PartitionChangeRecord> run() {
    gather_members();
    end_reassignment();
    rules_ = rules_of(at_.topic, plan_.counted(), inputs_.defaults);
    elect();
    if (leader_ == kNobody && is_fenced_early()) return std::nullopt;
    if (contains(plan_.target(), leader_)) end_reassignment();  // whoever was elected is beyond doubt
    if (!is_unclean_) settle_elr();
    check();
    return record();
  }

 private:
  static Brokers copy(std::span<const int32_t> of) { return {of.begin(), of.end()}; }

  bool is_replica(int32_t id) const { return contains(plan_.replicas, id); }
  bool is_lost(int32_t id) const { return contains(demand_.lost, id) && !planted(kBugs["lost-stays-eligible"]); }
  bool is_verified(int32_t id) const { return planted(kBugs["unverified-preferred"]) || !contains(unverified_, id); }

  bool is_fenced_early() const { return demand_.keeps != kNobody && partition_.leader == demand_.keeps; }
  // The leader is about to go and is still there.
  bool is_shutting_down() const {
    if (partition_.leader == kNobody || !is_replica(partition_.leader) || is_lost(partition_.leader)) return false;
    if (!is_verified(partition_.leader)) return false;  // that was the life before
    const RegisterBrokerRecord* leader = at_.image.broker(partition_.leader);
    const bool shuts_down = leader != nullptr && !leader->fenced && leader->in_controlled_shutdown;
    return shuts_down && !planted(kBugs["shutdown-leaves-nobody"]);
  }

  void gather_members() {
    for (const int32_t id : demand_.isr ? *demand_.isr : copy(partition_.isr)) {
      if (is_replica(id) && at_.image.is_active(id) && !is_lost(id)) isr_.push_back(id);
    }
    const std::span<const int32_t> before[] = {partition_.isr, partition_.unsettled.elr()};
    for (const std::span<const int32_t> members : before) {
      for (const int32_t id : members) {
        if (is_replica(id) && !is_lost(id)) members_.push_back(id);
      }
    }
    for (const int32_t id : partition_.unsettled.unverified()) {
      if (is_replica(id) && !contains(demand_.verified, id)) unverified_.push_back(id);
    }
    for (const int32_t id : demand_.doubted) {
      if (contains(members_, id) && !contains(unverified_, id)) unverified_.push_back(id);
    }
  }

  // All that shall stay are in sync and beyond doubt: the others go.
  void end_reassignment() {
    if (!plan_.is_under_way()) return;
    const Brokers target = plan_.target();
    const auto is_ready = [&](int32_t id) { return contains(isr_, id) && is_verified(id); };
    const bool is_over = planted(kBugs["reassigned-too-early"]) ? std::ranges::any_of(target, is_ready)
                                                                : std::ranges::all_of(target, is_ready);
    if (!is_over) return;
    plan_ = {.replicas = target};
    const auto is_gone = [&](int32_t id) { return !is_replica(id); };
    std::erase_if(isr_, is_gone);
    std::erase_if(members_, is_gone);
    std::erase_if(unverified_, is_gone);
  }

  // Holds all that is committed, as far as is known, and takes part.
  bool is_candidate(int32_t id) const {
    return contains(isr_, id) || (contains(partition_.unsettled.elr(), id) && !is_lost(id) && at_.image.is_active(id));
  }

  void elect() {
    const int32_t preferred = plan_.replicas.front();
    if (demand_.preferred && contains(isr_, preferred) && is_verified(preferred)) return lead(preferred);
    if (contains(isr_, partition_.leader) && is_verified(partition_.leader)) return lead(partition_.leader);
    if (const int32_t id = first_verified(/*in_sync=*/true); id != kNobody) return lead(id);
    if (const int32_t id = first_verified(/*in_sync=*/false); id != kNobody) return lead(id);
    if (is_fenced_early()) return;
    if (is_shutting_down()) return lead_on();
    const bool is_asked_too_early = demand_.unclean && planted(kBugs["unclean-asked-beside-member"]);
    if (!is_asked_too_early && std::ranges::any_of(plan_.replicas, [&](int32_t id) { return is_candidate(id); })) {
      if (const int32_t id = fullest_unverified(); id != kNobody) lead(id);
      return;
    }
    if (rules_.unclean || demand_.unclean || planted(kBugs["unclean-without-leave"])) elect_uncleanly();
  }

  // Until it goes, for nobody else can.
  void lead_on() {
    leader_ = partition_.leader;
    Brokers isr;
    for (const int32_t id : partition_.isr) {
      if (id == leader_ || contains(isr_, id)) isr.push_back(id);
    }
    isr_ = std::move(isr);
  }

  int32_t first_verified(bool in_sync) const {
    for (const int32_t id : plan_.replicas) {
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
    for (const int32_t id : plan_.replicas) {
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

  // What only the dead hold is given up. Who led last has most of it, as a rule; who is being added may have nothing.
  void elect_uncleanly() {
    const auto can_lead = [&](int32_t id) { return is_replica(id) && at_.image.is_active(id) && !is_lost(id); };
    Brokers order = last_known_;
    for (const Brokers& more : {plan_.original(), plan_.adding}) order.insert(order.end(), more.begin(), more.end());
    const auto first = std::ranges::find_if(order, can_lead);
    if (first == order.end()) return;
    leader_ = *first;
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
    const bool may_lead = at_.image.is_active(leader_) || (leader_ == partition_.leader && is_shutting_down());
    CHECK(leader_ == kNobody || may_lead, "{} leads and takes no part", leader_);
    CHECK(!isr_.empty() || leader_ == kNobody);
    CHECK(std::ranges::all_of(isr_, [&](int32_t id) { return is_replica(id); }), "in sync and no replica");
    CHECK(std::ranges::all_of(elr_, [&](int32_t id) { return is_replica(id); }), "eligible and no replica");
    CHECK(elr_.empty() || !can_commit(), "an ELR beside an ISR that commits");
  }

  std::optional<PartitionChangeRecord> record() {
    std::erase_if(unverified_, [&](int32_t id) { return !contains(isr_, id) && !contains(elr_, id); });
    PartitionChangeRecord record{.partition_id = at_.index, .topic_id = at_.topic.id};
    if (!same(isr_, partition_.isr)) record.isr = isr_;
    const Brokers gone = ReplicaPlan::without(partition_.replicas, plan_.replicas);
    const bool begins_epoch = leader_ != kNobody && !gone.empty() && !planted(kBugs["reassigned-in-one-epoch"]);
    if (leader_ != partition_.leader || begins_epoch) record.leader = leader_;
    place(record);
    if (recovery_ != partition_.leader_recovery_state) record.leader_recovery_state = recovery_;
    if (!same(elr_, partition_.unsettled.elr())) record.elr = elr_;
    if (!same(last_known_, partition_.unsettled.last_known_elr())) record.last_known_elr = last_known_;
    if (!same(unverified_, partition_.unsettled.unverified())) record.unverified = unverified_;
    const PartitionChangeRecord nothing{.partition_id = at_.index, .topic_id = at_.topic.id};
    if (record == nothing) return std::nullopt;
    return record;
  }

  void place(PartitionChangeRecord& record) const {
    const ReplicaPlan before = plan_of(partition_);
    if (plan_.adding != before.adding) record.adding_replicas = plan_.adding;
    if (plan_.removing != before.removing) record.removing_replicas = plan_.removing;
    if (plan_.replicas == before.replicas) return;
    record.replicas = plan_.replicas;
    if (partition_.directories.empty()) return;
    // Each keeps its directory; where a new one puts its log, it says itself.
    record.directories.emplace(plan_.replicas.size());
    for (size_t i = 0; i < plan_.replicas.size(); ++i) {
      const auto at = std::ranges::find(before.replicas, plan_.replicas[i]) - before.replicas.begin();
      const auto index = static_cast<size_t>(at);
      if (index < partition_.directories.size()) (*record.directories)[i] = partition_.directories[index];
    }
  }

  const PartitionAt& at_;
  const ElectionInputs& inputs_;
  const TransitionDemand& demand_;
  const PartitionImage& partition_;
  ReplicaPlan plan_;
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
  return rules_of(topic, counted_replicas(partition), defaults);
}

PartitionRules rules_of(const TopicImage& topic, size_t replicas, const config::ConfigMap& defaults) {
  return {.min_isr = effective_min_isr(topic.configs(), defaults, replicas),
          .unclean = shown(topic.configs(), defaults, "unclean.leader.election.enable") == "true"};
}

std::optional<PartitionChangeRecord> next_state(const PartitionAt& at, const ElectionInputs& inputs,
                                                const TransitionDemand& demand) {
  return Transition(at, inputs, demand).run();
}

}  // namespace posthaste::replication
