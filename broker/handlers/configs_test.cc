// DescribeConfigs, AlterConfigs and IncrementalAlterConfigs against a whole broker: what is shown, what may change, and
// that a change acts at once and survives.
#include <algorithm>

#include "broker/testing/simulated_broker.h"
#include "config/broker_keys.h"
#include "net/kafka/configs.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;
using config::broker_keys;
using config::topic_keys_by_name;
using kafka::ConfigResourceType;
using kafka::DescribeConfigsRequest;
using kafka::IncrementalAlterConfigsRequest;
using Operation = IncrementalAlterConfigsRequest::Operation;

struct Shown {
  std::string value;  // "null" for none
  int source = 0;
  bool read_only = false;
  bool sensitive = false;
  int type = 0;
  std::string documentation;
  std::vector<std::string> synonyms;  // "name=value:source"
};
using ShownConfigs = std::map<std::string, Shown>;

Task<ShownConfigs> describe(Client& client, ConfigResourceType type, std::string name, ErrorCode expected,
                            std::vector<std::string_view> keys = {}) {
  DescribeConfigsRequest request;
  request.resources.push_back({.resource_type = type, .resource_name = name, .configuration_keys = std::nullopt});
  if (!keys.empty()) request.resources[0].configuration_keys = keys;
  request.include_synonyms = true;
  request.include_documentation = true;
  const auto answer = co_await client.call(request, 4);
  const auto& result = answer.message.results.at(0);
  EXPECT_EQ(result.error_code, expected) << name;
  EXPECT_EQ(result.error_message.has_value(), expected != ErrorCode::kNone);
  ShownConfigs shown;
  for (const auto& config : result.configs) {
    Shown& out = shown[std::string(config.name)];
    out = {std::string(config.value.value_or("null")),
           config.config_source,
           config.read_only,
           config.is_sensitive,
           config.config_type,
           std::string(config.documentation.value_or("")),
           {}};
    for (const auto& synonym : config.synonyms) {
      out.synonyms.push_back(fmt::format("{}={}:{}", synonym.name, synonym.value.value_or("null"), synonym.source));
    }
  }
  co_return shown;
}

struct Change {
  std::string name;
  Operation operation = Operation::kSet;
  std::optional<std::string> value;
};

Task<ErrorCode> alter(Client& client, ConfigResourceType type, std::string name, std::vector<Change> changes,
                      bool validate_only = false) {
  IncrementalAlterConfigsRequest request;
  request.validate_only = validate_only;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = type;
  resource.resource_name = name;
  for (const Change& change : changes) {
    resource.configs.push_back({.name = change.name, .config_operation = change.operation, .value = std::nullopt});
    if (change.value) resource.configs.back().value = *change.value;
  }
  const auto answer = co_await client.call(request, 1);
  EXPECT_EQ(answer.message.responses.at(0).resource_name, name);
  co_return answer.message.responses.at(0).error_code;
}

class ConfigsTest : public BrokerTest {
 protected:
  ConfigsTest() { options_.given = {{"log.retention.hours", "5"}, {"ssl.key.password", "secret"}}; }
};

constexpr auto kTopic = ConfigResourceType::kTopic;
constexpr auto kBroker = ConfigResourceType::kBroker;

TEST_F(ConfigsTest, ATopicShowsEveryKeyWithAllItsSources) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"retention.bytes", "77"}}), ErrorCode::kNone);
    const ShownConfigs shown = co_await describe(client, kTopic, "t", ErrorCode::kNone);
    EXPECT_EQ(shown.size(), topic_keys_by_name().size());
    for (const auto& [name, config] : shown) {
      EXPECT_FALSE(config.documentation.empty()) << name;
      EXPECT_FALSE(config.read_only) << name;
      EXPECT_NE(config.type, 0) << name;
    }
    EXPECT_EQ(shown.at("retention.bytes").value, "77");
    EXPECT_EQ(shown.at("retention.bytes").source, 1);
    EXPECT_EQ(shown.at("retention.bytes").synonyms,
              (std::vector<std::string>{"retention.bytes=77:1", "log.retention.bytes=-1:5"}));
    EXPECT_EQ(shown.at("retention.ms").value, "18000000") << "hours become milliseconds";
    EXPECT_EQ(shown.at("retention.ms").source, 5);
    EXPECT_TRUE(shown.at("retention.ms").synonyms.empty())
        << "as in Kafka, which tells nothing before log.retention.ms";
    EXPECT_EQ(shown.at("flush.messages").source, 5);
    EXPECT_TRUE(shown.at("index.interval.bytes").documentation.contains("Has no effect: "));
    EXPECT_FALSE(shown.at("segment.jitter.ms").documentation.contains("Has no effect"));
    EXPECT_EQ(shown.at("preallocate").type, 1);
    EXPECT_EQ(shown.at("cleanup.policy").type, 7);
    EXPECT_EQ(shown.at("retention.ms").type, 5);
  });
}

