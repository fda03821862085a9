// The metadata log on a real engine in the simulator: a change is whole or absent after a crash at any operation, an
// append of unknown outcome ends all changes, snapshots lose nothing, keep the log small, and are found again or
// missed.
#include "replication/testing/metadata_log_fixture.h"

namespace posthaste::replication::testing {
namespace {

// A change of 600 KB is ten commits: a power cut after any operation leaves all of it or nothing.
TEST_F(MetadataLogTest, AChangeIsWholeOrAbsentWhereverThePowerGoes) {
  constexpr int32_t kPartitions = 10'000;
  run([](Core&, MetadataLog&, MetadataImage&) -> Task<void> { co_return; });
  bool absent = false;
  bool whole = false;
  for (uint32_t operations = 1; operations < 100 && !whole; ++operations) {
    bool answered = false;
    start([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
      EXPECT_EQ(image.partition_count(), 0U);
      host_->crash_after_operations(host_->operations_submitted() + operations);
      answered = (co_await log.append(topic_of(1, kPartitions))).has_value();
    });
    host_->crash_after_operations(0);
    run([&](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
      const size_t count = image.partition_count();
      EXPECT_TRUE(count == 0 || count == kPartitions) << count << " after " << operations;
      EXPECT_EQ(image.topics().size(), count == 0 ? 0U : 1U) << operations;
      if (answered) EXPECT_EQ(count, static_cast<size_t>(kPartitions)) << operations;
      absent |= count == 0 && operations > 5;
      whole |= count != 0;
      co_return;
    });
  }
  EXPECT_TRUE(absent);
  EXPECT_TRUE(whole);
}

TEST_F(MetadataLogTest, AChangeAboveTheLimitIsRefusedAndLeavesNothing) {
  run([](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    const int64_t before = log.end_offset();
    const Result<void> done = co_await log.append(topic_of(1, 200'000));
    EXPECT_FALSE(done.has_value());
    if (!done) EXPECT_EQ(done.error(), Errc::kTooLarge);
    EXPECT_EQ(log.end_offset(), before);
    EXPECT_TRUE(log.trusted());
    EXPECT_TRUE((co_await log.append(topic_of(2, 1))).has_value());
  });
}

// The block that the next commit must carry along is not there any more: whether the append will be in the log is open.
TEST_F(MetadataLogTest, AfterAnUnknownOutcomeNothingIsAppended) {
  run([](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    EXPECT_TRUE((co_await log.append(topic_of(1, 3))).has_value());
  });
  engine_options_.cache_bytes_max = 1;
  start([&](Core& core, MetadataLog& log, MetadataImage& image) -> Task<void> {
    engine_->memory_wanted();  // the start must not leave the block in memory
    co_await core.sleep(1s);
    host_->disk().add_fault(
        {.kind = reactor::OpKind::kRead, .path_contains = ".log", .error = reactor::Errc::kNotFound, .count = 100});
    const Result<void> unknown = co_await log.append(topic_of(2, 1));
    EXPECT_FALSE(unknown.has_value());
    EXPECT_FALSE(log.trusted());
    host_->disk().clear_faults();
    const int64_t end = log.end_offset();
    const Result<void> retried = co_await log.append(topic_of(2, 1));
    EXPECT_FALSE(retried.has_value());
    EXPECT_EQ(log.end_offset(), end) << "a second record of the same topic was written";
    EXPECT_FALSE(log.wants_snapshot());
    log.keep_small(image);
    co_await log.snapshot_ended();
    EXPECT_TRUE(log.snapshots().kept().empty());
    host_->kill();
    co_await core.sleep(1s);
  });
  // A restart knows: it reads the log again and goes on.
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    if (image.topic("topic-2") == nullptr) EXPECT_TRUE((co_await log.append(topic_of(2, 1))).has_value());
    EXPECT_TRUE((co_await log.append(topic_of(3, 1))).has_value());
  });
  run([](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.topics().size(), 3U);
    co_return;
  });
}

// Each life begins a snapshot and loses power somewhere in it, or later in what follows: the files that it leaves, the
// log's new start.
TEST_F(MetadataLogTest, ASnapshotLosesNothingWhereverThePowerGoes) {
  std::vector<MetadataRecord> expected = make_folder(0);
  int completed = 0;
  size_t files_most = 0;
  for (uint64_t operations = 1; operations < 80 && completed < 4; ++operations) {
    bool ended = false;
    const size_t files_before = snapshot_files().size();
    start([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
      EXPECT_EQ(image.to_records() == expected, true) << operations;
      co_await grow(log, image);
      expected = image.to_records();
      host_->crash_after_operations(host_->operations_submitted() + operations);
      log.keep_small(image);
      co_await log.snapshot_ended();
      ended = true;
    });
    host_->crash_after_operations(0);
    if (ended) ++completed;
    // A life that died before the removal of an old one was durable leaves one more.
    files_most = std::max(files_most, snapshot_files().size());
    EXPECT_LE(snapshot_files().size(), std::max<size_t>(files_before + 1, 2)) << operations;
    run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
      EXPECT_EQ(image.to_records() == expected, true) << operations;
      for (const std::string& path : snapshot_files()) EXPECT_FALSE(path.ends_with(".new")) << operations;
      if (completed >= 2) EXPECT_GT(log.start_offset(), 0);
      co_return;
    });
  }
  EXPECT_EQ(completed, 4);
  EXPECT_GT(files_most, 2U);
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> { co_await snapshot(log, image); });
  EXPECT_EQ(snapshot_files().size(), 2U) << "the next one that is finished removes them";
}

