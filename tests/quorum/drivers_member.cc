#include "tests/quorum/drivers_member.h"

#include <fmt/format.h>

#include <charconv>

#include "reactor/check.h"
#include "replication/quorum/log_scan.h"
#include "replication/quorum/record_batches.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/batch/record_reader.h"
#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::quorum_model {

using quorum::Driver;
using reactor::Core;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

// So that appends of several lie on the disk, or are cut, together.
constexpr size_t kAppendsUnderWayMax = 4;

storage::EngineOptions small_store() {
  storage::EngineOptions options;
  options.data_directory = "/data";
  options.journal_file_bytes = 4096 * 40;
  options.journal_files = 4;
  options.commit_bytes_max = 64 << 10;
  options.staging_bytes = 16 * 4096;
  options.tail_bytes_max = 512 << 10;
  options.cache_bytes_max = 512 << 10;
  options.reserve_bytes_max = 64 << 10;
  return options;
}

storage::Bytes batch_of(uint64_t payload, size_t filler) {
  storage::RecordBatchBuilder builder;
  const std::string value = std::to_string(payload);
  const std::string more(filler, 'x');
  builder.add({.timestamp = 1, .key = storage::bytes_of(more), .value = storage::bytes_of(value)});
  return builder.finish();
}

std::optional<uint64_t> payload_of(const storage::RecordBatchView& batch) {
  if (batch.is_control()) return std::nullopt;
  std::optional<uint64_t> payload;
  const auto read = storage::walk_records(batch, [&](const storage::RecordView& record) {
    const std::string_view text = storage::text_of(*record.value);
    std::from_chars(text.data(), text.data() + text.size(), payload.emplace());
  });
  CHECK(read.has_value());
  return payload;
}

}  // namespace

DriverMember::DriverMember(Core& core, DriversCluster& cluster, size_t number, storage::EngineHost& store)
    : core_(core), cluster_(cluster), number_(number), store_(store), changed_(core), tasks_(core) {
  cluster_.members()[number_] = this;
}

DriverMember::~DriverMember() { cluster_.members()[number_] = nullptr; }

Task<void> DriverMember::run() {
  co_await open();
  if (!has_started_) co_return;
  tasks_.spawn_job(read_loop());
  tasks_.spawn_job(append_loop());
  tasks_.spawn_job(snapshot_loop());
  co_await tasks_.join();
}

Task<void> DriverMember::open() {
  const auto recovered = co_await store_.recover(core_);
  CHECK(recovered.has_value(), "no store: {}", store_.error_text());
  engine_ = *co_await store_.open(core_);
  log_ = engine_->find(storage::TopicId{}, 0);
  if (log_ == nullptr) log_ = *co_await engine_->create_partition({.topic_name = "quorum"});
  storage::LogConfig config;
  config.segment_bytes = 16 << 10;
  log_->set_config(config);
  snapshots_ = std::make_unique<quorum::testing::FileSnapshots>(core_, "/data");
  quorum::DriverOptions options{.self = DriversCluster::key_of(number_), .folder = "/data"};
  const bool is_voter = number_ < cluster_.options().voters;
  if (is_voter) options.first_voters = cluster_.first_voters();
  options.is_unverified = cluster_.is_unverified()[number_];
  for (size_t i = 0; i < cluster_.members().size(); ++i) options.quorum.bootstrap.push_back(static_cast<int32_t>(i));
  driver_ = std::make_unique<Driver>(Driver::Parts{*engine_, *log_, *snapshots_, *this, *this}, std::move(options));
  std::string why;
  const Result<void> started = co_await driver_->start(why);
  if (!started) co_return cluster_.checker().fail("a member cannot start: " + why);
  cluster_.is_unverified()[number_] = false;
  if (snapshots_->kept() && applied_ < snapshots_->kept()->id.offset) take_state();
  has_started_ = true;
}

// --- The network -----------------------------------------------------------------------------------------------------

void DriverMember::send(quorum::NodeId to, quorum::PeerMessage message) {
  cluster_.send(number_, to, std::move(message));
}

void DriverMember::arrives(quorum::NodeId from, const quorum::PeerMessage& message) {
  if (!has_started_) return;
  tasks_.spawn_job(take(from, message));
  cluster_.host(number_).wake(0);
}

void DriverMember::is_refused_by(quorum::NodeId peer) {
  if (!has_started_) return;
  tasks_.spawn_job(refused(peer));
  cluster_.host(number_).wake(0);
}

Task<void> DriverMember::take(quorum::NodeId from, quorum::PeerMessage message) {
  const quorum::Offset end = driver_->quorum().log().end_offset();
  driver_->received(from, std::move(message));
  if (driver_->quorum().log().end_offset() < end) ++cluster_.counts().cuts;
  co_return;
}

Task<void> DriverMember::refused(quorum::NodeId peer) {
  driver_->connection_lost(peer, true);
  co_return;
}

// --- The user of the log ---------------------------------------------------------------------------------------------

void DriverMember::committed(quorum::Offset high_watermark) {
  if (high_watermark < target_) cluster_.checker().fail("what is committed goes back");
  target_ = high_watermark;
  changed_.notify_all();
}

