// Where partitions are that are led here, elsewhere or not at all, and what requests for them are answered.
#include "broker/partitions/partition_place.h"

#include <gtest/gtest.h>

#include "broker/handlers/common.h"
#include "broker/handlers/group_routing.h"

namespace posthaste::broker {
namespace {

using net::kafka::Uuid;
using replication::kConsumerOffsetsTopic;
using replication::MetadataImage;
using replication::MetadataRecord;
using replication::PartitionRecord;
using replication::RegisterBrokerRecord;
using replication::Role;
using replication::TopicRecord;

constexpr int32_t kSelf = 1;
constexpr int32_t kOther = 2;
constexpr Uuid kTopic{.bytes = {std::byte{7}}};
constexpr Uuid kOffsets{.bytes = {std::byte{8}}};

enum Index : int32_t { kLed, kBeingMade, kFollowed, kElsewhere, kLeaderless };

class PartitionPlaceTest : public testing::Test {
 protected:
  PartitionPlaceTest() {
    MetadataImage image;
    for (const int32_t id : {kSelf, kOther}) {
      RegisterBrokerRecord broker;
      broker.broker_id = id;
      broker.broker_epoch = 100 + id;
      broker.fenced = false;
      apply(image, broker);
    }
    apply(image, TopicRecord{"t", kTopic});
    apply(image, partition(kTopic, kLed, {kSelf, kOther}, kSelf));
    apply(image, partition(kTopic, kBeingMade, {kSelf}, kSelf));
    apply(image, partition(kTopic, kFollowed, {kSelf, kOther}, kOther));
    apply(image, partition(kTopic, kElsewhere, {kOther}, kOther));
    apply(image, partition(kTopic, kLeaderless, {kSelf, kOther}, -1));
    storage::Placement placement(4);
    for (const Index index : {kLed, kFollowed, kLeaderless}) placement.add({kTopic.bytes, index}, 3);
    view_.node_id = kSelf;
    view_.image = std::move(image);
    view_.placement = std::move(placement);
  }

  static void apply(MetadataImage& image, const MetadataRecord& record) {
    EXPECT_TRUE(image.apply(record).has_value());
  }
  static PartitionRecord partition(const Uuid& topic, int32_t index, std::vector<int32_t> replicas, int32_t leader) {
    PartitionRecord record;
    record.partition_id = index;
    record.topic_id = topic;
    record.replicas = record.isr = std::move(replicas);
    record.leader = leader;
    record.leader_epoch = 10 + index;
    record.partition_epoch = 0;
    return record;
  }
  PartitionPlace place(int32_t index) const { return place_of(view_, *view_.image.topic(kTopic), index); }
  ErrorCode error(int32_t index) const { return locate(view_, "t", index, -1).error; }

  ClusterView view_;
};

TEST_F(PartitionPlaceTest, SaysWhoLeadsInWhichTermOnWhichCore) {
  const PartitionPlace led = place(kLed);
  EXPECT_TRUE(led.leads_here());
  EXPECT_EQ(led.leader, kSelf);
  EXPECT_EQ(led.role, Role::kLeader);
  EXPECT_EQ(led.term, (replication::Term{.leader_epoch = 10 + kLed, .broker_epoch = 101}));
  EXPECT_EQ(led.core, 3);
  EXPECT_EQ(place(kBeingMade).leader, -1) << "nobody else could serve it";
  EXPECT_FALSE(place(kBeingMade).leads_here());
  const PartitionPlace followed = place(kFollowed);
  EXPECT_EQ(followed.role, Role::kFollower);
  EXPECT_EQ(followed.leader, kOther);
  EXPECT_EQ(followed.term, (replication::Term{.leader_epoch = 10 + kFollowed, .broker_epoch = 102}));
  EXPECT_FALSE(followed.leads_here()) << "that it is here does not mean that it is led here";
  EXPECT_EQ(place(kElsewhere).role, Role::kNone);
  EXPECT_EQ(place(kElsewhere).leader, kOther);
  EXPECT_EQ(place(kLeaderless).leader, -1);
  EXPECT_EQ(place(kLeaderless).term.broker_epoch, -1);
}

TEST_F(PartitionPlaceTest, RequestsAreSentOnOrToldToWait) {
  const Located led = locate(view_, "t", kLed, -1);
  EXPECT_EQ(led.error, ErrorCode::kNone);
  EXPECT_EQ(led.owner, 3);
  EXPECT_EQ(led.leader_epoch, 10 + kLed);
  EXPECT_EQ(error(kBeingMade), ErrorCode::kLeaderNotAvailable);
  EXPECT_EQ(error(kFollowed), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(error(kElsewhere), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(error(kLeaderless), ErrorCode::kLeaderNotAvailable);
}

TEST_F(PartitionPlaceTest, AGroupHasItsCoordinatorWhereItsPartitionIsLed) {
  EXPECT_EQ(place_of_group(view_, "g").error(), ErrorCode::kCoordinatorNotAvailable) << "no topic";
  const auto with_offsets = [this](int32_t leader, bool is_placed) {
    MetadataImage image = view_.image;
    apply(image, TopicRecord{std::string(kConsumerOffsetsTopic), kOffsets});
    apply(image, partition(kOffsets, 0, {kSelf, kOther}, leader));
    ClusterView view = view_;
    storage::Placement placement = view_.placement;
    if (is_placed) placement.add({kOffsets.bytes, 0}, 2);
    view.image = std::move(image);
    view.placement = std::move(placement);
    return place_of_group(view, "g");
  };
  EXPECT_EQ(with_offsets(kSelf, true)->owner, 2);
  EXPECT_EQ(with_offsets(kSelf, false).error(), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(with_offsets(-1, true).error(), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(with_offsets(kOther, true).error(), ErrorCode::kNotCoordinator) << "though its log is here";
}

}  // namespace
}  // namespace posthaste::broker
