// Requests about thousands of topics: each is several changes, so that others have their turns between, and what holds
// for a request as a whole (a name twice, the bounds, validate_only) holds across them. How long a step takes is not
// seen here, for simulated processors are infinitely fast; bench/changes.py measures it.
#include <algorithm>
#include <map>

#include "broker/broker_host.h"
#include "broker/testing/simulated_broker.h"
#include "net/kafka/configs.h"
#include "net/kafka/partitions.h"
#include "reactor/scope.h"
#include "replication/controller.h"

namespace posthaste::broker::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kMany = 3'000;  // topics, more than ten pieces
constexpr int kSome = 600;    // more than two

std::string name_of(int number) { return fmt::format("t{:04}", number); }

std::vector<std::string> names_of(int count) {
  std::vector<std::string> names;
  for (int number = 0; number < count; ++number) names.push_back(name_of(number));
  return names;
}

class LargeRequestTest : public BrokerTest {
 protected:
  LargeRequestTest() {
    options_.engine.journal_file_bytes = uint64_t{8} << 20;  // nobody waits for room in it
    options_.connection.request_memory_bytes = uint64_t{16} << 20;
    options_.fetch_memory_bytes = uint64_t{16} << 20;
  }

  using Errors = std::vector<ErrorCode>;  // in the order of the answer
  static Task<Errors> create(Client& client, std::vector<std::string> names, int32_t partitions = 1,
                             bool validate_only = false) {
    kafka::CreateTopicsRequest request;
    request.timeout_ms = 60'000;
    request.validate_only = validate_only;
    for (const std::string& name : names) {
      request.topics.push_back({.name = name, .num_partitions = partitions, .replication_factor = -1});
    }
    const auto answer = co_await client.call(request, 4);
    Errors errors;
    for (const auto& topic : answer.message.topics) errors.push_back(topic.error_code);
    co_return errors;
  }
  static Task<Errors> remove(Client& client, std::vector<std::string> names) {
    kafka::DeleteTopicsRequest request;
    for (const std::string& name : names) request.topic_names.emplace_back(name);
    const auto answer = co_await client.call(request, 5);
    Errors errors;
    for (const auto& topic : answer.message.responses) errors.push_back(topic.error_code);
    co_return errors;
  }
  static Task<Errors> grow(Client& client, std::vector<std::string> names) {
    kafka::CreatePartitionsRequest request;
    for (const std::string& name : names) {
      request.topics.push_back({.name = name, .count = 2, .assignments = std::nullopt});
    }
    const auto answer = co_await client.call(request, 3);
    Errors errors;
    for (const auto& topic : answer.message.results) errors.push_back(topic.error_code);
    co_return errors;
  }
  static Task<Errors> alter(Client& client, std::vector<std::string> names) {
    kafka::IncrementalAlterConfigsRequest request;
    for (const std::string& name : names) {
      auto& resource = request.resources.emplace_back();
      resource.resource_type = kafka::ConfigResourceType::kTopic;
      resource.resource_name = name;
      resource.configs.push_back({.name = "retention.ms", .value = "77000"});
    }
    const auto answer = co_await client.call(request, 1);
    Errors errors;
    for (const auto& resource : answer.message.responses) errors.push_back(resource.error_code);
    co_return errors;
  }
  // How many topics Metadata shows; each partition has a leader.
  static Task<size_t> shown(Client& client) {
    const auto answer = co_await client.call(kafka::MetadataRequest{}, 9);
    for (const auto& topic : answer.message.topics) {
      for (const auto& partition : topic.partitions) EXPECT_GE(partition.leader_id, 0) << *topic.name;
    }
    co_return answer.message.topics.size();
  }

  // Topics that are committed.
  size_t in_image() { return shared_->controller().image().topics().size(); }

