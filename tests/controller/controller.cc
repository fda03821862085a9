// The controller's side of the model world: what happens goes to the code under test, and what that decides is
// committed at once, as one batch.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "tests/controller/world.h"

namespace posthaste::controller_model {

using namespace replication;
using namespace std::chrono_literals;
using net::kafka::ConfigResourceType;
using net::kafka::ErrorCode;

namespace {

constexpr int32_t kNode = 0;  // of the controller: no broker of the model has settings of its own
constexpr size_t kTopicsMax = 4;

config::ConfigMap defaults_of(const MetadataImage& image) {
  return config::topic_config_defaults(config::merged(config_layers(image, kNode, {{"min.insync.replicas", "2"}})));
}

bool fences(const MetadataRecord& record) {
  const auto* change = std::get_if<BrokerRegistrationChangeRecord>(&record);
  return change != nullptr && change->fenced == BrokerRegistrationChangeRecord::Fenced::kFence;
}

bool enters_shutdown(const MetadataRecord& record) {
  const auto* change = std::get_if<BrokerRegistrationChangeRecord>(&record);
  return change != nullptr &&
         change->in_controlled_shutdown == BrokerRegistrationChangeRecord::ControlledShutdown::kEnter;
}

std::string describe(const std::optional<std::vector<int32_t>>& brokers) {
  return brokers ? fmt::format("{}", *brokers) : "=";
}

std::string describe(const MetadataRecord& record) {
  if (const auto* change = std::get_if<PartitionChangeRecord>(&record)) {
    return fmt::format(
        "  {:.4} {} leader {} isr {} elr {} last {} unverified {} of {} + {} - {}", to_string(change->topic_id),
        change->partition_id, change->leader ? std::to_string(*change->leader) : "=", describe(change->isr),
        describe(change->elr), describe(change->last_known_elr), describe(change->unverified),
        describe(change->replicas), describe(change->adding_replicas), describe(change->removing_replicas));
  }
  if (const auto* change = std::get_if<BrokerRegistrationChangeRecord>(&record)) {
    return fmt::format("  broker {} fenced {} shutdown {}", change->broker_id, static_cast<int>(change->fenced),
                       static_cast<int>(change->in_controlled_shutdown));
  }
  if (const auto* partition = std::get_if<PartitionRecord>(&record)) {
    return fmt::format("  {:.4} {} on {}", to_string(partition->topic_id), partition->partition_id,
                       partition->replicas);
  }
  if (const auto* config = std::get_if<ConfigRecord>(&record)) {
    return fmt::format("  {} {}={}", config->resource_name, config->name, config->value.value_or("-"));
  }
  return fmt::format("  record of kind {}", record.index());
}

}  // namespace

void World::commit(const std::vector<MetadataRecord>& records, Cause cause) {
  if (records.empty()) return;
  const MetadataImage before = image_;
  for (const MetadataRecord& record : records) {
    const std::string bytes = encode(record);
    for (const char byte : bytes) trace_.add(static_cast<uint8_t>(byte));
    const auto applied = image_.apply_bytes(bytes);
    if (!applied)
      return checker_.fail(fmt::format("the image refuses record {}: {}", record.index(), to_string(applied.error())));
    if (verbose_) say(describe(record));
    counts_.elr_cleared += std::holds_alternative<ClearElrRecord>(record) ? 1 : 0;
  }
  next_offset_ += static_cast<int64_t>(records.size());
  batches_.push_back(records);
  batch_ends_.push_back(next_offset_);
  ++counts_.batches;
  checker_.changed(before, image_, cause);
}

ElectionInputs World::inputs() const {
  return {.defaults = defaults_, .reports = reports_, .active_since = sessions_.active_since(), .now = now_};
}

void World::sweep(PartitionSweep sweep, std::optional<int32_t> drains) {
  jobs_.emplace_back(Sweep{.sweep = std::move(sweep), .drains = drains});
}

void World::control() {
  fence_the_silent();
  for (uint64_t portions = random_.below(6); portions > 0 && !jobs_.empty(); --portions) {
    if (!work_on(jobs_.front())) jobs_.pop_front();
  }
  if (!reports_.empty() && chance(3)) sweep(PartitionSweep::of_all());
  std::vector<MetadataRecord> moves;
  preferred_.next_step(image_, inputs(), moves);
  commit(moves);
  std::vector<Asked> now;
  std::vector<Asked> later;
  for (Asked& asked : asked_) (asked.arrives_at > now_ || chance(3) ? later : now).push_back(std::move(asked));
  asked_ = std::move(later);
  for (const Asked& asked : now) decide_isrs(asked);
}

// False: it is done.
bool World::work_on(Job& job) {
  std::vector<MetadataRecord> records;
  bool more = false;
  if (auto* registration = std::get_if<BrokerRegistration>(&job)) {
    const RegisterRequest& request = registration->request();
    more = registration->next_portion(image_, inputs(), next_offset_, records);
    commit(records);
    if (more) return true;
    Broker& broker = brokers_[static_cast<size_t>(request.broker_id - 1)];
    const RegisterBrokerRecord& registered = *image_.broker(request.broker_id);
    if (!records.empty()) sessions_.registered(request.broker_id, registered.broker_epoch, now_);
    sweep(PartitionSweep::of_broker(request.broker_id));
    if (!broker.is_alive || broker.incarnation != request.incarnation_id) return false;
    broker.is_registering = false;
    if (chance(10)) return false;  // the answer is lost
    broker.broker_epoch = registered.broker_epoch;
    broker.must_verify = false;
    broker.is_replaced = false;
    say(fmt::format("broker {} is registered with epoch {}", broker.id, broker.broker_epoch));
    return false;
  }
  if (auto* fencing = std::get_if<BrokerFencing>(&job)) {
    more = fencing->next_portion(image_, inputs(), records);
    commit(records);
    return more;
  }
  if (auto* removal = std::get_if<Removal>(&job)) {
    more = removal->removal.next_portion(image_, inputs(), records);
    commit(records);
    if (!more) sessions_.unregistered(removal->broker);
    return more;
  }
  auto& sweep = std::get<Sweep>(job);
  more = sweep.sweep.next_portion(image_, inputs(), records);
  commit(records);
  for (const MetadataRecord& record : records) {
    const auto* change = std::get_if<PartitionChangeRecord>(&record);
    if (change != nullptr && change->leader) reports_.forget(change->topic_id, change->partition_id);
  }
  if (!more && sweep.drains) {
    checker_.drained(image_, *sweep.drains);
    sessions_.drained(*sweep.drains, next_offset_ - 1);
  }
  return more;
}

void World::fence_the_silent() {
  for (const int32_t id : sessions_.expired(image_, now_)) {
    say(fmt::format("the session of broker {} is over", id));
    jobs_.emplace_back(BrokerFencing(id, image_.broker(id)->broker_epoch, BrokerFencing::When::kSessionOver));
  }
  for (const Broker& broker : brokers_) {
    const RegisterBrokerRecord* registration = image_.broker(broker.id);
    if (registration == nullptr || registration->fenced) continue;
    if (!sessions_.early().may_fence(broker.id, registration->broker_epoch, now_)) continue;
    sessions_.early().fenced(broker.id, registration->broker_epoch);
    jobs_.emplace_back(BrokerFencing(broker.id, registration->broker_epoch, BrokerFencing::When::kEarly));
    ++counts_.early;
  }
}

// Another controller has the log and nothing else.
void World::fail_over() {
  say("another controller");
  ++counts_.failovers;
  MetadataImage rebuilt;
  for (const MetadataRecord& record : image_.to_records()) {
    if (!rebuilt.apply_bytes(encode(record))) return checker_.fail("a snapshot cannot be read");
  }
  if (rebuilt.to_records() != image_.to_records()) return checker_.fail("a snapshot is another image");
  image_ = rebuilt;
  jobs_.clear();
  for (Broker& broker : brokers_) broker.is_registering = false;
  reports_ = {};
  preferred_ = {};
  sessions_ = Sessions(image_, now_);
  sweep(PartitionSweep::of_all());
}

void World::ask_to_register(Broker& broker) {
  RegisterRequest request{.broker_id = broker.id,
                          .cluster_id = "c",
                          .incarnation_id = broker.incarnation,
                          .endpoints = {},
                          .features = {},
                          .rack = broker.id % 2 == 0 ? "even" : "odd",
                          .log_dirs = {broker.directory},
                          .is_unverified = broker.must_verify};
  if (check_registration(image_, sessions_, "c", request, now_)) {
    ++counts_.refused_registrations;
    return;
  }
  broker.is_registering = true;
  jobs_.emplace_back(BrokerRegistration(std::move(request)));
}

void World::heartbeat(Broker& broker) {
  if (broker.broker_epoch == -1) {
    if (!broker.is_registering) ask_to_register(broker);
    return;
  }
  const Heartbeat beat{.broker = broker.id,
                       .broker_epoch = broker.broker_epoch,
                       .metadata_offset = broker.followed == 0 ? -1 : batch_ends_[broker.followed - 1] - 1,
                       .wants_shutdown = broker.wants_shutdown};
  const HeartbeatDecision decision = sessions_.heartbeat(image_, beat, now_);
  if (decision.error == ErrorCode::kBrokerIdNotRegistered) return stop_orderly(broker);  // it was removed
  if (decision.error != ErrorCode::kNone) return checker_.fail("a heartbeat of a registered broker is refused");
  commit(decision.records);
  for (const MetadataRecord& record : decision.records) {
    std::optional<int32_t> drains;
    if (enters_shutdown(record)) drains = broker.id;
    if (fences(record) || enters_shutdown(record)) sweep(PartitionSweep::of_broker(broker.id), drains);
  }
  if (!decision.records.empty()) sweep(PartitionSweep::of_broker(broker.id));
  if (decision.should_shut_down) stop_orderly(broker);
}

void World::decide_isrs(const Asked& asked) {
  IsrChanges changes(asked.request);
  IsrOutcome outcome;
  if (!changes.check(image_)) {
    while (!changes.all_decided()) changes.decide_next(image_, inputs(), outcome);
  }
  for (const IsrChangeResult& result : outcome.results) {
    ++(result.error == ErrorCode::kNone ? counts_.isr_changes : counts_.isr_refusals);
  }
  commit(outcome.records, Cause::kIsrChange);
  Broker& broker = brokers_[static_cast<size_t>(asked.request.broker - 1)];
  if (!broker.is_alive || broker.incarnation != asked.incarnation || broker.isr->request != asked.number) return;
  if (chance(8)) return;  // the answer is lost
  broker.isr->request = 0;
  broker.isr->keeper.answered(outcome.results, now_);
}

void World::alter_config(AlterConfigResource resource) {
  AlterConfigsRequest request;
  request.resources.push_back(std::move(resource));
  ConfigChanges changes(kNode, request);
  TopicRules rules;
  rules.layers = config_layers(image_, kNode, {{"min.insync.replicas", "2"}});
  rules.defaults = defaults_;
  AlterConfigsOutcome outcome;
  changes.note_next(image_);
  changes.begin_piece(image_);
  changes.decide_next(image_, rules, outcome);
  if (outcome.results.front().error != ErrorCode::kNone) checker_.fail("a setting is refused");
  // The checker reads the broker's default from the image, and so does the code.
  commit(outcome.records);
  defaults_ = defaults_of(image_);
  sweep(PartitionSweep::of_all());
}

void World::change_settings() {
  const std::string value = std::to_string(1 + random_.below(3));
  const bool resets = chance(4);
  ConfigChange change{.name = "min.insync.replicas",
                      .operation = resets ? ConfigChange::Operation::kDelete : ConfigChange::Operation::kSet,
                      .value = resets ? std::nullopt : std::optional(value)};
  if (chance(4)) return alter_config({.type = ConfigResourceType::kBroker, .name = "", .changes = {change}});
  std::vector<std::string> names;
  image_.topics().for_each([&](const TopicImage& topic) { names.push_back(topic.name); });
  if (names.empty()) return;
  const std::string& name = names[random_.below(names.size())];
  alter_config({.type = ConfigResourceType::kTopic, .name = name, .changes = {change}});
}

// An operator asks: about everything, or about some partitions, one of which is not there.
void World::ask_for_leaders() {
  ElectLeaders request{.type = chance(2) ? net::kafka::ElectionType::kUnclean : net::kafka::ElectionType::kPreferred,
                       .topics = {}};
  const bool is_all = chance(3);
  if (!is_all) {
    request.topics.emplace();
    image_.topics().for_each([&](const TopicImage& topic) {
      if (!chance(3)) request.topics->push_back({topic.name, {0, 1, 7}});
    });
  }
  const Cause cause = request.type == net::kafka::ElectionType::kUnclean ? Cause::kUncleanAsked : Cause::kOther;
  const MetadataImage before = image_;
  const net::kafka::ElectionType type = request.type;
  AskedElections elections(std::move(request));
  for (bool more = true; more;) {
    std::vector<MetadataRecord> records;
    more = elections.next_portion(image_, inputs(), records);
    commit(records, cause);
  }
  ++counts_.elections_asked;
  checker_.elections_asked(before, image_, type, elections.results(), is_all);
}

// An operator moves replicas, or takes that back.
void World::reassign() {
  std::vector<int32_t> ids;
  for (const auto& [id, registration] : image_.brokers()) ids.push_back(id);
  ReassignRequest request{.topics = {}, .may_change_factor = !chance(4)};
  image_.topics().for_each([&](const TopicImage& topic) {
    for (size_t index = 0; index < topic.partitions.size(); ++index) {
      if (chance(2)) continue;
      std::optional<std::vector<int32_t>> target;
      if (!chance(3)) {
        random_.shuffle(ids);
        target = ids;
        target->resize(std::min<size_t>(ids.size(), 1 + random_.below(4)));
      }
      request.topics.push_back({topic.name, {{static_cast<int32_t>(index), std::move(target)}}});
    }
  });
  const MetadataImage before = image_;
  const std::vector<ReassignRequest::Topic> asked = request.topics;
  Reassignments reassignments(std::move(request));
  for (bool more = true; more;) {
    std::vector<MetadataRecord> records;
    more = reassignments.next_portion(image_, inputs(), records);
    commit(records, Cause::kReassigned);
  }
  checker_.reassigned(before, image_, asked, reassignments.results());
  for (size_t i = 0; i < asked.size(); ++i) {
    const bool is_done = reassignments.results()[i].partitions.front().error == ErrorCode::kNone;
    const bool begins = asked[i].partitions.front().replicas.has_value();
    ++(!is_done ? counts_.moves_refused : begins ? counts_.moves_begun : counts_.moves_cancelled);
  }
}

void World::make_topic() {
  std::vector<int32_t> brokers = image_.active_brokers();
  if (brokers.empty() || image_.topics().size() >= kTopicsMax) return;
  if (chance(3)) return make_topic_in_turn();
  const std::string name = fmt::format("t{}", ++topics_);
  const Uuid id = draw_id();
  std::vector<MetadataRecord> records{TopicRecord{name, id}};
  const auto partitions = static_cast<int32_t>(1 + random_.below(3));
  for (int32_t index = 0; index < partitions; ++index) {
    random_.shuffle(brokers);
    std::vector<int32_t> replicas = brokers;
    replicas.resize(std::min<size_t>(replicas.size(), 1 + random_.below(4)));
    records.emplace_back(PartitionRecord{index, id, replicas, replicas, {}, {}, replicas.front(), 0, 0, 0, {}});
  }
  if (chance(4)) records.emplace_back(ConfigRecord{kTopicResource, name, "unclean.leader.election.enable", "true"});
  commit(records);
}

// Its replicas are placed by the code under test.
void World::make_topic_in_turn() {
  CreateTopic topic;
  topic.name = fmt::format("t{}", ++topics_);
  topic.num_partitions = static_cast<int32_t>(1 + random_.below(4));
  topic.replication_factor = static_cast<int16_t>(1 + random_.below(3));
  topic.random_id[0] = static_cast<uint8_t>(++ids_);
  CreateTopicsRequest request;
  request.topics.push_back(topic);
  TopicCreation creation(request);
  CreateTopicsOutcome outcome;
  creation.note_next(image_);
  creation.begin_piece(image_);
  creation.decide_next(image_, {}, outcome);
  const auto factor = static_cast<size_t>(topic.replication_factor);
  const ErrorCode error = outcome.results.front().error;
  if ((error == ErrorCode::kNone) != (factor <= image_.brokers().size()))
    checker_.fail("P4, a topic is refused, or is not");
  commit(outcome.records);
  if (error != ErrorCode::kNone) return;
  ++counts_.topics_placed;
  checker_.placed(image_, *image_.topic(topic.name), 0);
}

void World::grow_topic() {
  std::vector<const TopicImage*> topics;
  image_.topics().for_each([&](const TopicImage& topic) { topics.push_back(&topic); });
  if (topics.empty()) return;
  const TopicImage before = *topics[random_.below(topics.size())];
  GrowTopicsRequest request;
  request.topics.push_back(
      {.name = before.name, .count = static_cast<int32_t>(before.partitions.size() + 1 + random_.below(2))});
  PartitionGrowth growth(request);
  GrowTopicsOutcome outcome;
  growth.note_next(image_);
  growth.begin_piece(image_);
  growth.decide_next(image_, {}, outcome);
  commit(outcome.records);
  if (outcome.records.empty()) return;
  ++counts_.topics_grown;
  checker_.placed(image_, *image_.topic(before.name), before.partitions.size());
}

// For good, says an operator; but the machine is used again.
void World::remove_broker() {
  const Broker& broker = any();
  BrokerRemoval removal(broker.id);
  if (removal.check(image_)) return;
  say(fmt::format("broker {} is removed", broker.id));
  ++counts_.removals;
  sessions_.removal_begins(broker.id);
  jobs_.emplace_back(Removal{.removal = std::move(removal), .broker = broker.id});
}

void World::remove_topic() {
  std::vector<Uuid> topics;
  image_.topics().for_each([&](const TopicImage& topic) { topics.push_back(topic.id); });
  if (!topics.empty()) commit({RemoveTopicRecord{topics[random_.below(topics.size())]}});
}

}  // namespace posthaste::controller_model
