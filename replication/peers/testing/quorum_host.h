// A broker's member of the quorum on a simulated machine, for tests of what carries its messages: a store, the driver
// on its log, the transport and the listener between brokers, as the product has them. The machine's disk outlives the
// process. Not for the product.
#pragma once
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "reactor/simulated/world.h"
#include "replication/peers/driver_member.h"
#include "replication/peers/peer_listener.h"
#include "replication/peers/quorum_transport.h"
#include "replication/quorum/record_batches.h"
#include "replication/quorum/testing/driver_fixture.h"

namespace posthaste::replication::peers {

// What all members together may have done.
struct QuorumJudge {
  std::map<quorum::Epoch, quorum::NodeId> leaders;
  std::map<quorum::Offset, uint64_t> committed;        // by the end of each batch: a hash over all up to there
  std::map<quorum::Offset, std::string> acknowledged;  // by base offset
  std::map<quorum::Offset, std::string> read;          // of what is committed

  void leads(quorum::Epoch epoch, quorum::NodeId who) {
    const auto [leader, is_first] = leaders.try_emplace(epoch, who);
    EXPECT_TRUE(is_first || leader->second == who) << "two leaders in epoch " << epoch;
  }
  void has_committed(quorum::Offset end, uint64_t chain) {
    const auto [known, is_first] = committed.try_emplace(end, chain);
    EXPECT_TRUE(is_first || known->second == chain) << "two histories end at " << end;
  }
  // When all who run agree.
  void all_acknowledged_is_there() const {
    for (const auto& [offset, text] : acknowledged) {
      const auto found = read.find(offset);
      EXPECT_TRUE(found != read.end() && found->second == text) << text << " is not at " << offset << " any more";
    }
  }
};

class QuorumHost final : private quorum::LogUser {
 public:
  QuorumHost(reactor::Core& core, storage::Engine& engine, storage::Partition& log,
             const QuorumTransportOptions& transport, const quorum::DriverOptions& driver, QuorumJudge& judge)
      : core_(core),
        log_(log),
        judge_(judge),
        self_(driver.self.id),
        snapshots_(core, driver.folder),
        transport_(core, transport, member_),
        driver_({.engine = engine, .log = log, .snapshots = snapshots_, .transport = transport_, .user = *this},
                driver),
        listener_(core, {.cluster_id = transport.us.cluster_id}, transport_.desk()),
        news_(core),
        scope_(core) {
    member_.attach(driver_);
  }

  // From the start of the process to its end.
  reactor::Task<void> run(std::string address, QuorumHost*& is_up) {
    std::string why;
    const auto started = co_await driver_.start(why);
    CHECK(started.has_value(), "{}", why);
    if (snapshots_.kept()) take_state();
    CHECK((co_await listener_.acceptor().listen({.address = std::move(address)})).has_value());
    listener_.begin();
    transport_.start();
    scope_.spawn_job(read_loop());
    is_up = this;
    co_await core_.until_stopping();
    is_up = nullptr;
    is_over_ = true;
    news_.notify_all();
    co_await transport_.close();
    co_await listener_.stop();
    co_await driver_.stop();
    co_await scope_.join();
  }

  // From a coroutine of the host.
  void append(int count) {
    for (int i = 0; i < count; ++i) scope_.spawn_job(append_one());
  }
  void write_snapshot() { scope_.spawn_job(write_one_snapshot()); }

  const quorum::Quorum& machine() const { return driver_.quorum(); }
  const quorum::testing::FileSnapshots& snapshots() const { return snapshots_; }
  QuorumTransport& transport() { return transport_; }
  PeerListener& listener() { return listener_; }
  // How far it has read what is committed, and the hash over that.
  quorum::Offset applied() const { return applied_.offset; }
  uint64_t chain() const { return chain_; }

 private:
  // Several pieces of the store for tests.
  static constexpr size_t kStateBytes = 500;

  void committed(quorum::Offset high_watermark) override {
    target_ = high_watermark;
    news_.notify_all();
  }
  void role_changed(const quorum::RoleChanged& now) override {
    if (now.role == quorum::Role::kLeader) judge_.leads(now.epoch, self_);
  }
  void snapshot_installed(quorum::SnapshotId /*id*/) override { take_state(); }
  void failed(reactor::Errc error) override { ADD_FAILURE() << "a member has failed: " << to_string(error); }

