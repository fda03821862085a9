// The metadata log on a real engine in the simulator: a change is whole or absent after a crash at any operation, an
// append of unknown outcome ends all changes, snapshots lose nothing, keep the log small, and are found again or
// missed; folders of programs before the quorum go on.
#include "replication/metadata/metadata_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "reactor/check.h"
#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/codec.h"

namespace posthaste::replication {
namespace {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using reactor::simulated::HostState;

constexpr quorum::ReplicaKey kSelf{.id = 1, .directory = {.high = 7, .low = 8}};

Uuid id_of(uint32_t number) {
  Uuid id;
  id.bytes[0] = std::byte{1};
  id.bytes[1] = static_cast<std::byte>(number >> 8U);
  id.bytes[2] = static_cast<std::byte>(number);
  return id;
}

std::vector<MetadataRecord> topic_of(uint32_t number, int32_t partitions) {
  std::vector<MetadataRecord> records = {TopicRecord{fmt::format("topic-{}", number), id_of(number)}};
  for (int32_t index = 0; index < partitions; ++index) {
    PartitionRecord record;
    record.partition_id = index;
    record.topic_id = id_of(number);
    record.replicas = {1};
    record.isr = {1};
    record.leader = 1;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    records.emplace_back(record);
  }
  return records;
}

// One machine whose program opens the folder and the log, replays, runs `body`, and closes.
class MetadataLogTest : public ::testing::Test {
 protected:
  using Body = std::function<Task<void>(Core&, MetadataLog&, MetadataImage&)>;

  MetadataLogTest() {
    engine_options_.data_directory = "/data";
    engine_options_.journal_file_bytes = uint64_t{256} << 10;
    engine_options_.commit_bytes_max = uint32_t{64} << 10;
  }

  void start(Body body) {
    body_ = std::move(body);
    const reactor::HostOptions options{.cores = 1, .pool_bytes_per_core = size_t{64} << 20};
    if (host_ == nullptr) host_ = &world_.add_host(options, "10.0.0.1", {});
    host_->set_program([this](Core& core) { return life(*this, core); });
    host_->start();
    ASSERT_TRUE(world_.run_until([this] { return !host_->running(); }, 600s)) << world_.log_tail();
  }
  void run(Body body) {
    start(std::move(body));
    ASSERT_EQ(host_->state(), HostState::kStopped) << world_.log_tail();
    ASSERT_EQ(problem_, "");
  }

  static Task<void> life(MetadataLogTest& test, Core& core) {
    test.problem_.clear();
    storage::EngineHost engine_host(test.engine_options_, 1);
    const auto recovered = co_await engine_host.recover(core);
    if (!recovered) {
      test.problem_ = "recovery: " + std::string(to_string(recovered.error()));
      co_return;
    }
    const auto engine = co_await engine_host.open(core);
    CHECK(engine, "open");
    test.engine_ = *engine;
    if (test.raw_) {
      co_await test.raw_(**engine);
    } else {
      quorum::NoPeers no_peers;
      MetadataLog log(**engine, no_peers, kSelf);
      MetadataImage image;
      Result<void> done = co_await log.open();
      if (done) done = co_await log.replay(image, test.problem_);
      if (done) co_await test.body_(core, log, image);
      co_await log.stop();
    }
    co_await (*engine)->close();
    CHECK(co_await engine_host.close(core), "close");
  }