void DriverMember::role_changed(const quorum::RoleChanged& now) {
  if (now.role == quorum::Role::kLeader) cluster_.became_leader(number_, now.epoch);
}

void DriverMember::snapshot_installed(quorum::SnapshotId id) {
  ++cluster_.counts().installs;
  ++installs_;
  if (id.offset < applied_) cluster_.checker().fail("a snapshot is installed that is older than what is committed");
  take_state();
}

void DriverMember::failed(Errc error) {
  cluster_.checker().fail(fmt::format("member {} has failed: {}", number_, to_string(error)));
}

void DriverMember::take_state() {
  chain_ = storage::load_le<uint64_t>(snapshots_->state().data());
  applied_ = snapshots_->kept()->id.offset;
  applied_epoch_ = snapshots_->kept()->id.epoch;
}

Task<void> DriverMember::read_loop() {
  for (;;) {
    if (applied_ >= target_) {
      co_await changed_.wait();
      continue;
    }
    const uint64_t installs = installs_;
    // A driver that tells of more than is here is to be found out by what is read, not by a read without an end.
    const quorum::Offset limit = std::min(target_, log_->end_offset());
    if (limit > applied_) {
      const auto read = co_await log_->read({.offset = applied_, .limit_offset = limit});
      if (installs != installs_) continue;
      if (read && read->size_bytes > 0) apply(storage::joined(*read));
      if (read && read->size_bytes > 0) continue;
    }
    co_await core_.sleep(10ms);
  }
}

void DriverMember::apply(storage::ByteView bytes) {
  auto batches = quorum::describe_all(bytes);
  CHECK(batches.has_value());
  Log read{.snapshot = std::make_shared<Snapshot>(Snapshot{.id = {.offset = applied_}}), .entries = {}};
  const quorum::Offset from = applied_;
  for (quorum::Batch& batch : *batches) {
    const auto view = *storage::RecordBatchView::parse(bytes.subspan(batch.body - 1));
    if (const auto payload = payload_of(view)) cluster_.committed(batch.base_offset, *payload);
    batch.body = storage::xxh3_64(view.records());
    chain_ = chain_of(chain_, batch);
    applied_ = batch.end_offset();
    applied_epoch_ = batch.epoch;
    read.entries.push_back({std::move(batch), chain_});
  }
  cluster_.checker().committed(DriversCluster::key_of(number_), driver_->quorum().epoch(), read, from, applied_);
}

// --- Snapshots -------------------------------------------------------------------------------------------------------

bool DriverMember::wants_snapshot() const {
  const quorum::LogView& log = driver_->quorum().log();
  return applied_ - log.start_offset() >= cluster_.options().snapshot_every && applied_ <= log.durable_offset();
}

Task<void> DriverMember::snapshot_loop() {
  for (;;) {
    co_await core_.sleep(50ms);
    if (!wants_snapshot()) continue;
    const quorum::SnapshotId id{.offset = applied_, .epoch = applied_epoch_};
    const quorum::VoterSet voters = driver_->quorum().voters_at(applied_);
    // Of several pieces.
    storage::Bytes state(300);
    storage::store_le<uint64_t>(state.data(), chain_);
    if (!co_await snapshots_->write(id, voters, state)) continue;
    ++cluster_.counts().snapshots;
    driver_->snapshot_written(id);
  }
}

// --- Clients ---------------------------------------------------------------------------------------------------------

Task<void> DriverMember::append_loop() {
  for (;;) {
    co_await core_.sleep(std::chrono::milliseconds(1 + core_.random() % 30));
    const bool leads = driver_->quorum().role() == quorum::Role::kLeader;
    if (!leads || appends_under_way_ >= kAppendsUnderWayMax || has_appended_last_) continue;
    ++appends_under_way_;
    tasks_.spawn_job(append(is_load_over_));
    const uint64_t change_every = cluster_.options().change_every;
    if (!is_load_over_ && change_every > 0 && core_.random() % change_every == 0) tasks_.spawn_job(change_voters());
  }
}

Task<void> DriverMember::append(bool is_last) {
  const uint64_t payload = cluster_.next_payload();
  ++cluster_.counts().appends;
  storage::Bytes batch = batch_of(payload, core_.random() % 8 == 0 ? 3000 : 10);
  const Driver::Appended appended = co_await driver_->append(std::move(batch), core_.now() + 1s);
  --appends_under_way_;
  if (appended.result) cluster_.acknowledged(appended.base_offset, payload);
  if (!appended.result && appended.base_offset != quorum::kNoOffset) ++cluster_.counts().in_doubt;
  has_appended_last_ |= is_last && appended.result.has_value();
}

Task<void> DriverMember::change_voters() {
  const quorum::ReplicaKey key = DriversCluster::key_of(core_.random() % cluster_.members().size());
  const bool is_voter = driver_->quorum().voters().contains(key);
  const Driver::Changed changed = is_voter ? co_await driver_->remove_voter(key) : co_await driver_->add_voter(key);
  if (changed.refusal == quorum::Refusal::kNone && changed.result) ++cluster_.counts().changes;
}

Task<void> run_member(Core& core, DriversCluster& cluster, size_t number) {
  storage::EngineHost store(small_store(), 1);
  DriverMember member(core, cluster, number, store);
  co_await member.run();
}

}  // namespace posthaste::quorum_model