// Booleans and numbers as text, null keys ask for all, 5 means default; a key that Kafka has dropped is left out.
TEST_F(ConfigsTest, Pitfall30ABrokerShowsEveryKeyThatIsAccepted) {
  start();
  run([](Client& client) -> Task<void> {
    const ShownConfigs shown = co_await describe(client, kBroker, "1", ErrorCode::kNone);
    EXPECT_EQ(shown.size(), broker_keys().size());
    for (const auto& [name, config] : shown) EXPECT_FALSE(config.documentation.empty()) << name;
    EXPECT_EQ(shown.at("num.io.threads").value, "8");
    EXPECT_EQ(shown.at("num.io.threads").source, 5);
    EXPECT_EQ(shown.at("auto.create.topics.enable").value, "true");
    EXPECT_EQ(shown.at("node.id").value, "1");
    EXPECT_TRUE(shown.at("node.id").read_only);
    EXPECT_FALSE(shown.at("log.retention.ms").read_only);
    EXPECT_EQ(shown.at("log.retention.ms").value, "null") << "a number without a default";
    EXPECT_EQ(shown.at("log.retention.hours").value, "5");
    EXPECT_EQ(shown.at("log.retention.hours").source, 4);
    EXPECT_TRUE(shown.at("ssl.key.password").sensitive);
    EXPECT_EQ(shown.at("ssl.key.password").value, "null");
    for (const std::string& synonym : shown.at("ssl.key.password").synonyms) {
      EXPECT_EQ(synonym.find("secret"), std::string::npos);
    }
    const ShownConfigs two = co_await describe(client, kBroker, "1", ErrorCode::kNone,
                                               {"num.partitions", "node.id", "inter.broker.protocol.version"});
    EXPECT_EQ(two.size(), 2U);
    EXPECT_EQ((co_await describe(client, kBroker, "", ErrorCode::kNone)).size(), 0U);
  });
}

// What Kafka 4.3.1 showed with these settings.
TEST_F(ConfigsTest, InSyncReplicasAreShownAsNoMoreThanThereAre) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const ShownConfigs shown = co_await describe(client, kTopic, "t", ErrorCode::kNone);
    EXPECT_EQ(shown.at("min.insync.replicas").value, "1") << "no more than there are, or tools call the topic ill";
    EXPECT_EQ(shown.at("min.insync.replicas").synonyms, (std::vector<std::string>{"min.insync.replicas=2:5"}));
  });
}

