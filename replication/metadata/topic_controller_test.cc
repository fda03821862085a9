// Topic creation and deletion: each rule of Kafka's, what ends up in the log, and names and ids.
#include "replication/metadata/topic_controller.h"

#include <gtest/gtest.h>

#include <random>

#include "reactor/check.h"
#include "replication/metadata/topic_name.h"
#include "replication/testing/decide_all.h"
#include "storage/folder_names.h"

namespace posthaste::replication {
namespace {

using config::ConfigMap;
using config::ConfigSource;
using config::DescribedConfig;
using config::topic_config_defaults;
using config::topic_keys_by_name;
using config::TopicSettings;
using net::kafka::ErrorCode;

class Controller : public ::testing::Test {
 protected:
  Controller() {
    rules.num_partitions = 3;
    rules.layers.given = {{"log.retention.ms", "77"}};
    rules.defaults = topic_config_defaults(merged(rules.layers));
    for (const int32_t id : {1, 2, 3}) add_broker(id, false);
  }

  void add_broker(int32_t id, bool fenced) {
    RegisterBrokerRecord broker;
    broker.broker_id = id;
    broker.fenced = fenced;
    apply({broker});
  }
  void apply(const std::vector<MetadataRecord>& records) {
    for (const MetadataRecord& record : records) CHECK(image.apply_bytes(encode(record)).has_value(), "refused");
  }
  CreateTopic topic(std::string name, int32_t partitions = -1, int16_t factor = -1) {
    CreateTopic request;
    request.name = std::move(name);
    request.num_partitions = partitions;
    request.replication_factor = factor;
    request.random_id[0] = ++drawn;
    return request;
  }
  CreateTopicResult create(CreateTopic request) {
    const auto outcome = create_topics(image, rules, {{std::move(request)}, false});
    apply(outcome.records);
    return outcome.results.at(0);
  }
  ErrorCode create_error(CreateTopic request) {
    const CreateTopicResult result = create(std::move(request));
    EXPECT_EQ(result.message.has_value(), result.error != ErrorCode::kNone);
    EXPECT_TRUE(result.error == ErrorCode::kNone || result.topic_id.is_zero());
    return result.error;
  }
  DeleteTopicResult remove(DeleteTopic asked) {
    const auto outcome = delete_topics(image, rules, {std::move(asked)});
    apply(outcome.records);
    return outcome.results.at(0);
  }