  using Request = Task<Errors> (*)(Client&, std::vector<std::string>);
  using Image = replication::MetadataImage;
  // A small change that comes right behind a large request is answered when little of that is committed. `committed`:
  // how many of its topics.
  Task<void> expect_others_get_in(Client& client, Request large, std::string small, size_t (*committed)(const Image&)) {
    Client other(client.core());
    co_await other.connect();
    std::optional<Errors> answered;
    auto ask = [&]() -> Task<void> { answered = co_await large(other, names_of(kMany)); };
    reactor::TaskScope scope(client.core());
    scope.spawn(ask());
    const auto begun = [&] { return committed(shared_->controller().image()) > 0; };
    while (!begun()) co_await client.core().sleep(20us);
    EXPECT_EQ(co_await client.create_topic(small, 1), ErrorCode::kNone);
    EXPECT_FALSE(answered.has_value()) << small;
    EXPECT_LT(committed(shared_->controller().image()), kMany / 2) << small;
    co_await scope.join();
    EXPECT_EQ(*answered, Errors(kMany, ErrorCode::kNone));
    co_await other.close();
  }
};

TEST_F(LargeRequestTest, OthersHaveTheirTurnsBetween) {
  start();
  run([this](Client& client) -> Task<void> {
    const Request create_narrow = [](Client& by, std::vector<std::string> names) {
      return create(by, std::move(names));
    };
    co_await expect_others_get_in(client, create_narrow, "beside-creation",
                                  [](const Image& image) { return image.topics().size(); });
    co_await expect_others_get_in(client, alter, "beside-settings", [](const Image& image) {
      size_t altered = 0;
      image.topics().for_each([&](const replication::TopicImage& topic) { altered += topic.configs().size(); });
      return altered;
    });
    co_await expect_others_get_in(client, grow, "beside-growth",
                                  [](const Image& image) { return image.partition_count() - image.topics().size(); });
    EXPECT_EQ(co_await shown(client), kMany + 3U);
    co_await expect_others_get_in(client, remove, "beside-deletion", [](const Image& image) {
      return kMany - std::min<size_t>(kMany, image.topics().size());
    });
    EXPECT_EQ(co_await shown(client), 4U);
  });
  stop();
}

// However far apart the two are.
TEST_F(LargeRequestTest, WhatIsNamedTwiceIsRefusedForBoth) {
  start();
  run([](Client& client) -> Task<void> {
    std::vector<std::string> names = names_of(kSome);
    names.push_back(name_of(0));
    Errors errors = co_await create(client, names);
    EXPECT_EQ(errors.size(), static_cast<size_t>(kSome)) << "told once";
    EXPECT_EQ(errors.at(0), ErrorCode::kInvalidRequest);
    EXPECT_EQ(std::ranges::count(errors, ErrorCode::kNone), kSome - 1);
    EXPECT_EQ(co_await shown(client), kSome - 1U);

    EXPECT_EQ(co_await create(client, {name_of(0)}), Errors{ErrorCode::kNone});
    errors = co_await grow(client, names);
    EXPECT_EQ(errors.at(0), ErrorCode::kInvalidRequest);
    EXPECT_EQ(std::ranges::count(errors, ErrorCode::kNone), kSome - 1);
    errors = co_await alter(client, names);
    EXPECT_EQ(errors.size(), names.size()) << "each is told";
    EXPECT_EQ(errors.front(), ErrorCode::kInvalidRequest);
    EXPECT_EQ(errors.back(), ErrorCode::kInvalidRequest);
    errors = co_await remove(client, names);
    EXPECT_EQ(errors.size(), static_cast<size_t>(kSome));
    EXPECT_EQ(errors.at(0), ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await shown(client), 1U) << "the one that was named twice";
  });
  stop();
}

TEST_F(LargeRequestTest, ATopicNamedByNameAndFarBehindByIdIsRefused) {
  start();
  run([](Client& client) -> Task<void> {
    EXPECT_EQ(co_await create(client, names_of(kSome)), Errors(kSome, ErrorCode::kNone));
    const auto metadata = co_await client.call(kafka::MetadataRequest{}, 10);
    kafka::DeleteTopicsRequest request;
    std::vector<std::string> names = names_of(kSome);
    for (const std::string& name : names) request.topics.push_back({.name = std::string_view(name)});
    for (const auto& topic : metadata.message.topics) {
      if (*topic.name == name_of(0)) request.topics.push_back({.name = std::nullopt, .topic_id = topic.topic_id});
    }
    const auto answer = co_await client.call(request, 6);
    EXPECT_EQ(answer.message.responses.size(), static_cast<size_t>(kSome));
    EXPECT_EQ(answer.message.responses.at(0).error_code, ErrorCode::kInvalidRequest);
    EXPECT_EQ(co_await shown(client), 1U);
  });
  stop();
}

