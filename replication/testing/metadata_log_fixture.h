// The metadata log on a real engine of one simulated machine, for its tests: lives that open and replay it, changes,
// snapshots, folders as earlier programs wrote them.
#pragma once
#include "replication/metadata/metadata_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "reactor/check.h"
#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/codec.h"

namespace posthaste::replication::testing {

using namespace std::chrono_literals;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using reactor::simulated::HostState;

inline constexpr quorum::ReplicaKey kSelf{.id = 1, .directory = {.high = 7, .low = 8}};

inline Uuid id_of(uint32_t number) {
  Uuid id;
  id.bytes[0] = std::byte{1};
  id.bytes[1] = static_cast<std::byte>(number >> 8U);
  id.bytes[2] = static_cast<std::byte>(number);
  return id;
}

inline std::vector<MetadataRecord> topic_of(uint32_t number, int32_t partitions) {
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

}  // namespace posthaste::replication::testing
