// The metadata image when brokers come and go: registrations and their changes, eligible and unverified replicas, and
// that a snapshot holds all of it.
#include <gtest/gtest.h>

#include "reactor/check.h"
#include "replication/metadata/image.h"

namespace posthaste::replication {
namespace {

using reactor::Errc;
using Fenced = BrokerRegistrationChangeRecord::Fenced;
using ControlledShutdown = BrokerRegistrationChangeRecord::ControlledShutdown;
using Ids = std::vector<int32_t>;

Uuid id_of(uint8_t fill) {
  Uuid id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

RegisterBrokerRecord broker(int32_t id, uint8_t incarnation, int64_t epoch) {
  return {.broker_id = id,
          .incarnation_id = id_of(incarnation),
          .broker_epoch = epoch,
          .fenced = true,
          .log_dirs = {id_of(static_cast<uint8_t>(100 + id))}};
}

PartitionChangeRecord change(int32_t index) { return {.partition_id = index, .topic_id = id_of(1)}; }

void apply(MetadataImage& image, const MetadataRecord& record) {
  const auto result = image.apply(record);
  ASSERT_TRUE(result.has_value()) << to_string(result.error());
}

// Three brokers, and a topic with a partition that each of the first two leads.
class ImageBrokersTest : public testing::Test {
 protected:
  ImageBrokersTest() {
    for (int32_t id = 1; id <= 3; ++id) {
      apply(image_, broker(id, static_cast<uint8_t>(id), 10 * id));
      apply(image_, BrokerRegistrationChangeRecord{
                        .broker_id = id, .broker_epoch = 10 * int64_t{id}, .fenced = Fenced::kUnfence});
    }
    apply(image_, TopicRecord{"orders", id_of(1)});
    for (int32_t index = 0; index < 2; ++index) {
      apply(image_, PartitionRecord{index, id_of(1), {1, 2, 3}, {1, 2, 3}, {}, {}, index + 1, 0, 0, 0, {}});
    }
  }

  const PartitionImage& at(int32_t index) const { return *image_.partition("orders", index); }
  static Ids ids(std::span<const int32_t> of) { return {of.begin(), of.end()}; }
  Errc refused(const MetadataRecord& record) {
    const auto before = image_.to_records();
    const auto result = image_.apply(record);
    CHECK(!result.has_value(), "accepted");
    EXPECT_EQ(image_.to_records(), before) << "a refused record changed something";
    return result.error();
  }

  MetadataImage image_;
};

TEST_F(ImageBrokersTest, ARegistrationChangesInParts) {
  EXPECT_TRUE(image_.is_active(2));
  apply(image_, BrokerRegistrationChangeRecord{
                    .broker_id = 2, .broker_epoch = 20, .in_controlled_shutdown = ControlledShutdown::kEnter});
  EXPECT_FALSE(image_.is_active(2));
  EXPECT_EQ(image_.active_brokers(), (Ids{1, 3}));
  EXPECT_FALSE(image_.broker(2)->fenced);
  apply(image_, BrokerRegistrationChangeRecord{.broker_id = 2, .broker_epoch = 20, .fenced = Fenced::kFence});
  EXPECT_TRUE(image_.broker(2)->fenced);
  EXPECT_TRUE(image_.broker(2)->in_controlled_shutdown);
  apply(image_, BrokerRegistrationChangeRecord{.broker_id = 2, .broker_epoch = 20, .log_dirs = {id_of(9)}});
  EXPECT_EQ(image_.broker(2)->log_dirs, std::vector<Uuid>{id_of(9)});
  EXPECT_TRUE(image_.broker(2)->fenced) << "what is absent stays";
  EXPECT_FALSE(image_.is_active(4));
}

TEST_F(ImageBrokersTest, ARecordOfAnotherRegistrationIsRefused) {
  EXPECT_EQ(refused(BrokerRegistrationChangeRecord{.broker_id = 2, .broker_epoch = 19}), Errc::kCorrupt);
  EXPECT_EQ(refused(BrokerRegistrationChangeRecord{.broker_id = 4, .broker_epoch = 20}), Errc::kNotFound);
  EXPECT_EQ(
      refused(BrokerRegistrationChangeRecord{.broker_id = 2, .broker_epoch = 20, .fenced = static_cast<Fenced>(2)}),
      Errc::kCorrupt);
  EXPECT_EQ(refused(UnregisterBrokerRecord{.broker_id = 2, .broker_epoch = 19}), Errc::kCorrupt);
  EXPECT_EQ(refused(UnregisterBrokerRecord{.broker_id = 4, .broker_epoch = 20}), Errc::kNotFound);
  apply(image_, UnregisterBrokerRecord{.broker_id = 2, .broker_epoch = 20});
  EXPECT_EQ(image_.broker(2), nullptr);
}

TEST_F(ImageBrokersTest, MembersAreReplicasAndEachOfOneKind) {
  PartitionChangeRecord record = change(0);
  record.elr = Ids{2};
  EXPECT_EQ(refused(record), Errc::kCorrupt) << "in the ISR too";
  record.isr = Ids{1};
  record.elr = Ids{4};
  EXPECT_EQ(refused(record), Errc::kCorrupt) << "no replica";
  record.elr = Ids{2, 2};
  EXPECT_EQ(refused(record), Errc::kCorrupt);
  record.elr = Ids{2, 3};
  apply(image_, record);
  EXPECT_EQ(ids(at(0).unsettled.elr()), (Ids{2, 3}));
  EXPECT_EQ(image_.partitions_with_elr(), 1U);
  PartitionChangeRecord leader = change(0);
  leader.leader = 2;
  EXPECT_EQ(refused(leader), Errc::kCorrupt) << "eligible, but not in the ISR";
  PartitionChangeRecord state = change(0);
  state.leader_recovery_state = int8_t{2};
  EXPECT_EQ(refused(state), Errc::kCorrupt);
}

TEST_F(ImageBrokersTest, AnUncleanStopMarksTheReplicasThatAreCountedOn) {
  PartitionChangeRecord shrink = change(1);
  shrink.isr = Ids{2};
  shrink.elr = Ids{3};
  apply(image_, shrink);
  RegisterBrokerRecord again = broker(1, 11, 40);
  again.is_unverified = true;
  apply(image_, again);
  // It led one, and does not lead it on; of the other it was no member.
  EXPECT_EQ(at(0).leader, -1);
  EXPECT_EQ(at(0).leader_epoch, 1);
  EXPECT_EQ(ids(at(0).unsettled.last_known_elr()), Ids{1});
  EXPECT_EQ(at(0).isr, (Ids{1, 2, 3}));
  EXPECT_EQ(ids(at(0).unsettled.unverified()), Ids{1});
  EXPECT_TRUE(at(1).unsettled.unverified().empty());
  RegisterBrokerRecord third = broker(3, 13, 41);
  third.is_unverified = true;
  apply(image_, third);
  EXPECT_EQ(ids(at(0).unsettled.unverified()), (Ids{1, 3}));
  EXPECT_EQ(ids(at(1).unsettled.unverified()), Ids{3}) << "eligible";
  PartitionChangeRecord elected = change(0);
  elected.leader = 1;
  EXPECT_EQ(refused(elected), Errc::kCorrupt) << "unverified, it leads";
  elected.unverified = Ids{3};
  apply(image_, elected);
  // Who is no member any more is not unverified either.
  PartitionChangeRecord out = change(0);
  out.isr = Ids{1, 2};
  apply(image_, out);
  EXPECT_TRUE(at(0).unsettled.unverified().empty());
}

TEST_F(ImageBrokersTest, AnOrderlyOrQuickReturnIsANewEpochAndNothingElse) {
  apply(image_, broker(1, 11, 40));
  EXPECT_EQ(at(0).leader, 1);
  EXPECT_EQ(at(0).leader_epoch, 1);
  EXPECT_TRUE(at(0).unsettled.unverified().empty());
}

TEST_F(ImageBrokersTest, AnElrIsClearedWhereSomebodyLeads) {
  PartitionChangeRecord first = change(0);
  first.isr = Ids{1};
  first.elr = Ids{2, 3};
  first.last_known_elr = Ids{1};
  apply(image_, first);
  PartitionChangeRecord second = change(1);
  second.isr = Ids{};
  second.leader = -1;
  second.elr = Ids{1, 2, 3};
  second.last_known_elr = Ids{2};
  apply(image_, second);
  EXPECT_EQ(refused(ClearElrRecord{"other"}), Errc::kNotFound);
  MetadataImage all = image_;
  apply(image_, ClearElrRecord{"orders"});
  EXPECT_TRUE(at(0).unsettled.elr().empty());
  EXPECT_TRUE(at(0).unsettled.last_known_elr().empty());
  EXPECT_EQ(at(0).partition_epoch, 2);
  EXPECT_EQ(ids(at(1).unsettled.elr()), (Ids{1, 2, 3})) << "nobody leads: nothing is committed, and all would be lost";
  EXPECT_EQ(image_.partitions_with_elr(), 1U);
  // Of all topics: those without a setting of their own.
  apply(all, ConfigRecord{kTopicResource, "orders", "min.insync.replicas", "2"});
  apply(all, ClearElrRecord{});
  EXPECT_EQ(all.partitions_with_elr(), 2U);
  apply(all, ConfigRecord{kTopicResource, "orders", "min.insync.replicas", std::nullopt});
  apply(all, ClearElrRecord{});
  EXPECT_EQ(all.partitions_with_elr(), 1U);
}

TEST_F(ImageBrokersTest, ASnapshotHoldsAllOfIt) {
  PartitionChangeRecord record = change(0);
  record.isr = Ids{};
  record.leader = -1;
  record.removing_replicas = Ids{3};
  record.adding_replicas = Ids{2};
  record.leader_recovery_state = kRecovering;
  record.elr = Ids{1, 2};
  record.last_known_elr = Ids{1};
  record.unverified = Ids{2};
  record.directories = std::vector<Uuid>{id_of(101), id_of(102), id_of(103)};
  apply(image_, record);
  apply(image_, BrokerRegistrationChangeRecord{
                    .broker_id = 2, .broker_epoch = 20, .in_controlled_shutdown = ControlledShutdown::kEnter});
  MetadataImage rebuilt;
  for (const MetadataRecord& one : image_.to_records()) {
    const auto result = rebuilt.apply_bytes(encode(one));
    ASSERT_TRUE(result.has_value()) << to_string(result.error());
  }
  EXPECT_EQ(*rebuilt.partition("orders", 0), at(0));
  EXPECT_EQ(ids(at(0).unsettled.unverified()), Ids{2});
  EXPECT_EQ(at(0).unsettled.state().removing_replicas, Ids{3});
  EXPECT_EQ(rebuilt.brokers(), image_.brokers());
  EXPECT_EQ(rebuilt.partitions_with_elr(), 1U);
  EXPECT_EQ(rebuilt.to_records(), image_.to_records());
  apply(rebuilt, RemoveTopicRecord{id_of(1)});
  EXPECT_EQ(rebuilt.partitions_with_elr(), 0U);
}

TEST_F(ImageBrokersTest, ACopyKeepsWhatWasUnsettled) {
  PartitionChangeRecord record = change(0);
  record.isr = Ids{1};
  record.elr = Ids{2};
  apply(image_, record);
  const MetadataImage before = image_;
  record.elr = Ids{};
  apply(image_, record);
  EXPECT_EQ(ids(before.partition("orders", 0)->unsettled.elr()), Ids{2});
  EXPECT_TRUE(at(0).unsettled.elr().empty());
}

}  // namespace
}  // namespace posthaste::replication