TEST_F(ConfigsTest, SynonymsAreKafkas) {
  options_.given.erase("log.retention.hours");
  options_.given["log.retention.ms"] = "5000000";
  options_.given["log.roll.hours"] = "7";
  options_.given["log.dirs"] = "/data";
  options_.given["log.flush.scheduler.interval.ms"] = "777";
  start();
  run([](Client& client) -> Task<void> {
    using Synonyms = std::vector<std::string>;
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const ShownConfigs topic = co_await describe(client, kTopic, "t", ErrorCode::kNone);
    EXPECT_EQ(topic.at("retention.ms").synonyms, (Synonyms{"log.retention.ms=5000000:4", "log.retention.hours=168:5"}));
    EXPECT_EQ(topic.at("segment.ms").value, "25200000");
    EXPECT_TRUE(topic.at("segment.ms").synonyms.empty());
    EXPECT_EQ(topic.at("flush.ms").value, "777");
    EXPECT_TRUE(topic.at("flush.ms").synonyms.empty());
    EXPECT_TRUE(topic.at("remote.storage.enable").synonyms.empty());
    const ShownConfigs broker = co_await describe(client, kBroker, "1", ErrorCode::kNone);
    EXPECT_EQ(broker.at("log.retention.ms").synonyms,
              (Synonyms{"log.retention.ms=5000000:4", "log.retention.hours=168:5"}));
    EXPECT_EQ(broker.at("log.retention.hours").synonyms, (Synonyms{"log.retention.hours=168:5"}));
    EXPECT_EQ(broker.at("log.roll.hours").synonyms, (Synonyms{"log.roll.hours=7:4", "log.roll.hours=168:5"}));
    EXPECT_EQ(broker.at("broker.id").synonyms, (Synonyms{"broker.id=1:4", "broker.id=-1:5"}));
    EXPECT_EQ(broker.at("node.id").synonyms, (Synonyms{"node.id=1:4"}));
    EXPECT_EQ(broker.at("log.dirs").synonyms, (Synonyms{"log.dirs=/data:4"}));
    for (const std::string key : {"advertised.listeners", "early.start.listeners", "log.roll.ms"}) {
      EXPECT_EQ(broker.at(key).value, "null") << key;
      EXPECT_TRUE(broker.at(key).synonyms.empty()) << key;
    }
    for (const std::string key : {"max.connections.per.ip.overrides", "authorizer.class.name", "metric.reporters"}) {
      EXPECT_EQ(broker.at(key).value, "") << key;
      EXPECT_EQ(broker.at(key).synonyms, (Synonyms{key + "=:5"}));
    }
  });
}

// A few bytes would stand for all keys of the broker, as often as they are there.
TEST_F(ConfigsTest, AnswersAboutOneResourceManyTimesOverHaveABound) {
  start();
  run([](Client& client) -> Task<void> {
    DescribeConfigsRequest request;
    request.resources.assign(10, {.resource_type = ConfigResourceType::kBroker, .resource_name = "1"});
    const auto answer = co_await client.call(request, 4);
    for (size_t i = 0; i < 10; ++i) {
      const auto& result = answer.message.results.at(i);
      EXPECT_EQ(result.error_code, i < 8 ? ErrorCode::kNone : ErrorCode::kInvalidRequest) << i;
      EXPECT_EQ(result.configs.empty(), i >= 8) << i;
    }
  });
}

TEST_F(ConfigsTest, WhatCannotBeDescribedSaysWhy) {
  start();
  run([](Client& client) -> Task<void> {
    (void)co_await describe(client, kTopic, "gone", ErrorCode::kUnknownTopicOrPartition);
    (void)co_await describe(client, kTopic, "", ErrorCode::kInvalidTopicException);
    (void)co_await describe(client, kBroker, "7", ErrorCode::kInvalidRequest);
    (void)co_await describe(client, kBroker, "x", ErrorCode::kInvalidRequest);
    (void)co_await describe(client, ConfigResourceType::kBrokerLogger, "1", ErrorCode::kInvalidRequest);
    (void)co_await describe(client, ConfigResourceType::kGroup, "g", ErrorCode::kInvalidRequest);
  });
}

TEST_F(ConfigsTest, AChangeActsAtOnceAndSurvivesARestart) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 2), ErrorCode::kNone);
    const std::string large(2'000, 'x');
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({large}))).error, ErrorCode::kNone);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"max.message.bytes", Operation::kSet, "1000"}}, true),
              ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({large}))).error, ErrorCode::kNone) << "only validated";
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"max.message.bytes", Operation::kSet, "1000"}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({large}))).error, ErrorCode::kMessageTooLarge);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({large}))).error, ErrorCode::kMessageTooLarge);
  });
  broker_->power_off();
  start();
  run([](Client& client) -> Task<void> {
    const std::string large(2'000, 'x');
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({large}))).error, ErrorCode::kMessageTooLarge);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"max.message.bytes", Operation::kDelete, {}}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 1, make_batch({large}))).error, ErrorCode::kNone);
    EXPECT_EQ((co_await describe(client, kTopic, "t", ErrorCode::kNone)).at("max.message.bytes").source, 5);
  });
}