TEST_F(MetadataLogTest, OfARottenSnapshotTheOlderOneAndTheLogSayTheSame) {
  const std::vector<MetadataRecord> expected = make_folder(3);
  const std::vector<std::string> files = snapshot_files();
  ASSERT_EQ(files.size(), 2U);
  const storage::Bytes whole = *host_->disk().read_file(files[1]);
  for (size_t at = 0; at < whole.size(); at += whole.size() / 7) {
    ASSERT_TRUE(host_->disk().flip_bit(files[1], at, 3));
    expect_image(expected, fmt::format("bit at {} of {}", at, whole.size()));
    host_->disk().write_file(files[1], whole);
  }
  for (const size_t size : {size_t{0}, size_t{10}, whole.size() / 2, whole.size() - 1}) {
    host_->disk().write_file(files[1], storage::ByteView(whole).first(size));
    expect_image(expected, fmt::format("cut to {} of {}", size, whole.size()));
    host_->disk().write_file(files[1], whole);
  }
  storage::Bytes longer = whole;
  longer.push_back(std::byte{0});
  host_->disk().write_file(files[1], longer);
  run([&](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    EXPECT_EQ(log.snapshots().rotten().size(), 1U);
    co_return;
  });
  expect_image(expected, "longer than it was");
  host_->disk().write_file(files[1], whole);
  ASSERT_TRUE(host_->disk().fail_reads(files[1], 4096, 4096));
  expect_image(expected, "unreadable");
  host_->disk().write_file(files[1], whole);
  lose(files[1]);
  expect_image(expected, "gone");
}

TEST_F(MetadataLogTest, ARottenSnapshotIsReplacedByTheNextChange) {
  std::vector<MetadataRecord> expected = make_folder(3);
  const std::vector<std::string> files = snapshot_files();
  ASSERT_TRUE(host_->disk().flip_bit(files[1], 100, 0));
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_TRUE(log.wants_snapshot());
    log.keep_small(image);
    co_await log.snapshot_ended();
    EXPECT_FALSE(log.wants_snapshot());
    EXPECT_EQ(log.snapshots().kept().size(), 2U);
  });
  const std::vector<std::string> after = snapshot_files();
  ASSERT_EQ(after.size(), 2U);
  EXPECT_EQ(after[0], files[0]);
  EXPECT_GT(after[1], files[1]);
  expect_image(expected, "with a new one");
}

TEST_F(MetadataLogTest, WithoutAWholeSnapshotTheLogSpeaksIfItIsAllThere) {
  const std::vector<MetadataRecord> expected = make_folder(1);
  const std::vector<std::string> files = snapshot_files();
  ASSERT_EQ(files.size(), 1U);
  ASSERT_TRUE(host_->disk().flip_bit(files[0], 100, 0));
  expect_image(expected, "the only one is rotten");
}

