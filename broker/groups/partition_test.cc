// Known answers of Java's String.hashCode, so that groups land where every other Kafka tool looks for them.
#include "broker/groups/partition.h"

#include <gtest/gtest.h>

namespace posthaste::broker {
namespace {

constexpr int32_t kMany = INT32_MAX;  // shows the absolute hash itself

TEST(PartitionOfGroup, HashesAsJavaDoes) {
  EXPECT_EQ(partition_of_group("", kMany), 0);
  EXPECT_EQ(partition_of_group("a", kMany), 97);
  EXPECT_EQ(partition_of_group("hello", kMany), 99162322);
  EXPECT_EQ(partition_of_group("kitchen", kMany), 705112156);  // a negative hash: its magnitude, not its low bits
  EXPECT_EQ(partition_of_group("kitchen", 50), 6);
  // "polygenelubricants" hashes to the least int, which has no absolute value.
  EXPECT_EQ(partition_of_group("polygenelubricants", 50), 0);
}

TEST(PartitionOfGroup, WorksOnUtf16Units) {
  EXPECT_EQ(partition_of_group("\xC3\xA9", kMany), 0xE9);                          // one unit
  EXPECT_EQ(partition_of_group("\xE2\x82\xAC", kMany), 0x20AC);                    // one unit, three bytes
  EXPECT_EQ(partition_of_group("\xF0\x9F\x98\x80", kMany), 0xD83D * 31 + 0xDE00);  // a surrogate pair
  EXPECT_EQ(partition_of_group("\xFF", kMany), 0xFFFD);                            // malformed
  EXPECT_EQ(partition_of_group("\xE2\x82", kMany), 0xFFFD * 31 + 0xFFFD);          // cut short: a byte each
}

}  // namespace
}  // namespace posthaste::broker