// The bound on partitions is one of the request, not of its pieces; what is below it is made.
TEST_F(LargeRequestTest, BoundsOfARequestHoldAcrossItsPieces) {
  start();
  run([](Client& client) -> Task<void> {
    for (const bool validate_only : {true, false}) {
      const Errors errors = co_await create(client, names_of(kSome), 20, validate_only);
      EXPECT_EQ(std::ranges::count(errors, ErrorCode::kNone), 500) << validate_only;
      EXPECT_EQ(std::ranges::count(errors, ErrorCode::kPolicyViolation), kSome - 500) << validate_only;
      EXPECT_EQ(errors.at(499), ErrorCode::kNone);
      EXPECT_EQ(co_await shown(client), validate_only ? 0U : 500U);
    }
  });
  stop();
}

// What was made before stays and is answered as made, the rest is refused.
TEST_F(LargeRequestTest, ADiskThatFillsMidwayRefusesTheRest) {
  start();
  run([&](Client& client) -> Task<void> {
    EXPECT_EQ(co_await client.create_topic("bulk", 1), ErrorCode::kNone);
    Client other(client.core());
    co_await other.connect();
    Errors errors;
    auto ask = [&]() -> Task<void> { errors = co_await create(other, names_of(kMany)); };
    reactor::TaskScope scope(client.core());
    scope.spawn(ask());
    while (in_image() < 300) co_await client.core().sleep(1ms);
    broker_->disk().options().capacity_bytes = broker_->disk().bytes_used();
    const std::string value(100'000, 'x');
    for (int i = 0; i < 1'000; ++i) {
      if ((co_await client.produce("bulk", 0, make_batch({value}))).error != ErrorCode::kNone) break;
    }
    co_await scope.join();
    const auto made = static_cast<size_t>(std::ranges::count(errors, ErrorCode::kNone));
    EXPECT_GE(made, 256U);
    EXPECT_LT(made, static_cast<size_t>(kMany));
    EXPECT_EQ(std::ranges::count(errors, ErrorCode::kKafkaStorageError), static_cast<ptrdiff_t>(kMany - made));
    EXPECT_EQ(std::ranges::find(errors, ErrorCode::kKafkaStorageError) - errors.begin(), static_cast<ptrdiff_t>(made))
        << "the first ones are made";
    EXPECT_EQ(co_await shown(client), made + 1) << "and no other";
    EXPECT_EQ(co_await remove(client, {name_of(0)}), Errors{ErrorCode::kNone});
    co_await other.close();
  });
  stop();
}

// A broker that dies midway has some of the topics, each of them whole.
TEST_F(LargeRequestTest, ADeathMidwayLeavesWholeTopics) {
  start();
  auto& host =
      world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20}, "10.0.1.99", [](Core& core) -> Task<void> {
        Client client(core);
        co_await client.connect();
        const auto names = names_of(500);
        kafka::CreateTopicsRequest request;
        for (const std::string& name : names) {
          request.topics.push_back({.name = name, .num_partitions = 20, .replication_factor = -1});
        }
        (void)co_await client.connection().call(request, 4);  // never answered
        co_await client.close();
      });
  host.start();
  ASSERT_TRUE(world_.run_until([&] { return in_image() >= 200; }, 10s));
  ASSERT_LT(in_image(), 500U);
  broker_->power_off();
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  run([](Client& client) -> Task<void> {
    const auto answer = co_await client.call(kafka::MetadataRequest{}, 9);
    EXPECT_GE(answer.message.topics.size(), 200U);
    EXPECT_LT(answer.message.topics.size(), 500U);
    for (const auto& topic : answer.message.topics) {
      EXPECT_EQ(topic.partitions.size(), 20U) << *topic.name;
      for (const auto& partition : topic.partitions) EXPECT_GE(partition.leader_id, 0) << *topic.name;
    }
  });
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