  // A folder as programs before the quorum wrote it: records of epoch 0, no vote; with a snapshot of its first
  // `in_snapshot` changes.
  void make_old_folder(const std::vector<std::vector<MetadataRecord>>& changes, size_t in_snapshot) {
    int64_t snapshot_end = 0;
    raw_ = [&](storage::Engine& engine) -> Task<void> {
      auto created = co_await engine.create_partition(
          {.topic_id = kMetadataTopicId.bytes, .topic_name = "__cluster_metadata", .partition = 0});
      CHECK(created);
      (*created)->start_epoch(0);
      for (size_t i = 0; i < changes.size(); ++i) {
        if (i == in_snapshot) snapshot_end = (*created)->end_offset();
        storage::RecordBatchBuilder builder;
        for (const MetadataRecord& record : changes[i]) builder.add({.value = storage::bytes_of(encode(record))});
        storage::Bytes batch = builder.finish();
        CHECK((*created)->append(batch, {.leader_epoch = 0, .from_client = false}, engine.core().wall_now()));
      }
      co_await engine.core().sleep(1s);
    };
    run({});
    raw_ = {};
    if (in_snapshot == 0) return;
    MetadataImage image;
    for (size_t i = 0; i < in_snapshot; ++i) {
      for (const MetadataRecord& record : changes[i]) EXPECT_TRUE(image.apply(record).has_value());
    }
    host_->disk().write_file("/data/metadata-snapshots/" + snapshot_file({.offset = snapshot_end, .epoch = 0}),
                             without_voters(snapshot_end, image.to_records()));
  }
  // A snapshot's file as those programs wrote it: version 1, which names no voters.
  static storage::Bytes without_voters(int64_t offset, const std::vector<MetadataRecord>& records) {
    SnapshotEncoder encoder({.offset = offset, .epoch = 0});
    const storage::Bytes header = encoder.begin(quorum::VoterSet({kSelf}));
    storage::Bytes payload(header.begin() + 16, header.begin() + 28);
    storage::Bytes file = storage::make_frame(storage::load_le<uint32_t>(header.data()), 1, payload);
    std::span<const MetadataRecord> rest(records);
    const storage::Bytes piece = encoder.piece(rest);
    file.insert(file.end(), piece.begin(), piece.end());
    storage::Xxh3Stream all;
    all.update(file);
    const storage::Bytes trailer = encoder.finish();
    payload.assign(trailer.begin() + 16, trailer.end() - 8);
    storage::store_le<uint64_t>(payload.data() + payload.size() - 8, all.digest_64());
    const storage::Bytes sealed = storage::make_frame(storage::load_le<uint32_t>(trailer.data()), 1, payload);
    file.insert(file.end(), sealed.begin(), sealed.end());
    return file;
  }

