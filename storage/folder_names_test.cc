// Which names of a data folder are the engine's own, and that every legal topic name has a folder.
#include "storage/folder_names.h"

#include <gtest/gtest.h>

namespace posthaste::storage {
namespace {

TEST(FolderNames, EveryTopicNameThatKafkaAllowsHasAFolder) {
  EXPECT_EQ(partition_folder(".hidden", 0), ".hidden-0");
  EXPECT_EQ(partition_folder("...", 12), "...-12");
  EXPECT_EQ(partition_folder("a-1", 0), "a-1-0");
  const std::string longest(249, 'x');
  EXPECT_TRUE(partition_folder(longest, 99'999).has_value());
  EXPECT_FALSE(partition_folder(longest, 100'000).has_value()) << "256 bytes";
  for (const char* name : {"", "a/b", "a b", "lost+found", "a\n"}) EXPECT_FALSE(partition_folder(name, 0)) << name;
  EXPECT_FALSE(partition_folder("t", -1));
}

TEST(FolderNames, NoTopicTakesAnotherNameOfTheEngine) {
  for (const char* topic : {"journal", "table-0.snap", ".lock", ".17.deleted", ".1-2.deleted", "broker.meta"}) {
    const std::string folder = *partition_folder(topic, 0);
    EXPECT_FALSE(is_engine_entry(folder) || is_deleted_folder(folder)) << folder;
    EXPECT_TRUE(is_partition_folder(folder)) << folder;
    EXPECT_FALSE(is_partition_folder(topic)) << topic;
  }
}

TEST(FolderNames, NoPartitionHasANumberThatNoTopicCanHave) {
  EXPECT_TRUE(partition_folder("a", kPartitionsOfTopicMax - 1).has_value());
  EXPECT_FALSE(partition_folder("a", kPartitionsOfTopicMax).has_value());
  EXPECT_FALSE(partition_folder("a", INT32_MAX).has_value());
  EXPECT_FALSE(is_partition_folder("a-2147483647"));
}

TEST(FolderNames, OnlyWhatTheEngineNamesIsItsOwn) {
  EXPECT_TRUE(is_deleted_folder(deleted_folder(17)));
  EXPECT_TRUE(is_deleted_folder(deleted_folder(3, 1)));
  for (const char* name :
       {".backup.deleted", ".deleted", ".1-.deleted", "1.deleted", ".1.deleted.old", ".1-2-3.deleted"}) {
    EXPECT_FALSE(is_deleted_folder(name)) << name;
  }
  for (const char* name : {"orders", "orders-", "orders-01", "orders--1x", "or ders-1", "-1"}) {
    EXPECT_FALSE(is_partition_folder(name)) << name;
  }
  EXPECT_EQ(segment_file_base(segment_file(42, "log")), 42);
  for (const char* name : {"42.log", "00000000000000000042.txt", "00000000000000000042", "0000000000000000004x.log",
                           "-0000000000000000042.log", "99999999999999999999.log"}) {
    EXPECT_FALSE(segment_file_base(name).has_value()) << name;
  }
}

TEST(FolderNames, AListOfNamesIsShortWhateverTheyHold) {
  EXPECT_EQ(some_of({"a", "b\n"}), "'a', 'b?'");
  const std::string text = some_of(std::vector<std::string>(1'000, std::string(255, 'x')));
  EXPECT_LT(text.size(), 700U);
  EXPECT_TRUE(text.ends_with(" and 992 more")) << text;
}

}  // namespace
}  // namespace posthaste::storage