TEST_F(ConfigsTest, ABrokersChangeActsOnEveryTopicWithoutItsOwn) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    EXPECT_EQ(co_await client.create_topic("own", 1, {{"max.message.bytes", "100000"}}), ErrorCode::kNone);
    const std::string large(2'000, 'x');
    EXPECT_EQ(co_await alter(client, kBroker, "", {{"message.max.bytes", Operation::kSet, "900"}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({large}))).error, ErrorCode::kMessageTooLarge);
    EXPECT_EQ((co_await client.produce("own", 0, make_batch({large}))).error, ErrorCode::kNone);
    EXPECT_EQ((co_await describe(client, kTopic, "t", ErrorCode::kNone)).at("max.message.bytes").source, 3);
    EXPECT_EQ((co_await describe(client, kBroker, "", ErrorCode::kNone)).at("message.max.bytes").value, "900");
    EXPECT_EQ(co_await alter(client, kBroker, "1", {{"message.max.bytes", Operation::kSet, "5000"}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("t", 0, make_batch({large}))).error, ErrorCode::kNone);
    const ShownConfigs topic = co_await describe(client, kTopic, "t", ErrorCode::kNone);
    EXPECT_EQ(topic.at("max.message.bytes").synonyms,
              (std::vector<std::string>{"message.max.bytes=5000:2", "message.max.bytes=900:3",
                                        "message.max.bytes=1048588:5"}));
    EXPECT_EQ((co_await describe(client, kBroker, "1", ErrorCode::kNone)).at("message.max.bytes").source, 2);
    EXPECT_EQ(co_await client.create_topic("late", 1), ErrorCode::kNone);
  });
  stop();
  start();
  run([](Client& client) -> Task<void> {
    const std::string large(6'000, 'x');
    EXPECT_EQ((co_await client.produce("late", 0, make_batch({large}))).error, ErrorCode::kMessageTooLarge);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {{"message.max.bytes", Operation::kDelete, {}}}), ErrorCode::kNone);
    EXPECT_EQ(co_await alter(client, kBroker, "", {{"message.max.bytes", Operation::kDelete, {}}}), ErrorCode::kNone);
    EXPECT_EQ((co_await client.produce("late", 0, make_batch({large}))).error, ErrorCode::kNone);
  });
}

TEST_F(ConfigsTest, LimitsOnConnectionsChangeWhileTheBrokerRuns) {
  options_.given.insert_or_assign("max.connections.per.ip", "2");
  start();
  run([](Client& client) -> Task<void> {
    const auto is_refused = [&]() -> Task<bool> {
      net::ClientConnection other(client.core(), "other");
      EXPECT_TRUE((co_await other.connect(testing::kBrokerAddress)).has_value());
      const bool refused = co_await other.wait_ended(client.core().now() + std::chrono::seconds(1));
      co_await other.close();
      co_await client.core().sleep(std::chrono::seconds(1));  // the server sees its end
      co_return refused;
    };
    const auto set = [](std::string name, std::string value) {
      return Change{std::move(name), Operation::kSet, value};
    };
    EXPECT_FALSE(co_await is_refused());
    EXPECT_EQ(co_await alter(client, kBroker, "", {set("max.connections.per.ip", "1")}), ErrorCode::kNone);
    EXPECT_TRUE(co_await is_refused());
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("max.connections.per.ip.overrides", "10.0.1.1:2")}),
              ErrorCode::kNone);
    EXPECT_FALSE(co_await is_refused());
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("max.connections", "1")}), ErrorCode::kNone);
    EXPECT_TRUE(co_await is_refused());
    const ShownConfigs shown = co_await describe(client, kBroker, "1", ErrorCode::kNone);
    EXPECT_EQ(shown.at("max.connections").value, "1");
    EXPECT_EQ(shown.at("max.connections").source, 2);
    EXPECT_FALSE(shown.at("max.connections").read_only);
    EXPECT_EQ(shown.at("max.connections.per.ip").synonyms,
              (std::vector<std::string>{"max.connections.per.ip=1:3", "max.connections.per.ip=2:4",
                                        "max.connections.per.ip=2147483647:5"}));
    EXPECT_EQ(shown.at("max.connections.per.ip.overrides").value, "10.0.1.1:2");
    EXPECT_TRUE(shown.at("queued.max.request.bytes").read_only);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("max.connections.per.ip.overrides", "localhost:2")}),
              ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("max.connections", "-1")}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(
                  client, kBroker, "1",
                  {set("max.connections.per.ip", "0"), {"max.connections.per.ip.overrides", Operation::kDelete, {}}}),
              ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {{"max.connections", Operation::kDelete, {}}}), ErrorCode::kNone);
    EXPECT_FALSE(co_await is_refused());
  });
  stop();
  start();
  run([](Client& client) -> Task<void> {
    // What was set while it ran holds after a restart too.
    net::ClientConnection other(client.core(), "other");
    EXPECT_TRUE((co_await other.connect(testing::kBrokerAddress)).has_value());
    EXPECT_TRUE(co_await other.wait_ended(client.core().now() + std::chrono::seconds(1)));
    co_await other.close();
  });
}