  // Changes one setting until a snapshot is due: much log, little image.
  static Task<void> grow(MetadataLog& log, MetadataImage& image) {
    for (int i = 0; i < 1000 && !log.wants_snapshot(); ++i) {
      const ConfigRecord record{kBrokerResource, "", "key",
                                fmt::format("{}{}", log.end_offset(), std::string(40'000, 'x'))};
      EXPECT_TRUE((co_await log.append({record})).has_value());
      EXPECT_TRUE(image.apply(record).has_value());
    }
    EXPECT_TRUE(log.wants_snapshot());
  }
  static Task<void> snapshot(MetadataLog& log, MetadataImage& image) {
    co_await grow(log, image);
    log.keep_small(image);
    co_await log.snapshot_ended();
  }
  // A folder with `snapshots` of them, and some log behind the newest; returns what is in it.
  std::vector<MetadataRecord> make_folder(int snapshots) {
    std::vector<MetadataRecord> expected;
    run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
      for (const MetadataRecord& record : topic_of(1, 3000)) EXPECT_TRUE(image.apply(record).has_value());
      EXPECT_TRUE((co_await log.append(topic_of(1, 3000))).has_value());
      for (int i = 0; i < snapshots; ++i) co_await snapshot(log, image);
      const ConfigRecord last{kTopicResource, "topic-1", "retention.ms", "7"};
      EXPECT_TRUE((co_await log.append({last})).has_value());
      EXPECT_TRUE(image.apply(last).has_value());
      expected = image.to_records();
    });
    return expected;
  }
  void expect_image(const std::vector<MetadataRecord>& expected, const std::string& what) {
    run([&](Core&, MetadataLog&, MetadataImage& image) -> Task<void> {
      EXPECT_EQ(image.to_records() == expected, true) << what;
      co_return;
    });
  }
  // A start that is refused, and why.
  std::string refusal() {
    start([](Core&, MetadataLog&, MetadataImage&) -> Task<void> {
      ADD_FAILURE() << "it was not refused";
      co_return;
    });
    return problem_;
  }
  // Paths of the snapshots, ascending.
  std::vector<std::string> snapshot_files() const {
    std::vector<std::string> paths;
    for (const std::string& path : host_->disk().all_files()) {
      if (path.find("metadata-snapshots/") != std::string::npos) paths.push_back(path);
    }
    return paths;
  }
  void lose(const std::string& lost) {
    reactor::simulated::Disk left;
    for (const std::string& path : host_->disk().all_files()) {
      if (path != lost) left.write_file(path, *host_->disk().read_file(path));
    }
    host_->disk() = std::move(left);
  }

  reactor::simulated::World world_{5};
  storage::EngineOptions engine_options_;
  reactor::simulated::Host* host_ = nullptr;
  storage::Engine* engine_ = nullptr;
  Body body_;
  std::function<Task<void>(storage::Engine&)> raw_;  // instead of `body`, on the engine alone
  std::string problem_;
};

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

// Another member says that it leads: what it may write is not in the image, even when this one leads again.
TEST_F(MetadataLogTest, WhoHasStoppedLeadingTakesNoChange) {
  run([](Core& core, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_TRUE((co_await log.append(topic_of(1, 1))).has_value());
    const int64_t end = log.end_offset();
    log.received(2, {quorum::BeginEpochRequest{.epoch = 50, .leader = 2}, {}});
    EXPECT_FALSE(log.trusted());
    EXPECT_EQ((co_await log.append(topic_of(2, 1))).error(), Errc::kDamaged);
    EXPECT_EQ(log.end_offset(), end);
    co_await core.sleep(10s);  // nobody is there: it stands, and leads
    EXPECT_EQ(log.end_offset(), end + 1) << "the beginning of its epoch";
    EXPECT_EQ((co_await log.append(topic_of(2, 1))).error(), Errc::kDamaged);
    EXPECT_FALSE(log.wants_snapshot());
    log.keep_small(image);
  });
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.topics().size(), 1U);
    EXPECT_TRUE((co_await log.append(topic_of(2, 1))).has_value());
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

// --- Folders of programs before the quorum --------------------------------------------------------------------------

TEST_F(MetadataLogTest, AFolderOfBeforeTheQuorumGoesOn) {
  make_old_folder({topic_of(1, 3), topic_of(2, 3)}, 0);
  std::vector<MetadataRecord> expected;
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.topics().size(), 2U);
    EXPECT_EQ(log.end_offset(), 10) << "who leads, who votes";
    EXPECT_TRUE((co_await log.append(topic_of(3, 1))).has_value());
    for (const MetadataRecord& record : topic_of(3, 1)) EXPECT_TRUE(image.apply(record).has_value());
    expected = image.to_records();
  });
  EXPECT_TRUE(host_->disk().read_file("/data/quorum.vote").has_value());
  expect_image(expected, "after a second start");
}

// Its snapshot stands for this broker alone; the next one says so.
TEST_F(MetadataLogTest, ASnapshotOfBeforeTheQuorumIsReadAndReplaced) {
  make_old_folder({topic_of(1, 3), topic_of(2, 3)}, 1);
  ASSERT_EQ(snapshot_files().size(), 1U);
  std::vector<MetadataRecord> expected;
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.topics().size(), 2U);
    expected = image.to_records();
    EXPECT_TRUE(log.wants_snapshot());
    log.keep_small(image);
    co_await log.snapshot_ended();
    EXPECT_FALSE(log.wants_snapshot());
  });
  ASSERT_EQ(snapshot_files().size(), 2U);
  run([&](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    EXPECT_EQ(image.to_records() == expected, true);
    EXPECT_FALSE(log.wants_snapshot()) << "it names the voters";
    co_return;
  });
}