TEST_F(MetadataLogTest, WithoutAWholeSnapshotALogThatBeginsLaterIsRefused) {
  make_folder(3);
  const std::vector<std::string> files = snapshot_files();
  ASSERT_EQ(files.size(), 2U);
  const storage::Bytes older = *host_->disk().read_file(files[0]);
  const storage::Bytes newer = *host_->disk().read_file(files[1]);
  for (const std::string& path : files) ASSERT_TRUE(host_->disk().flip_bit(path, 100, 0));
  const std::string rotten = refusal();
  for (const std::string& path : files) {
    EXPECT_NE(rotten.find(path.substr(path.rfind('/') + 1)), std::string::npos) << rotten;
  }
  // Each whole, under the name of the other.
  host_->disk().write_file(files[0], newer);
  host_->disk().write_file(files[1], older);
  EXPECT_NE(refusal().find("metadata-snapshots"), std::string::npos) << problem_;
  for (const std::string& path : files) lose(path);
  EXPECT_NE(refusal().find("metadata-snapshots"), std::string::npos) << problem_;
}

TEST_F(MetadataLogTest, ASnapshotThatDoesNotMeetTheLogIsRefused) {
  make_folder(2);
  const std::string old_file = snapshot_files().front();
  const storage::Bytes old_bytes = *host_->disk().read_file(old_file);
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    for (int i = 0; i < 2; ++i) co_await snapshot(log, image);
  });
  const std::vector<std::string> files = snapshot_files();
  ASSERT_EQ(files.size(), 2U);
  ASSERT_LT(old_file, files.front());
  const storage::Bytes newest = *host_->disk().read_file(files[1]);
  // One from a backup, of before the log's start.
  for (const std::string& path : files) lose(path);
  host_->disk().write_file(old_file, old_bytes);
  EXPECT_NE(refusal().find(old_file.substr(old_file.rfind('/') + 1)), std::string::npos) << problem_;
  lose(old_file);
  // One of behind the log's end: the log has lost what came before it.
  const SnapshotId ahead{.offset = 1'000'000, .epoch = 0};
  SnapshotEncoder encoder(ahead);
  storage::Bytes bytes = encoder.begin(quorum::VoterSet({kSelf}));
  const storage::Bytes trailer = encoder.finish();
  bytes.insert(bytes.end(), trailer.begin(), trailer.end());
  host_->disk().write_file("/data/metadata-snapshots/" + snapshot_file(ahead), bytes);
  host_->disk().write_file(files[1], newest);
  EXPECT_NE(refusal().find(snapshot_file(ahead)), std::string::npos) << problem_;
}

// As some builds wrote it: a piece ended behind a topic's name, and the next one began with the name again.
TEST_F(MetadataLogTest, ATopicThatASnapshotGivesAgainIsReadOnce) {
  const std::vector<MetadataRecord> expected = make_folder(1);
  SnapshotId id;
  run([&](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    id = log.snapshots().kept().back();
    co_return;
  });
  const auto topic = std::ranges::find_if(
      expected, [](const MetadataRecord& record) { return std::holds_alternative<TopicRecord>(record); });
  ASSERT_NE(topic, expected.end());
  const auto write = [&](size_t times) {
    SnapshotEncoder encoder(id);
    storage::Bytes file = encoder.begin(quorum::VoterSet({kSelf}));
    const auto extend = [&file](const storage::Bytes& frame) { file.insert(file.end(), frame.begin(), frame.end()); };
    const auto add = [&](std::span<const MetadataRecord> records) {
      while (!records.empty()) extend(encoder.piece(records));
    };
    add({expected.begin(), topic});
    for (size_t time = 0; time < times; ++time) add({topic, topic + 1});
    add({topic + 1, expected.end()});
    extend(encoder.finish());
    host_->disk().write_file(snapshot_files().at(0), file);
  };
  write(2);
  expect_image(expected, "the topic twice");
  write(0);
  EXPECT_NE(refusal(), "") << "partitions of a topic that is not there";
}

TEST_F(MetadataLogTest, WhatWasNeverFinishedIsRemovedAndOtherNamesStay) {
  const std::vector<MetadataRecord> expected = make_folder(2);
  const std::string folder = "/data/metadata-snapshots/";
  host_->disk().write_file(folder + "00000000000000099999-0000000000.snapshot.new", storage::bytes_of("half"));
  host_->disk().write_file(folder + "notes.new", storage::bytes_of("an operator's"));
  expect_image(expected, "beside an unfinished one");
  const std::vector<std::string> files = snapshot_files();
  EXPECT_EQ(files.size(), 3U);
  EXPECT_TRUE(files.back().ends_with("notes.new")) << files.back();
}