TEST_F(ConfigsTest, ListsGrowAndShrink) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const auto policy = [&]() -> Task<std::string> {
      co_return (co_await describe(client, kTopic, "t", ErrorCode::kNone)).at("cleanup.policy").value;
    };
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"cleanup.policy", Operation::kAppend, "compact"}}),
              ErrorCode::kNone);
    EXPECT_EQ(co_await policy(), "delete,compact");
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"cleanup.policy", Operation::kAppend, "compact"}}),
              ErrorCode::kNone);
    EXPECT_EQ(co_await policy(), "delete,compact");
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"cleanup.policy", Operation::kSubtract, "delete"}}),
              ErrorCode::kNone);
    EXPECT_EQ(co_await policy(), "compact");
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"retention.ms", Operation::kAppend, "5"}}),
              ErrorCode::kInvalidConfig);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"cleanup.policy", Operation::kAppend, ""}}),
              ErrorCode::kInvalidConfig);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"cleanup.policy", Operation::kSubtract, "compact,"}}),
              ErrorCode::kNone);
    EXPECT_EQ(co_await policy(), "") << "a list may be empty";
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"cleanup.policy", Operation::kAppend, ""}}), ErrorCode::kNone);
  });
}

TEST_F(ConfigsTest, WhatCannotBeAlteredChangesNothing) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const auto set = [](std::string name, std::string value) {
      return Change{std::move(name), Operation::kSet, value};
    };
    EXPECT_EQ(co_await alter(client, kTopic, "t", {set("retention.bytes", "5"), set("retention.ms", "soon")}),
              ErrorCode::kInvalidConfig);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {set("no.such.key", "5")}), ErrorCode::kInvalidConfig);
    EXPECT_EQ(
        co_await alter(client, kTopic, "t", {set("min.compaction.lag.ms", "9"), set("max.compaction.lag.ms", "5")}),
        ErrorCode::kInvalidConfig);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {set("retention.ms", "5"), set("retention.ms", "6")}),
              ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"retention.ms", Operation::kSet, {}}}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"retention.ms", Operation{9}, "1"}}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kTopic, "gone", {set("retention.ms", "5")}), ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(co_await alter(client, kTopic, "", {set("retention.ms", "5")}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("node.id", "5")}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("log.retention.mss", "5")}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kBroker, "1", {set("log.retention.ms", "soon")}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, kBroker, "8", {set("log.retention.ms", "5")}), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await alter(client, ConfigResourceType::kBrokerLogger, "1", {set("root", "INFO")}),
              ErrorCode::kInvalidRequest);
    for (const auto& [name, config] : co_await describe(client, kTopic, "t", ErrorCode::kNone)) {
      EXPECT_NE(config.source, 1) << name;
    }
  });
}

// A topic may be kept for no time at all; as the default of all topics that is refused, as in Kafka.
TEST_F(ConfigsTest, ARetentionOfZeroIsNoDefaultOfTheBroker) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1), ErrorCode::kNone);
    const auto retention = [](std::string value) {
      return std::vector<Change>{{"log.retention.ms", Operation::kSet, std::move(value)}};
    };
    for (const std::string id : {"1", ""}) {
      EXPECT_EQ(co_await alter(client, kBroker, id, retention("0")), ErrorCode::kInvalidRequest) << id;
      EXPECT_EQ(co_await alter(client, kBroker, id, retention("1")), ErrorCode::kNone) << id;
      EXPECT_EQ(co_await alter(client, kBroker, id, retention("-1")), ErrorCode::kNone) << id;
    }
    EXPECT_EQ(co_await alter(client, kTopic, "t", {{"retention.ms", Operation::kSet, "0"}}), ErrorCode::kNone);
  });
}

