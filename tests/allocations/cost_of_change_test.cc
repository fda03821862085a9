// What one change of the metadata asks of the allocator beside few topics and beside many: a number that no clock
// blurs. Each copy of what exists would show in it.
#include <gtest/gtest.h>

#include <optional>

#include "broker/partitions/partition_place.h"
#include "replication/metadata/image_delta.h"
#include "replication/metadata/topic_controller.h"
#include "replication/metadata/topic_name.h"
#include "replication/testing/decide_all.h"
#include "storage/placement.h"
#include "tests/tools/allocation_hook.h"

namespace posthaste::testing {
namespace {

using namespace replication;

std::string name_of(int number) { return fmt::format("a-topic-of-some-length-{}", number); }

Uuid id_of(int number) {
  std::array<uint8_t, 16> random{};
  for (size_t i = 0; i < 4; ++i) random[10 + i] = static_cast<uint8_t>(static_cast<uint32_t>(number) >> (8 * i));
  return make_topic_id(random);
}

// A broker's metadata with so many topics of one partition.
struct Metadata {
  MetadataImage image;
  storage::Placement placement{4};

  explicit Metadata(int topics) {
    RegisterBrokerRecord broker;
    broker.broker_id = 1;
    broker.fenced = false;
    CHECK(image.apply(broker).has_value(), "refused");
    for (int number = 0; number < topics; ++number) add(number);
  }
  void add(int number) {
    PartitionRecord partition;
    partition.partition_id = 0;
    partition.topic_id = id_of(number);
    partition.replicas = partition.isr = {1};
    partition.leader = 1;
    partition.leader_epoch = 0;
    CHECK(image.apply(TopicRecord{name_of(number), id_of(number)}).has_value(), "refused");
    CHECK(image.apply(partition).has_value(), "refused");
    placement.add({id_of(number).bytes, 0}, placement.choose_core(id_of(number).bytes));
  }
};

// Allocations of `change(metadata)` beside a snapshot of all, as every core holds one.
template <class Change>
uint64_t count_beside(int topics, Change change) {
  Metadata metadata(topics);
  const MetadataImage snapshot = metadata.image;
  const storage::Placement placed = metadata.placement;
  const uint64_t before = allocation_count::total();
  change(metadata);
  return allocation_count::total() - before;
}

// A path through a tree is one node longer for each 32 times as many; a copy of all is a hundred times as much.
template <class Change>
void expect_alike(Change change) {
  allocation_count::start();
  allocation_count::count_this_thread();
  const uint64_t few = count_beside(1'000, change);
  const uint64_t many = count_beside(100'000, change);
  allocation_count::count_this_thread(false);  // it is other tests' client
  EXPECT_GT(few, 0U);
  EXPECT_LE(many, 3 * few) << "beside 1,000: " << few;
  EXPECT_LE(many, 500U);
}

TEST(CostOfChange, ATopicIsAddedAndRemoved) {
  expect_alike([](Metadata& metadata) { metadata.add(-1); });
  expect_alike([](Metadata& metadata) {
    const RemoveTopicRecord remove{id_of(77)};
    EXPECT_EQ(delta_of(metadata.image, {remove}).removed.size(), 1U);
    EXPECT_TRUE(metadata.image.apply(remove).has_value());
    metadata.placement.remove({id_of(77).bytes, 0});
  });
}

// All that a new leader epoch of one partition is to a broker but the mail between its cores.
TEST(CostOfChange, APartitionChanges) {
  expect_alike([](Metadata& metadata) {
    const PartitionChangeRecord record{0, id_of(77), std::nullopt, 1};
    const ImageDelta delta = delta_of(metadata.image, {record});
    EXPECT_EQ(delta.changed.size(), 1U);
    EXPECT_TRUE(metadata.image.apply(record).has_value());
    broker::ClusterView view{.node_id = 1, .image = metadata.image, .placement = metadata.placement};
    const TopicImage* topic = view.image.topic(delta.changed.front());
    EXPECT_TRUE(broker::place_of(view, *topic, 0).leads_here());
    EXPECT_EQ(broker::role_of(view.image, *topic, 0, view.node_id).term.leader_epoch, 1) << "0 before";
  });
}

TEST(CostOfChange, ASettingChanges) {
  expect_alike([](Metadata& metadata) {
    const ConfigRecord record{kTopicResource, name_of(77), "retention.ms", "5"};
    EXPECT_EQ(delta_of(metadata.image, {record}).changed.size(), 1U);
    EXPECT_TRUE(metadata.image.apply(record).has_value());
  });
}

TEST(CostOfChange, ASnapshotIsMade) {
  expect_alike([](Metadata& metadata) {
    const MetadataImage again = metadata.image;
    const storage::Placement placed = metadata.placement;
    EXPECT_EQ(again.topics().size(), placed.size());
  });
}

TEST(CostOfChange, ATopicIsDecidedAbout) {
  expect_alike([](Metadata& metadata) {
    TopicRules rules;
    const auto outcome = create_topics(metadata.image, rules, {.topics = {{.name = "a.new_topic"}}});
    EXPECT_EQ(outcome.results.at(0).error, net::kafka::ErrorCode::kNone);
  });
}

}  // namespace
}  // namespace posthaste::testing
