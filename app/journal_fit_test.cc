// A journal that does not fit on its file system is refused with the key and the largest value that fits.
#include "app/journal_fit.h"

#include <gtest/gtest.h>

#include "storage/journal/journal_stream.h"

namespace posthaste::app {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

storage::EngineOptions engine(uint64_t file_mib, uint16_t streams = 1) {
  storage::EngineOptions options;
  options.journal_file_bytes = file_mib * kMiB;
  options.streams = streams;
  return options;
}

TEST(JournalFit, WhatWasAskedForMustFitAsAWhole) {
  BrokerConfig config;
  config.journal_bytes = static_cast<int64_t>(1600 * kMiB);
  EXPECT_FALSE(journal_problem(config, engine(100), {.total_bytes = 2000 * kMiB}));
  EXPECT_FALSE(journal_problem(config, engine(100), {.total_bytes = 1600 * kMiB}));
  EXPECT_TRUE(journal_problem(config, engine(100), {.total_bytes = 1599 * kMiB}));
  EXPECT_TRUE(journal_problem(config, engine(100, 2), {.total_bytes = 2000 * kMiB}));
  config.journal_bytes = INT64_MAX;
  const auto absurd = journal_problem(config, engine(uint64_t{1} << 39, 64), {.total_bytes = 1000 * kMiB});
  ASSERT_TRUE(absurd);
  EXPECT_NE(absurd->find("posthaste.journal.bytes=9223372036854775807"), std::string::npos) << *absurd;
}

TEST(JournalFit, ADefaultJournalNeedsRoomForItsFirstFiles) {
  constexpr uint64_t kFirst = storage::JournalStream::kFilesAtStart * 8 * kMiB;
  EXPECT_FALSE(journal_problem({}, engine(8), {.total_bytes = kFirst}));
  EXPECT_TRUE(journal_problem({}, engine(8), {.total_bytes = kFirst - 1}));
}

TEST(JournalFit, AFileSystemThatIsNotKnownIsNotJudged) {
  EXPECT_FALSE(journal_problem({}, engine(uint64_t{1} << 39), {}));
}

TEST(JournalFit, AFolderThatIsNotThereYetLiesWhereItsParentDoes) {
  const std::string folder = ::testing::TempDir() + "/not/there/yet";
  EXPECT_EQ(look_at_space(folder).total_bytes, look_at_space(::testing::TempDir()).total_bytes);
  EXPECT_GT(look_at_space(folder).total_bytes, 0U);
  EXPECT_TRUE(look_at_space("/dev/shm/posthaste/that/is/not/there").in_memory);
  EXPECT_FALSE(look_at_space("/proc").in_memory);
}

}  // namespace
}  // namespace posthaste::app