  void take_state() {
    chain_ = storage::load_le<uint64_t>(snapshots_.state().data());
    applied_ = snapshots_.kept()->id;
    judge_.has_committed(applied_.offset, chain_);
  }
  reactor::Task<void> read_loop() {
    while (!is_over_) {
      const quorum::Offset limit = std::min(target_, log_.end_offset());
      if (limit <= applied_.offset) {
        co_await news_.wait();
        continue;
      }
      const quorum::SnapshotId from = applied_;
      const auto read = co_await log_.read({.offset = from.offset, .limit_offset = limit});
      if (applied_ != from) continue;  // a snapshot was installed meanwhile
      if (read && read->size_bytes > 0) {
        apply(storage::joined(*read));
      } else {
        co_await core_.sleep(std::chrono::milliseconds(1));
      }
    }
  }
  void apply(storage::ByteView bytes) {
    storage::BatchCursor cursor(bytes);
    while (const auto batch = cursor.next()) {
      chain_ = storage::xxh3_64(batch->records()) ^ (chain_ * 31 + static_cast<uint64_t>(batch->leader_epoch()));
      applied_ = {.offset = batch->next_offset(), .epoch = batch->leader_epoch()};
      judge_.has_committed(applied_.offset, chain_);
      if (batch->is_control()) continue;
      const auto walked = storage::walk_records(*batch, [&](const storage::RecordView& record) {
        judge_.read[batch->base_offset()] = storage::text_of(*record.value);
      });
      CHECK(walked.has_value());
    }
  }
  reactor::Task<void> append_one() {
    const std::string text = std::to_string(core_.random());
    const auto appended =
        co_await driver_.append(quorum::testing::batch_of(text), core_.now() + std::chrono::seconds(1));
    if (appended.result) judge_.acknowledged[appended.base_offset] = text;
  }
  // Of all that was read.
  reactor::Task<void> write_one_snapshot() {
    const quorum::SnapshotId id = applied_;
    if (id.offset == 0 || (snapshots_.kept() && snapshots_.kept()->id == id)) co_return;
    storage::Bytes state(kStateBytes);
    storage::store_le<uint64_t>(state.data(), chain_);
    const auto written = co_await snapshots_.write(id, machine().voters_at(id.offset), state);
    if (written && !is_over_) driver_.snapshot_written(id);
  }

  reactor::Core& core_;
  storage::Partition& log_;
  QuorumJudge& judge_;
  const quorum::NodeId self_;
  quorum::testing::FileSnapshots snapshots_;
  DriverMember member_;
  QuorumTransport transport_;
  quorum::Driver driver_;
  PeerListener listener_;
  uint64_t chain_ = 0;
  quorum::SnapshotId applied_;
  quorum::Offset target_ = 0;
  bool is_over_ = false;
  reactor::Event news_;
  reactor::TaskScope scope_;
};

// One life of the process on a machine: its store, and on it `transport.us` in the quorum.
inline reactor::Task<void> run_quorum_host(reactor::Core& core, std::string address,
                                           const QuorumTransportOptions& transport, quorum::VoterSet first_voters,
                                           QuorumJudge& judge, QuorumHost*& is_up) {
  storage::EngineOptions options;
  options.data_directory = "/data";
  options.journal_file_bytes = uint64_t{256} << 10;
  options.commit_bytes_max = uint32_t{64} << 10;
  storage::EngineHost store(options, 1);
  const auto recovered = co_await store.recover(core);
  CHECK(recovered.has_value(), "{}", store.error_text());
  const auto engine = co_await store.open(core);
  CHECK(engine.has_value());
  storage::Partition* log = (*engine)->find(storage::TopicId{}, 0);
  if (log == nullptr) log = *co_await (*engine)->create_partition({.topic_name = "quorum"});
  {
    const quorum::DriverOptions driver{.self = transport.us.self,
                                       .folder = options.data_directory,
                                       .first_voters = std::move(first_voters),
                                       .quorum = transport.quorum};
    QuorumHost host(core, **engine, *log, transport, driver, judge);
    co_await host.run(std::move(address), is_up);
  }
  co_await (*engine)->close();
  CHECK((co_await store.close(core)).has_value());
}

}  // namespace posthaste::replication::peers