// As programs before snapshots were files wrote them: one batch, at which the log begins.
TEST_F(MetadataLogTest, ALogThatBeginsWithASnapshotOfItsOwnIsRead) {
  std::vector<MetadataRecord> expected;
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_TRUE((co_await log.append(topic_of(1, 5))).has_value());
    EXPECT_TRUE((co_await log.append({RemoveTopicRecord{id_of(1)}})).has_value());
    const int64_t begin = log.end_offset();
    std::vector<MetadataRecord> batch = {BeginTransactionRecord{"snapshot"}};
    for (const MetadataRecord& record : topic_of(2, 5)) batch.push_back(record);
    batch.emplace_back(EndTransactionRecord{});
    EXPECT_TRUE((co_await log.append(batch)).has_value());
    EXPECT_TRUE((co_await log.append({ProducerIdsRecord{1, 0, 5000}})).has_value());
    for (const MetadataRecord& record : batch) EXPECT_TRUE(image.apply(record).has_value());
    EXPECT_TRUE(image.apply(ProducerIdsRecord{1, 0, 5000}).has_value());
    expected = image.to_records();
    storage::Partition* partition = engine_->find(kMetadataTopicId.bytes, 0);
    EXPECT_TRUE((co_await partition->set_log_start(begin)).has_value());
  });
  expect_image(expected, "as it was written");
  // It goes on with files, and then without the batch.
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_GT(log.start_offset(), 0);
    for (int i = 0; i < 2; ++i) co_await snapshot(log, image);
    expected = image.to_records();
  });
  expect_image(expected, "with files");
}

TEST_F(MetadataLogTest, AnImageOf200000PartitionsIsInASnapshot) {
  constexpr uint32_t kTopics = 20;
  constexpr int32_t kPartitions = 10'000;
  std::vector<MetadataRecord> expected;
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    for (uint32_t number = 1; number <= kTopics; ++number) {
      const std::vector<MetadataRecord> change = topic_of(number, kPartitions);
      EXPECT_TRUE((co_await log.append(change)).has_value());
      for (const MetadataRecord& record : change) EXPECT_TRUE(image.apply(record).has_value());
    }
    EXPECT_TRUE(log.wants_snapshot());
    log.keep_small(image);
    co_await log.snapshot_ended();
    EXPECT_EQ(log.snapshots().kept().size(), 1U);
    EXPECT_FALSE(log.wants_snapshot());
  });
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.topics().size(), kTopics);
    EXPECT_EQ(image.partition_count(), size_t{kTopics} * kPartitions);
    EXPECT_EQ(log.snapshots().kept().back().offset + 1, log.end_offset()) << "this start has begun an epoch";
    co_return;
  });
}

TEST_F(MetadataLogTest, TheLogStaysSmallHoweverManyChangesThereWere) {
  run([this](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    int snapshots = 0;
    int64_t changes = 0;
    while (snapshots < 4 && changes < 100'000) {
      const ProducerIdsRecord record{1, 0, ++changes};
      // Few large changes instead of many small ones: what matters is bytes.
      const std::string value(20'000, 'x');
      const std::vector<MetadataRecord> change = {record, ConfigRecord{kBrokerResource, "", "key", value}};
      EXPECT_TRUE((co_await log.append(change)).has_value());
      for (const MetadataRecord& one : change) EXPECT_TRUE(image.apply(one).has_value());
      if (!log.wants_snapshot()) continue;
      log.keep_small(image);
      co_await log.snapshot_ended();
      EXPECT_FALSE(log.wants_snapshot());
      ++snapshots;
    }
    EXPECT_EQ(snapshots, 4);
    EXPECT_GT(changes, 100);
    storage::Partition* partition = engine_->find(kMetadataTopicId.bytes, 0);
    EXPECT_LT(partition->size_bytes(), 3 * kMetadataLogBytesKept);
  });
  run([](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
    EXPECT_GT(image.next_producer_id(), 100);
    EXPECT_EQ(image.broker_configs("").at("key").size(), 20'000U);
    co_return;
  });
}

}  // namespace
}  // namespace posthaste::replication::testing
