#include "tests/differential/runner.h"

#include <cstdlib>
#include <thread>

#include "net/kafka/api_versions.h"
#include "net/kafka/configs.h"
#include "net/kafka/group_admin.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"
#include "net/kafka/offsets.h"
#include "net/kafka/producer_ids.h"
#include "net/kafka/topics.h"
#include "reactor/check.h"

namespace posthaste::differential {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// The brokers may share a machine with others: a request of the test itself is answered by then.
constexpr milliseconds kOwnAnswerLimit{60'000};
// What has not come by then does not come.
constexpr milliseconds kAnswerLimit{10'000};
// When neither broker has answered by then, both hold the answer back.
constexpr milliseconds kHeldBackAfter{150};
constexpr milliseconds kPollEvery{2};
constexpr int kTopicsLookedAt = 3;
constexpr int32_t kPartitionsLookedAt = 4;

// One request of the test itself. Ends the program when there is no readable answer.
template <class Request>
typename Request::Response ask(Link& link, const Request& request, int16_t version, std::vector<std::byte>& frame) {
  link.send(kafka::encode_request(request, version, 1, "differential").flatten());
  Link::Received received = link.receive(kOwnAnswerLimit);
  CHECK(received.state == Link::State::kAnswer, "a broker does not answer the test's own request");
  frame = std::move(received.frame);
  const auto header = kafka::decode_response_header(frame, Request::kKey, version);
  CHECK(header.has_value(), "the header of an answer does not decode");
  auto response = kafka::decode<typename Request::Response>(header->body, version);
  CHECK(response.has_value(), "an answer to the test's own request does not decode");
  return std::move(*response);
}

int32_t correlation_of(kafka::Bytes frame) {
  uint32_t id = 0;
  for (size_t i = 0; i < 4 && i < frame.size(); ++i) id = id << 8 | std::to_integer<uint32_t>(frame[i]);
  return static_cast<int32_t>(id);
}

Versions versions_of(const Address& address) {
  Link link(address);
  std::vector<std::byte> frame;
  Versions versions;
  for (const auto& api : ask(link, kafka::ApiVersionsRequest{}, 0, frame).api_keys) {
    versions[api.api_key] = {api.min_version, api.max_version};
  }
  return versions;
}

struct Outcome {
  Link::State state = Link::State::kNothingYet;
  std::optional<Value> answer;
};

std::string_view name_of(const Outcome& outcome) {
  switch (outcome.state) {
    case Link::State::kAnswer:
      return outcome.answer ? "answered" : "answered, unreadable";
    case Link::State::kNothingYet:
      return "held back";
    case Link::State::kClosed:
      return "closed";
  }
  return "";
}

class Run {
 public:
  Run(const Setting& setting, const std::string& prefix, KafkaBarrier& barrier)
      : setting_(setting),
        barrier_(barrier),
        bindings_{Bindings(prefix), Bindings(prefix)},
        own_{std::make_unique<Link>(setting.brokers.kafka), std::make_unique<Link>(setting.brokers.posthaste)} {}

  Result take(const Sequence& sequence, const std::set<size_t>& left_out) {
    for (size_t i = 0; i < sequence.size() && !over_; ++i) {
      if (!left_out.contains(i)) take(*sequence[i]);
    }
    // An answer that is held back now would be held back for ever.
    const auto end = steady_clock::now() + kHeldBackAfter;
    while (!over_ && !held_back_.empty() && steady_clock::now() < end) take_held_back(kPollEvery);
    return std::move(result_);
  }

 private:
  struct Connection {
    Both<std::unique_ptr<Link>> links;
  };

  Connection& connection(int number) {
    Connection& found = connections_[number];
    for (const Side side : kSides) {
      if (found.links[side] == nullptr) found.links[side] = std::make_unique<Link>(setting_.brokers[side]);
    }
    return found;
  }

  void take(const Step& step) {
    if (held_back_.contains(step.connection)) return;  // a client that waits for an answer sends nothing
    last_ = step.number;
    last_api_ = step.api;
    if (step.connection == kHostileConnection) connections_.erase(step.connection);
    Connection& on = connection(step.connection);
    const int32_t correlation_id = step.number + 1;
    for (const Side side : kSides) {
      on.links[side]->send(step.frame(bindings_[side], correlation_id));
      if (step.unanswered) on.links[side]->send(probe());
    }
    Both<Outcome> outcomes = receive(step, on, correlation_id);
    if (step.may_be_held_back && outcomes.kafka.state == Link::State::kNothingYet &&
        outcomes.posthaste.state == Link::State::kNothingYet) {
      held_back_[step.connection] = &step;
      return;
    }
    finish(step, std::move(outcomes));
    if (!over_) settle(step);
    if (!over_) take_held_back(milliseconds(0));
  }

  static std::vector<std::byte> probe() {
    return kafka::encode_request(kafka::ApiVersionsRequest{}, 0, kProbe, "differential").flatten();
  }

  Both<Outcome> receive(const Step& step, Connection& on, int32_t correlation_id) {
    Both<Outcome> outcomes;
    const auto begin = steady_clock::now();
    for (;;) {
      size_t missing = 0;
      for (const Side side : kSides) {
        if (outcomes[side].state != Link::State::kNothingYet) continue;
        outcomes[side] = receive(step, *on.links[side], correlation_id);
        if (outcomes[side].state == Link::State::kNothingYet) ++missing;
      }
      const auto waited = steady_clock::now() - begin;
      if (missing == 0 || waited > kAnswerLimit) return outcomes;
      if (missing == 2 && step.may_be_held_back && waited > kHeldBackAfter) return outcomes;
    }
  }

  Outcome receive(const Step& step, Link& link, int32_t correlation_id) {
    Link::Received received = link.receive(kPollEvery);
    Outcome outcome{.state = received.state};
    if (received.state != Link::State::kAnswer) return outcome;
    const int32_t id = correlation_of(received.frame);
    if (step.unanswered && id == kProbe) {
      outcome.answer = Value{.kind = Value::Kind::kText, .text = "nothing"};
    } else if (id == correlation_id) {
      outcome.answer = step.read(received.frame);
    }
    return outcome;
  }

  // Answers that had been held back, as far as they have come to either side.
  void take_held_back(milliseconds limit) {
    for (auto at = held_back_.begin(); at != held_back_.end() && !over_;) {
      const Step& step = *at->second;
      Connection& on = connections_[at->first];
      Both<Outcome> outcomes;
      for (const Side side : kSides) {
        Link::Received received = on.links[side]->receive(limit);
        outcomes[side].state = received.state;
        if (received.state == Link::State::kAnswer) outcomes[side].answer = step.read(received.frame);
      }
      if (outcomes.kafka.state == outcomes.posthaste.state && outcomes.kafka.state == Link::State::kNothingYet) {
        ++at;
        continue;
      }
      const auto end = steady_clock::now() + kAnswerLimit;
      for (const Side side : kSides) {
        while (outcomes[side].state == Link::State::kNothingYet && steady_clock::now() < end) {
          Link::Received received = on.links[side]->receive(kPollEvery);
          outcomes[side].state = received.state;
          if (received.state == Link::State::kAnswer) outcomes[side].answer = step.read(received.frame);
        }
      }
      std::set<std::string, std::less<>> traits;
      if (held_back_.size() > 1) traits.insert("several joins were held back");
      if (last_api_ == kafka::ApiKey::kLeaveGroup) traits.insert("its member left");
      at = held_back_.erase(at);
      finish(step, std::move(outcomes), traits);
    }
  }

  void finish(const Step& step, Both<Outcome> outcomes, std::set<std::string, std::less<>> traits = {}) {
    traits.insert(step.traits.begin(), step.traits.end());
    if (!held_back_.empty()) traits.insert("a join is held back");
    ++result_.steps;
    std::vector<Difference> found;
    if (name_of(outcomes.kafka) != name_of(outcomes.posthaste)) {
      const auto told = [](const Outcome& outcome) {
        return outcome.answer ? printed(*outcome.answer) : std::string();
      };
      found.push_back({"(outcome)", told(outcomes.kafka) + told(outcomes.posthaste), "",
                       std::string(name_of(outcomes.kafka)), std::string(name_of(outcomes.posthaste))});
    } else if (outcomes.kafka.answer) {
      for (const Side side : kSides) {
        bindings_[side].learn(step.number, step.api, *outcomes[side].answer);
        bindings_[side].unname(*outcomes[side].answer);
      }
      found = differences(*outcomes.kafka.answer, *outcomes.posthaste.answer, setting_.run_start_ms);
    }
    if (outcomes.posthaste.answer && has_group_without_generation(*outcomes.posthaste.answer)) {
      traits.insert("a group without a generation");
    }
    if (setting_.verbose) show(step, outcomes);
    for (const Side side : kSides) {
      if (outcomes[side].state == Link::State::kClosed) connections_.erase(step.connection);
    }
    judge(step, traits, std::move(found));
  }

  // In answers to DescribeGroups and ListGroups.
  static bool has_group_without_generation(const Value& answer) {
    const Value* groups = answer.child("groups");
    return groups != nullptr && std::ranges::any_of(groups->children, [](const Value& group) {
             const Value* state = group.child("group_state");
             const Value* type = group.child("protocol_type");
             return type != nullptr && type->text.empty() && (state == nullptr || state->text == "Empty");
           });
  }

  void judge(const Step& step, const std::set<std::string, std::less<>>& traits, std::vector<Difference> found) {
    std::vector<Difference> open;
    for (Difference& difference : found) {
      const AcceptedDifference* row = find_accepted(step, traits, difference);
      if (row == nullptr) {
        open.push_back(std::move(difference));
        continue;
      }
      result_.accepted.insert(row);
      if (row->state == State::kDiffers) over_ = true;
    }
    if (open.empty()) return;
    result_.failure = Failure{&step, last_, std::move(open)};
    over_ = true;
  }

  void show(const Step& step, const Both<Outcome>& outcomes) const {
    fmt::print("{} {} v{} {}\n", step.number, to_string(step.api), step.version, step.request());
    for (const Side side : kSides) {
      const Outcome& outcome = outcomes[side];
      fmt::print("    {}: {}\n", side == Side::kKafka ? "Kafka    " : "Posthaste",
                 outcome.answer ? printed(*outcome.answer) : name_of(outcome));
    }
  }

  // Waits for what a broker may rightly do after its answer.
  void settle(const Step& step) {
    switch (step.api) {
      case kafka::ApiKey::kCreateTopics:
        barrier_.wait();
        learn_topic_ids();
        break;
      case kafka::ApiKey::kDeleteTopics:
      case kafka::ApiKey::kCreatePartitions:
      case kafka::ApiKey::kAlterConfigs:
      case kafka::ApiKey::kIncrementalAlterConfigs:
        barrier_.wait();
        break;
      case kafka::ApiKey::kLeaveGroup:
        wait_for_empty_groups();
        break;
      case kafka::ApiKey::kProduce:
        if (step.unanswered) wait_for_same_ends();
        break;
      default:
        break;
    }
  }

  std::vector<std::string> topic_names(Side side) const {
    std::vector<std::string> names(kTopicsLookedAt);
    for (size_t i = 0; i < names.size(); ++i) names[i] = bindings_[side].name(fmt::format("$t{}", i));
    return names;
  }

  void learn_topic_ids() {
    constexpr int16_t kVersion = 12;
    for (const Side side : kSides) {
      kafka::MetadataRequest request;
      const std::vector<std::string> names = topic_names(side);
      request.topics.emplace();
      for (const std::string& name : names) request.topics->push_back({.name = name});
      request.allow_auto_topic_creation = false;
      std::vector<std::byte> frame;
      const auto answer = ask(*own_[side], request, kVersion, frame);
      bindings_[side].learn(0, kafka::ApiKey::kMetadata, value_of(answer, kVersion));
    }
  }

  // A group whose last member has left ends its rebalance in a moment, by a timer of no length.
  void wait_for_empty_groups() {
    const auto end = steady_clock::now() + kAnswerLimit;
    for (const Side side : kSides) {
      while (is_ending(side) && steady_clock::now() < end) std::this_thread::sleep_for(kPollEvery);
    }
  }

  bool is_ending(Side side) {
    const std::string names[] = {bindings_[side].name("$g0"), bindings_[side].name("$g1")};
    std::vector<std::byte> frame;
    const auto answer = ask(*own_[side], kafka::DescribeGroupsRequest{.groups = {names[0], names[1]}}, 5, frame);
    return std::ranges::any_of(answer.groups, [](const auto& group) {
      return group.group_state == "PreparingRebalance" && group.members.empty();
    });
  }

  // After acks=0 no answer says when the records are there. They must be there in the end.
  void wait_for_same_ends() {
    const auto end = steady_clock::now() + kAnswerLimit;
    while (steady_clock::now() < end) {
      const Both<std::string> ends{ends_of(Side::kKafka), ends_of(Side::kPosthaste)};
      if (ends.kafka == ends.posthaste) return;
      std::this_thread::sleep_for(kPollEvery);
    }
  }

  std::string ends_of(Side side) {
    constexpr int16_t kVersion = 7;
    kafka::ListOffsetsRequest request;
    request.replica_id = -1;
    const std::vector<std::string> names = topic_names(side);
    for (const std::string& name : names) {
      auto& topic = request.topics.emplace_back();
      topic.name = name;
      for (int32_t p = 0; p < kPartitionsLookedAt; ++p)
        topic.partitions.push_back({.partition_index = p, .timestamp = -1});
    }
    std::vector<std::byte> frame;
    const auto answer = ask(*own_[side], request, kVersion, frame);
    std::map<std::pair<std::string, int32_t>, int64_t> ends;
    for (const auto& topic : answer.topics) {
      for (const auto& p : topic.partitions) ends[{std::string(topic.name), p.partition_index}] = p.offset;
    }
    std::string text;
    for (const auto& [where, offset] : ends) text += fmt::format("{} {} {}\n", where.first, where.second, offset);
    return text;
  }

  static constexpr int32_t kProbe = 1'000'000;

  const Setting& setting_;
  KafkaBarrier& barrier_;
  Both<Bindings> bindings_;
  Both<std::unique_ptr<Link>> own_;
  std::map<int, Connection> connections_;
  std::map<int, const Step*> held_back_;  // by connection
  Result result_;
  int last_ = 0;
  kafka::ApiKey last_api_{};
  bool over_ = false;
};

}  // namespace

Versions common_versions(const Both<Address>& brokers) {
  const Versions theirs = versions_of(brokers.kafka);
  const Versions ours = versions_of(brokers.posthaste);
  Versions common;
  for (const auto& [api, range] : ours) {
    const auto found = theirs.find(api);
    CHECK(found != theirs.end(), "Kafka does not serve {}", to_string(api));
    const auto [least, greatest] = found->second;
    common[api] = {std::max(range.first, least), std::min(range.second, greatest)};
    CHECK(common[api].first <= common[api].second, "no version of {} is common", to_string(api));
    if (common[api] != range) {
      fmt::print("{}: Posthaste serves {} to {}, Kafka {} to {}\n", to_string(api), range.first, range.second, least,
                 greatest);
    }
  }
  return common;
}

// Kafka makes the topic of its transactions at the first request for a coordinator.
static bool has_transactions(Link& link, std::string_view id) {
  kafka::FindCoordinatorRequest find{.key = id, .key_type = 1};
  std::vector<std::byte> frame;
  return ask(link, find, 2, frame).error_code == kafka::ErrorCode::kNone;
}

void wait_for_coordinators(const Both<Address>& brokers) {
  constexpr int kGroupsAsked = 40;  // enough to meet every partition of __consumer_offsets
  for (const Side side : kSides) {
    Link link(brokers[side]);
    std::vector<std::byte> frame;
    const auto end = steady_clock::now() + kAnswerLimit;
    for (int group = 0; group < kGroupsAsked;) {
      const std::string name = fmt::format("warm-up-{}", group);
      kafka::FindCoordinatorRequest find{.key = name};
      kafka::InitProducerIdRequest identify;
      kafka::DescribeGroupsRequest describe{.groups = {name}};
      const bool found = ask(link, find, 2, frame).error_code == kafka::ErrorCode::kNone &&
                         ask(link, describe, 4, frame).groups.front().error_code == kafka::ErrorCode::kNone &&
                         ask(link, identify, 3, frame).error_code == kafka::ErrorCode::kNone &&
                         (side == Side::kPosthaste || has_transactions(link, name));
      CHECK(steady_clock::now() < end, "a group has no coordinator");
      found ? void(++group) : std::this_thread::sleep_for(kPollEvery);
    }
  }
}

KafkaBarrier::KafkaBarrier(const Address& kafka, const std::string& topic) : link_(kafka), topic_(topic) {
  kafka::CreateTopicsRequest create;
  create.topics.push_back({.name = topic_, .num_partitions = 1, .replication_factor = 1});
  create.timeout_ms = 30'000;
  std::vector<std::byte> frame;
  ask(link_, create, 7, frame);
  wait();
}

void KafkaBarrier::wait() {
  // The broker takes changes in batches, shows one first and acts on it afterwards: when it shows the second change,
  // which was made after the first was shown, it has acted on everything before the first.
  change_and_see();
  change_and_see();
}

void KafkaBarrier::change_and_see() {
  using Alter = kafka::IncrementalAlterConfigsRequest;
  const std::string value = fmt::format("{}", ++value_);
  Alter alter;
  alter.resources.push_back({.resource_type = kafka::ConfigResourceType::kTopic, .resource_name = topic_});
  alter.resources.front().configs.push_back(
      {.name = "retention.ms", .config_operation = Alter::Operation::kSet, .value = value});
  kafka::DescribeConfigsRequest describe;
  describe.resources.push_back({.resource_type = kafka::ConfigResourceType::kTopic,
                                .resource_name = topic_,
                                .configuration_keys = std::vector<std::string_view>{"retention.ms"}});
  std::vector<std::byte> frame;
  // A topic that was just made may not be known yet to the broker; the controller knows it.
  ask(link_, alter, 1, frame);
  const auto end = steady_clock::now() + kAnswerLimit;
  for (;;) {
    const auto seen = ask(link_, describe, 4, frame);
    const auto& configs = seen.results.front().configs;
    if (!configs.empty() && configs.front().value == value) return;
    CHECK(steady_clock::now() < end, "Kafka does not show a change of {}", topic_);
    std::this_thread::sleep_for(milliseconds(1));
  }
}

Result run_sequence(const Setting& setting, const Sequence& sequence, const std::string& prefix, KafkaBarrier& barrier,
                    const std::set<size_t>& left_out) {
  return Run(setting, prefix, barrier).take(sequence, left_out);
}

}  // namespace posthaste::differential