// What cannot be used is found before a vote or a record is written.
TEST_F(MetadataLogTest, ARefusedStartWritesNeitherVoteNorRecord) {
  make_old_folder({topic_of(1, 3), {RemoveTopicRecord{id_of(9)}}}, 0);
  EXPECT_NE(refusal().find("a record at offset 4 that this version cannot apply"), std::string::npos) << problem_;
  EXPECT_FALSE(host_->disk().read_file("/data/quorum.vote").has_value());
  int64_t end = 0;
  raw_ = [&](storage::Engine& engine) -> Task<void> {
    end = engine.find(kMetadataTopicId.bytes, 0)->end_offset();
    co_return;
  };
  run({});
  EXPECT_EQ(end, 5);
}

// Snapshots are gone, and behind them there are only records of the quorum's own: not a log without topics.
TEST_F(MetadataLogTest, ALogOfControlRecordsAloneIsNotTakenForAllOfIt) {
  run([](Core&, MetadataLog& log, MetadataImage& image) -> Task<void> {
    for (int i = 0; i < 2; ++i) co_await snapshot(log, image);
  });
  int64_t newest = 0;
  run([&](Core&, MetadataLog& log, MetadataImage&) -> Task<void> {
    newest = log.snapshots().kept().back().offset;
    EXPECT_EQ(log.end_offset(), newest + 1);
    EXPECT_TRUE((co_await engine_->find(kMetadataTopicId.bytes, 0)->set_log_start(newest)).has_value());
  });
  for (const std::string& path : snapshot_files()) lose(path);
  EXPECT_NE(refusal().find("metadata-snapshots"), std::string::npos) << problem_;
}

TEST_F(MetadataLogTest, AFolderOfSeveralVotersIsRefusedAndNotWaitedFor) {
  const std::vector<MetadataRecord> records = make_folder(1);
  const std::string path = snapshot_files().at(0);
  const SnapshotId id = *snapshot_of_file(path.substr(path.rfind('/') + 1));
  SnapshotEncoder encoder(id);
  storage::Bytes file = encoder.begin(quorum::VoterSet({kSelf, {.id = 2, .directory = {.low = 3}}}));
  for (std::span<const MetadataRecord> rest(records); !rest.empty();) {
    const storage::Bytes piece = encoder.piece(rest);
    file.insert(file.end(), piece.begin(), piece.end());
  }
  const storage::Bytes trailer = encoder.finish();
  file.insert(file.end(), trailer.begin(), trailer.end());
  host_->disk().write_file(path, file);
  EXPECT_NE(refusal().find("2 voters"), std::string::npos) << problem_;
}

TEST_F(MetadataLogTest, AVoteFileOfAnotherFolderIsRefusedByName) {
  make_folder(0);
  storage::Bytes vote = *host_->disk().read_file("/data/quorum.vote");
  for (const size_t at : {size_t{0}, size_t{4096}}) vote[at + 20] ^= std::byte{1};
  host_->disk().write_file("/data/quorum.vote", vote);
  EXPECT_NE(refusal().find("/data/quorum.vote"), std::string::npos) << problem_;
}

// The vote file's two slots are written again, then the vote of the new epoch to both, then its first record to the
// journal.
TEST_F(MetadataLogTest, AStartWritesFiveTimes) {
  make_folder(1);
  size_t writes = 0;
  size_t others = 0;
  host_->on_submit([&](const reactor::Op& op, uint64_t) {
    if (op.kind == reactor::OpKind::kWrite) ++writes;
    if (op.kind == reactor::OpKind::kSync) ++others;
  });
  raw_ = [&](storage::Engine& engine) -> Task<void> {
    quorum::NoPeers no_peers;
    MetadataLog log(engine, no_peers, kSelf);
    MetadataImage image;
    EXPECT_TRUE((co_await log.open()).has_value());
    co_await engine.core().sleep(1s);
    writes = others = 0;
    EXPECT_TRUE((co_await log.replay(image, problem_)).has_value()) << problem_;
    EXPECT_EQ(writes, 5U);
    EXPECT_EQ(others, 0U);
    const size_t before = writes;
    EXPECT_TRUE((co_await log.append({ProducerIdsRecord{1, 0, 1000}})).has_value());
    EXPECT_EQ(writes - before, 1U) << "a change is one write";
    co_await log.stop();
  };
  run({});
  host_->on_submit({});
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
}  // namespace posthaste::replication
