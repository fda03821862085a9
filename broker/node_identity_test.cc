// broker.meta: what is written comes back, any other byte is found, and older formats are read and written in the new
// one.
#include "broker/node_identity.h"

#include <gtest/gtest.h>

#include "broker/testing/simulated_broker.h"

namespace posthaste::broker::testing {
namespace {

std::string with_checksum(const std::string& lines) {
  return lines + fmt::format("checksum={:016x}\n", storage::xxh3_64(storage::bytes_of(lines)));
}

TEST(NodeIdentityTest, RoundTripAndEveryDamageIsFound) {
  NodeIdentity identity{.cluster_id = "IQYwWZj_T1yggjYdmfypkA", .node_id = 3};
  identity.directory_id.bytes[0] = std::byte{7};
  const std::string text = encode_identity(identity);
  EXPECT_EQ(decode_identity(text), identity);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_NE(decode_identity(damaged), identity) << i;
    EXPECT_FALSE(decode_identity(text.substr(0, i)).has_value()) << i;
  }
}

TEST(NodeIdentityTest, Format1IsRead) {
  const std::string text =
      "posthaste-broker-meta=1\ncluster.id=IQYwWZj_T1yggjYdmfypkA\nnode.id=3\n"
      "directory.id=AQAAAAAAAAAAAAAAAAAAAA\n";
  const auto identity = decode_identity(with_checksum(text));
  ASSERT_TRUE(identity.has_value());
  EXPECT_EQ(identity->node_id, 3);
  EXPECT_FALSE(identity->has_tables);
}

// A program that knows no snapshots of metadata, or no quorum, must not take such a folder for its own.
TEST_F(BrokerTest, AFolderOfAnOlderFormatIsReadAndSays4FromThenOn) {
  start();
  stop();
  const auto written = broker_->disk().read_file("/data/broker.meta");
  ASSERT_TRUE(written);
  const std::string today(storage::text_of(*written));
  ASSERT_TRUE(today.starts_with("posthaste-broker-meta=4\n")) << today;
  for (const char* version : {"=2", "=3"}) {
    std::string text = today;
    text.replace(text.find("=4"), 2, version);
    text = with_checksum(text.substr(0, text.find("checksum=")));
    broker_->disk().write_file("/data/broker.meta", storage::bytes_of(text));
    start();
    EXPECT_TRUE(ready_) << shared_->failure();
    stop();
    EXPECT_EQ(broker_->disk().read_file("/data/broker.meta"), written);
  }
}

TEST_F(BrokerTest, TheVoteFileIsTheBrokersOwn) {
  start();
  stop();
  EXPECT_TRUE(broker_->disk().read_file("/data/quorum.vote").has_value());
  broker_->disk().write_file("/data/quorum.vote.new", storage::bytes_of("of a start that was killed"));
  start();
  ASSERT_TRUE(ready_) << shared_->failure();
  EXPECT_EQ(report_.notes, std::vector<std::string>());
  stop();
}

}  // namespace
}  // namespace posthaste::broker::testing
