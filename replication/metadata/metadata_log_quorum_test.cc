// The metadata log as a quorum of one: folders of programs before the quorum go on, what cannot be used is refused
// before anything is written, a start costs what is said, and who has stopped leading decides nothing.
#include "replication/testing/metadata_log_fixture.h"

namespace posthaste::replication::testing {
namespace {

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

// --- The quorum
// -------------------------------------------------------------------------------------------------------

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

}  // namespace
}  // namespace posthaste::replication::testing