  MetadataImage image;
  TopicRules rules;
  uint8_t drawn = 0;
};

using TopicCreate = Controller;
using TopicDelete = Controller;

TEST_F(TopicCreate, WithDefaults) {
  const CreateTopicResult result = create(topic("orders"));
  EXPECT_EQ(result.error, ErrorCode::kNone);
  EXPECT_EQ(result.num_partitions, 3);
  EXPECT_EQ(result.replication_factor, 1);
  EXPECT_FALSE(result.topic_id.is_zero());
  ASSERT_NE(image.topic("orders"), nullptr);
  EXPECT_EQ(image.topic("orders")->id, result.topic_id);
  ASSERT_EQ(image.topic("orders")->partitions.size(), 3U);
  for (const PartitionImage& partition : image.topic("orders")->partitions) {
    EXPECT_EQ(partition.leader, partition.replicas.at(0));
    EXPECT_EQ(partition.leader_epoch, 0);
    EXPECT_EQ(partition.isr, partition.replicas);
  }
}

TEST_F(TopicCreate, SpreadsOverTheBrokers) {
  create(topic("wide", 6, 2));
  std::map<int32_t, int> leads;
  std::map<int32_t, int> holds;
  for (const PartitionImage& partition : image.topic("wide")->partitions) {
    ++leads[partition.leader];
    for (const int32_t broker : partition.replicas) ++holds[broker];
  }
  EXPECT_EQ(leads, (std::map<int32_t, int>{{1, 2}, {2, 2}, {3, 2}}));
  EXPECT_EQ(holds, (std::map<int32_t, int>{{1, 4}, {2, 4}, {3, 4}}));
  // Topics of one partition do not all begin at the same broker.
  std::set<int32_t> first;
  for (const char* name : {"a", "b", "c"}) {
    create(topic(name, 1));
    first.insert(image.partition(name, 0)->leader);
  }
  EXPECT_EQ(first.size(), 3U);
}

TEST_F(TopicCreate, Numbers) {
  EXPECT_EQ(create_error(topic("t", 0)), ErrorCode::kInvalidPartitions);
  EXPECT_EQ(create_error(topic("t", -2)), ErrorCode::kInvalidPartitions);
  EXPECT_EQ(create_error(topic("t", 1, 0)), ErrorCode::kInvalidReplicationFactor);
  EXPECT_EQ(create_error(topic("t", 1, -2)), ErrorCode::kInvalidReplicationFactor);
  EXPECT_EQ(create_error(topic("t", 1, 4)), ErrorCode::kInvalidReplicationFactor);
  EXPECT_EQ(create_error(topic("t", 10'001)), ErrorCode::kPolicyViolation);
  EXPECT_EQ(create_error(topic("t", INT32_MAX)), ErrorCode::kPolicyViolation);
  rules.max_partitions = 5;
  EXPECT_EQ(create_error(topic("t", 6)), ErrorCode::kPolicyViolation);
  EXPECT_EQ(create_error(topic("t", 5, 3)), ErrorCode::kNone);
  EXPECT_EQ(create_error(topic("u", 1)), ErrorCode::kPolicyViolation);
}

TEST_F(TopicCreate, OneRequestIsBoundedAsAWhole) {
  const auto outcome = create_topics(image, rules, {{topic("a", 6'000), topic("b", 6'000), topic("c", 4'000)}, false});
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results[1].error, ErrorCode::kPolicyViolation);
  EXPECT_EQ(outcome.results[2].error, ErrorCode::kNone);
}

// Each topic a piece of its own.
TEST_F(TopicCreate, BoundsHoldAcrossThePiecesOfARequest) {
  for (const bool validate_only : {true, false}) {
    for (const bool per_request : {true, false}) {
      image = MetadataImage();
      for (const int32_t id : {1, 2, 3}) add_broker(id, false);
      rules.max_partitions = per_request ? 1'000'000 : 10;
      rules.max_partitions_per_request = per_request ? 10 : 10'000;
      const CreateTopicsRequest request{.topics = {topic("a", 6), topic("b", 6), topic("c", 4), topic("d", 1)},
                                        .validate_only = validate_only};
      TopicCreation creation(request);
      while (!creation.all_noted()) creation.note_next(image);
      std::vector<ErrorCode> errors;
      while (!creation.all_decided()) {
        CreateTopicsOutcome piece;
        creation.begin_piece(image);
        creation.decide_next(image, rules, piece);
        errors.push_back(piece.results.at(0).error);
        apply(piece.records);
      }
      EXPECT_EQ(errors, (std::vector{ErrorCode::kNone, ErrorCode::kPolicyViolation, ErrorCode::kNone,
                                     ErrorCode::kPolicyViolation}))
          << validate_only << per_request;
      EXPECT_EQ(image.partition_count(), validate_only ? 0U : 10U);
    }
  }
}

TEST_F(TopicCreate, Names) {
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("a b"), std::string("a/b"),
        std::string("\xC3\xA9"), std::string(250, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(create_error(topic(bad)), ErrorCode::kInvalidTopicException) << bad;
  }
  EXPECT_EQ(create_error(topic("__cluster_metadata")), ErrorCode::kInvalidRequest);
  EXPECT_EQ(create_error(topic(std::string(249, 'x'))), ErrorCode::kNone);
  EXPECT_EQ(create_error(topic("A-z_0.9")), ErrorCode::kNone);
  EXPECT_EQ(create_error(topic("A-z_0.9")), ErrorCode::kTopicAlreadyExists);
  EXPECT_EQ(create_error(topic("A-z.0_9")), ErrorCode::kInvalidTopicException);  // collides
  EXPECT_EQ(create_error(topic("...")), ErrorCode::kNone);
}

TEST_F(TopicCreate, NamesWithinOneRequest) {
  const auto outcome =
      create_topics(image, rules, {{topic("twice"), topic("ok"), topic("twice"), topic("x.y"), topic("x_y")}, false});
  ASSERT_EQ(outcome.results.size(), 4U);
  EXPECT_EQ(outcome.results[0].name, "twice");
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kInvalidRequest);
  EXPECT_EQ(outcome.results[1].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results[2].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results[3].error, ErrorCode::kInvalidTopicException);
  apply(outcome.records);
  EXPECT_EQ(image.topics().size(), 2U);
}

TEST_F(TopicCreate, Configs) {
  CreateTopic request = topic("t");
  request.configs = {{"retention.ms", "5"}, {"cleanup.policy", "compact"}};
  const CreateTopicResult result = create(request);
  EXPECT_EQ(result.error, ErrorCode::kNone);
  EXPECT_EQ(image.topic("t")->configs(), (ConfigMap{{"cleanup.policy", "compact"}, {"retention.ms", "5"}}));
  EXPECT_EQ(result.configs.size(), topic_keys_by_name().size());
  request = topic("u");
  request.configs = {{"retention.ms", "-7"}};
  const CreateTopicResult bad = create(request);
  EXPECT_EQ(bad.error, ErrorCode::kInvalidConfig);
  EXPECT_NE(bad.message->find("retention.ms"), std::string::npos);
  request.configs = {{"retention.msx", "7"}};
  EXPECT_NE(create(request).message->find("did you mean retention.ms"), std::string::npos);
  request.configs = {{"retention.ms", std::nullopt}};
  EXPECT_EQ(create_error(request), ErrorCode::kInvalidConfig);
  request.configs = {{"retention.ms", "7"}, {"retention.ms", "-7"}};
  EXPECT_EQ(create_error(request), ErrorCode::kInvalidConfig);
  request = topic("w");
  request.configs = {{"retention.ms", "-7"}, {"retention.ms", "7"}};
  EXPECT_EQ(create_error(request), ErrorCode::kNone) << "the last value counts";
  request = topic("u");
  request.configs = {{"min.compaction.lag.ms", "9"}, {"max.compaction.lag.ms", "8"}};
  EXPECT_EQ(create_error(request), ErrorCode::kInvalidConfig);
  EXPECT_EQ(image.topic("u"), nullptr);
}

TEST_F(TopicCreate, ConfigsNameTheirSource) {
  CreateTopic request = topic("t");
  request.configs = {{"segment.bytes", "2097152"}};
  const CreateTopicResult result = create(request);
  for (const DescribedConfig& entry : result.configs) {
    if (entry.name == "segment.bytes") {
      EXPECT_EQ(entry.source(), ConfigSource::kTopic);
      EXPECT_EQ(entry.value, "2097152");
    } else if (entry.name == "retention.ms") {
      EXPECT_EQ(entry.source(), ConfigSource::kStaticBroker);
      EXPECT_EQ(entry.value, "77");
    } else {
      EXPECT_EQ(entry.source(), ConfigSource::kDefault) << entry.name;
    }
  }
}

TEST_F(TopicCreate, ByHand) {
  CreateTopic request = topic("t");
  request.assignments = {{1, {3, 1}}, {0, {2, 3}}};
  EXPECT_EQ(create_error(request), ErrorCode::kNone);
  EXPECT_EQ(image.partition("t", 0)->replicas, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(image.partition("t", 1)->leader, 3);
  const auto wrong = [&](std::vector<CreateTopic::Assignment> assignments) {
    CreateTopic bad = topic("u");
    bad.assignments = std::move(assignments);
    return create_error(bad);
  };
  EXPECT_EQ(wrong({{1, {1}}}), ErrorCode::kInvalidReplicaAssignment);  // a gap
  EXPECT_EQ(wrong({{-1, {1}}}), ErrorCode::kInvalidReplicaAssignment);
  EXPECT_EQ(wrong({{0, {1}}, {0, {2}}}), ErrorCode::kInvalidReplicaAssignment);  // twice
  EXPECT_EQ(wrong({{0, {}}}), ErrorCode::kInvalidReplicaAssignment);             // nobody
  EXPECT_EQ(wrong({{0, {1, 1}}}), ErrorCode::kInvalidReplicaAssignment);
  EXPECT_EQ(wrong({{0, {9}}}), ErrorCode::kInvalidReplicaAssignment);               // no such broker
  EXPECT_EQ(wrong({{0, {1}}, {1, {1, 2}}}), ErrorCode::kInvalidReplicaAssignment);  // uneven
  CreateTopic both = topic("u", 1);
  both.assignments = {{0, {1}}};
  EXPECT_EQ(create_error(both), ErrorCode::kInvalidRequest);
  both = topic("u", -1, 1);
  both.assignments = {{0, {1}}};
  EXPECT_EQ(create_error(both), ErrorCode::kInvalidRequest);
}

TEST_F(TopicCreate, FencedBrokersDoNotLead) {
  add_broker(1, true);
  CreateTopic request = topic("t");
  request.assignments = {{0, {1, 2}}};
  EXPECT_EQ(create_error(request), ErrorCode::kNone);
  EXPECT_EQ(image.partition("t", 0)->leader, 2);
  EXPECT_EQ(image.partition("t", 0)->isr, std::vector<int32_t>{2});
  request = topic("u");
  request.assignments = {{0, {1}}};
  EXPECT_EQ(create_error(request), ErrorCode::kInvalidReplicaAssignment);
  EXPECT_EQ(create_error(topic("v", 2, 3)), ErrorCode::kNone) << "it will be back";
  for (const int32_t index : {0, 1}) {
    EXPECT_EQ(image.partition("v", index)->isr.size(), 2U);
    EXPECT_NE(image.partition("v", index)->replicas.front(), 1);
  }
  EXPECT_EQ(create_error(topic("w", 1, 4)), ErrorCode::kInvalidReplicationFactor);
}

// Every name of up to four letters of these against those that are there, whose keys tell who collides.
TEST_F(TopicCreate, NamesCollideAsTheirKeysDo) {
  const auto name_of = [](unsigned number) {
    std::string name;
    for (; number > 0; number /= 5) name += "?a._b"[number % 5];
    return name;
  };
  std::map<std::string, std::string> by_key;
  for (unsigned number = 1; number < 625; number += 7) {
    const std::string name = name_of(number);
    if (name.contains('?') || topic_name_problem(name) || by_key.contains(collision_key(name))) continue;
    by_key.emplace(collision_key(name), name);
    apply({TopicRecord{name, make_topic_id({static_cast<uint8_t>(number), static_cast<uint8_t>(number / 256)})}});
  }
  ASSERT_GT(by_key.size(), 20U);
  int collisions = 0;
  for (unsigned number = 1; number < 625; ++number) {
    const std::string name = name_of(number);
    if (name.contains('?') || topic_name_problem(name) || image.topic(name) != nullptr) continue;
    const auto other = by_key.find(collision_key(name));
    const auto outcome = create_topics(image, rules, {{topic(name)}, true});
    ASSERT_EQ(outcome.results[0].error, other == by_key.end() ? ErrorCode::kNone : ErrorCode::kInvalidTopicException)
        << name;
    if (other == by_key.end()) continue;
    ++collisions;
    EXPECT_TRUE(outcome.results[0].message->contains(fmt::format("'{}'", other->second))) << name;
  }
  EXPECT_GT(collisions, 20);
}

TEST_F(TopicCreate, ValidateOnlyWritesNothing) {
  const auto outcome = create_topics(image, rules, {{topic("t"), topic("t.t"), topic("t_t"), topic(".")}, true});
  EXPECT_TRUE(outcome.records.empty());
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results[0].num_partitions, 3);
  EXPECT_TRUE(outcome.results[0].topic_id.is_zero());
  EXPECT_EQ(outcome.results[2].error, ErrorCode::kInvalidTopicException);
  EXPECT_EQ(outcome.results[3].error, ErrorCode::kInvalidTopicException);
}

TEST_F(TopicCreate, EqualRandomBytesStillGiveDifferentIds) {
  CreateTopic a = topic("a");
  CreateTopic b = topic("b");
  b.random_id = a.random_id;
  const auto outcome = create_topics(image, rules, {{a, b}, false});
  EXPECT_NE(outcome.results[0].topic_id, outcome.results[1].topic_id);
  apply(outcome.records);
  CreateTopic c = topic("c");
  c.random_id = a.random_id;
  EXPECT_EQ(create_error(c), ErrorCode::kNone);
}

TEST_F(TopicCreate, ConsumerOffsets) {
  EXPECT_EQ(create_error(consumer_offsets_topic(50, 1, 104'857'600, {1})), ErrorCode::kNone);
  EXPECT_EQ(image.topic(kConsumerOffsetsTopic)->partitions.size(), 50U);
  EXPECT_EQ(TopicSettings(image.topic(kConsumerOffsetsTopic)->configs(), rules.defaults).get<"cleanup.policy">(),
            "compact");
}

TEST_F(TopicDelete, ByNameAndById) {
  const Uuid id = create(topic("a")).topic_id;
  create(topic("b"));
  EXPECT_EQ(remove({.name = "b"}).error, ErrorCode::kNone);
  const DeleteTopicResult result = remove({.name = std::nullopt, .topic_id = id});
  EXPECT_EQ(result.error, ErrorCode::kNone);
  EXPECT_EQ(result.name, "a");
  EXPECT_EQ(result.topic_id, id);
  EXPECT_TRUE(image.topics().empty());
  EXPECT_NE(create(topic("a")).topic_id, id);  // the name may come back at once, the id never does
}

TEST_F(TopicDelete, Refusals) {
  const Uuid id = create(topic("a")).topic_id;
  EXPECT_EQ(remove({.name = "nope"}).error, ErrorCode::kUnknownTopicOrPartition);
  Uuid other = id;
  other.bytes[3] ^= std::byte{1};
  const DeleteTopicResult unknown = remove({.name = std::nullopt, .topic_id = other});
  EXPECT_EQ(unknown.error, ErrorCode::kUnknownTopicId);
  EXPECT_EQ(unknown.name, std::nullopt);
  EXPECT_EQ(remove({.name = "a", .topic_id = id}).error, ErrorCode::kInvalidRequest);
  EXPECT_EQ(remove({}).error, ErrorCode::kInvalidRequest);
  create(consumer_offsets_topic(1, 1, 104'857'600, {9}));
  EXPECT_EQ(remove({.name = std::string(kConsumerOffsetsTopic)}).error, ErrorCode::kInvalidRequest);
  rules.delete_topic_enable = false;
  EXPECT_EQ(remove({.name = "a"}).error, ErrorCode::kTopicDeletionDisabled);
  EXPECT_NE(image.topic("a"), nullptr);
}

TEST_F(TopicDelete, OnceIsEnough) {
  const Uuid id = create(topic("a")).topic_id;
  create(topic("b"));
  const auto outcome =
      delete_topics(image, rules, {{.name = "a"}, {.name = "b"}, {.name = std::nullopt, .topic_id = id}});
  ASSERT_EQ(outcome.results.size(), 2U);
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kInvalidRequest);
  EXPECT_EQ(outcome.results[1].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.deleted, std::vector<std::string>{"b"});
}

TEST_F(TopicDelete, WhatIsNamedTwiceIsAnsweredAsItWasNamed) {
  const Uuid id = create(topic("a")).topic_id;
  const auto by_name = delete_topics(image, rules, {{.name = "a"}, {.name = "a"}});
  ASSERT_EQ(by_name.results.size(), 1U);
  EXPECT_TRUE(by_name.results[0].topic_id.is_zero());
  const DeleteTopic named{.name = std::nullopt, .topic_id = id};
  const auto by_id = delete_topics(image, rules, {named, named});
  ASSERT_EQ(by_id.results.size(), 1U);
  EXPECT_EQ(by_id.results[0].name, std::nullopt);
  EXPECT_EQ(by_id.results[0].topic_id, id);
}

TEST_F(TopicDelete, ANameIsRefusedBesideEachMentionOfItsId) {
  const Uuid id = create(topic("a")).topic_id;
  const DeleteTopic by_id{.name = std::nullopt, .topic_id = id};
  const auto once = delete_topics(image, rules, {by_id, {.name = "a"}});
  ASSERT_EQ(once.results.size(), 1U);
  EXPECT_EQ(once.results[0].name, "a");
  EXPECT_EQ(once.results[0].topic_id, id);
  EXPECT_EQ(once.results[0].error, ErrorCode::kInvalidRequest);
  const auto twice = delete_topics(image, rules, {by_id, {.name = "a"}, by_id});
  ASSERT_EQ(twice.results.size(), 2U);
  EXPECT_EQ(twice.results[0].name, std::nullopt);
  EXPECT_EQ(twice.results[1].name, "a");
  for (const DeleteTopicResult& result : twice.results) {
    EXPECT_EQ(result.topic_id, id);
    EXPECT_EQ(result.error, ErrorCode::kInvalidRequest);
  }
  EXPECT_TRUE(once.records.empty() && twice.records.empty());
}

TEST_F(TopicDelete, ANameThatComesTwiceMeansNoTopic) {
  const Uuid id = create(topic("a")).topic_id;
  const auto outcome =
      delete_topics(image, rules, {{.name = "a"}, {.name = std::nullopt, .topic_id = id}, {.name = "a"}});
  ASSERT_EQ(outcome.results.size(), 2U);
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kInvalidRequest);
  EXPECT_TRUE(outcome.results[0].topic_id.is_zero());
  EXPECT_EQ(outcome.results[1].error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results[1].topic_id, id);
  EXPECT_EQ(outcome.deleted, std::vector<std::string>{"a"});
}

TEST_F(TopicDelete, WhatIsNamedInTwoWaysAtOnceMeansNoTopic) {
  const Uuid id = create(topic("a")).topic_id;
  const auto outcome = delete_topics(
      image, rules, {{.name = "a", .topic_id = id}, {}, {.name = "a"}, {}, {.name = "a", .topic_id = id}});
  ASSERT_EQ(outcome.results.size(), 5U);
  for (const size_t refused : {0U, 1U, 3U, 4U}) {
    EXPECT_EQ(outcome.results[refused].error, ErrorCode::kInvalidRequest) << refused;
  }
  EXPECT_EQ(outcome.results[2].error, ErrorCode::kNone);
}

// Another change comes between two pieces.
TEST_F(TopicDelete, WhatHasGoneMeanwhileIsNotThere) {
  create(topic("a"));
  create(topic("b"));
  const std::vector<DeleteTopic> topics{{.name = "a"}, {.name = "b"}};
  TopicDeletion deletion(topics);
  while (!deletion.all_noted()) deletion.note_next(image);
  DeleteTopicsOutcome outcome;
  deletion.decide_next(image, rules, outcome);
  apply(outcome.records);
  apply(delete_topics(image, rules, {{.name = "b"}}).records);
  deletion.begin_piece(image);
  outcome.records.clear();
  deletion.decide_next(image, rules, outcome);
  EXPECT_TRUE(outcome.records.empty());
  EXPECT_EQ(outcome.results.at(0).error, ErrorCode::kNone);
  EXPECT_EQ(outcome.results.at(1).error, ErrorCode::kUnknownTopicOrPartition);
}

TEST_F(TopicDelete, WhatIsNotThereIsAnsweredOnceToo) {
  const Uuid id = make_topic_id({5});
  const auto outcome = delete_topics(image, rules,
                                     {{.name = "gone"},
                                      {.name = "gone"},
                                      {.name = "other"},
                                      {.name = std::nullopt, .topic_id = id},
                                      {.name = std::nullopt, .topic_id = id}});
  ASSERT_EQ(outcome.results.size(), 3U);
  EXPECT_EQ(outcome.results[0].error, ErrorCode::kInvalidRequest);
  EXPECT_EQ(outcome.results[1].error, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(outcome.results[2].error, ErrorCode::kInvalidRequest);
}

TEST(TopicId, IsARandomUuidThatNoCommandLineMistakes) {
  std::array<uint8_t, 16> random{};
  EXPECT_EQ(to_string(make_topic_id(random)), "AAAAAAAAQACAAAAAAAAAAA");  // not zero
  random.fill(0xFF);
  for (int first = 0; first < 256; ++first) {
    random[0] = static_cast<uint8_t>(first);
    EXPECT_NE(to_string(make_topic_id(random)).front(), '-') << first;
    EXPECT_EQ(to_string(make_topic_id(random)).size(), 22U);
  }
}

TEST(TopicId, IsPrintedAsKafkaDoes) {
  Uuid id;
  for (size_t i = 0; i < 16; ++i) id.bytes[i] = static_cast<std::byte>(i * 17);
  EXPECT_EQ(to_string(id), "ABEiM0RVZneImaq7zN3u_w");
  EXPECT_EQ(to_string(Uuid{}), "AAAAAAAAAAAAAAAAAAAAAA");
}

TEST(TopicName, InternalOnes) {
  EXPECT_TRUE(is_internal_topic("__consumer_offsets"));
  EXPECT_TRUE(is_internal_topic("__transaction_state"));
  EXPECT_FALSE(is_internal_topic("__mine"));
}

// The rooms that judge names: what is a topic here must be a folder there, for every partition that one request makes.
TEST_F(Controller, EveryNameThatATopicMayHaveIsAFolder) {
  std::mt19937 random(7);
  constexpr std::string_view kCharacters = "abzAZ019._-/ +";
  uint64_t legal = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string name(1 + random() % (i % 10 == 0 ? kLongestTopicName : 4), '.');
    for (char& c : name) c = kCharacters[random() % (i % 10 == 0 ? 11 : kCharacters.size())];
    if (topic_name_problem(name)) continue;
    ++legal;
    EXPECT_TRUE(storage::partition_folder(name, rules.max_partitions_per_request - 1).has_value()) << name;
  }
  EXPECT_GT(legal, 1'000U);
}

}  // namespace
}  // namespace posthaste::replication