TEST_F(ConfigsTest, WhatIsWrongWithAChangeIsSaidBeforeWhatIsWrongWithItsTopic) {
  start();
  run([](Client& client) -> Task<void> {
    const Change good{"retention.ms", Operation::kSet, "5"};
    const Change bad{"retention.ms", Operation::kSet, "soon"};
    const Change no_list{"retention.ms", Operation::kAppend, "5"};
    const Change empty{"retention.ms", Operation::kSet, {}};
    EXPECT_EQ(co_await alter(client, kTopic, "gone", {good}), ErrorCode::kUnknownTopicOrPartition);
    EXPECT_EQ(co_await alter(client, kTopic, "no/such", {good}), ErrorCode::kInvalidTopicException);
    EXPECT_EQ(co_await alter(client, kTopic, "", {good}), ErrorCode::kInvalidRequest);
    for (const char* name : {"gone", "no/such", ""}) {
      EXPECT_EQ(co_await alter(client, kTopic, name, {no_list}), ErrorCode::kInvalidConfig) << name;
      EXPECT_EQ(co_await alter(client, kTopic, name, {empty}), ErrorCode::kInvalidRequest) << name;
      EXPECT_EQ(co_await alter(client, kTopic, name, {no_list, {"flush.ms", Operation{9}, "1"}}),
                ErrorCode::kInvalidRequest)
          << name;
    }
    EXPECT_EQ(co_await alter(client, kTopic, "gone", {bad}), ErrorCode::kInvalidConfig);
    EXPECT_EQ(co_await alter(client, kTopic, "no/such", {bad}), ErrorCode::kInvalidTopicException);
  });
}

TEST_F(ConfigsTest, AValueIsShownInItsOneForm) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1,
                                           {{"retention.ms", " 7000 "},
                                            {"unclean.leader.election.enable", "TRUE"},
                                            {"cleanup.policy", "delete, delete"}}),
              ErrorCode::kNone);
    const ShownConfigs shown = co_await describe(client, kTopic, "t", ErrorCode::kNone);
    EXPECT_EQ(shown.at("retention.ms").value, "7000");
    EXPECT_EQ(shown.at("retention.ms").synonyms.at(0), "retention.ms=7000:1");
    EXPECT_EQ(shown.at("unclean.leader.election.enable").value, "true");
    EXPECT_EQ(shown.at("cleanup.policy").value, "delete");
  });
}

TEST_F(ConfigsTest, AlterConfigsReplacesAllOfAResource) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("t", 1, {{"retention.bytes", "77"}, {"segment.ms", "5000"}}),
              ErrorCode::kNone);
    kafka::AlterConfigsRequest request;
    request.resources.push_back({.resource_type = kTopic, .resource_name = "t"});
    request.resources[0].configs.push_back({.name = "segment.ms", .value = "6000"});
    request.resources.push_back({.resource_type = kTopic, .resource_name = "gone"});
    const auto answer = co_await client.call(request, 2);
    EXPECT_EQ(answer.message.responses.at(0).error_code, ErrorCode::kNone);
    EXPECT_EQ(answer.message.responses.at(1).error_code, ErrorCode::kUnknownTopicOrPartition);
    const ShownConfigs shown = co_await describe(client, kTopic, "t", ErrorCode::kNone);
    EXPECT_EQ(shown.at("segment.ms").value, "6000");
    EXPECT_EQ(shown.at("retention.bytes").source, 5);
    request.resources = {request.resources[0], request.resources[0]};
    const auto twice = co_await client.call(request, 0);
    EXPECT_EQ(twice.message.responses.size(), 2U);
    for (const auto& resource : twice.message.responses) EXPECT_EQ(resource.error_code, ErrorCode::kInvalidRequest);
  });
}

}  // namespace
}  // namespace posthaste::broker::testing
