// One life of a member: a real store, the real driver on it, a user that reads what is committed, writes snapshots and,
// while it leads, appends records and changes the voters. One core.
#pragma once
#include <memory>

#include "reactor/scope.h"
#include "reactor/sync.h"
#include "replication/quorum/driver.h"
#include "replication/quorum/testing/file_snapshots.h"
#include "tests/quorum/drivers_cluster.h"

namespace posthaste::quorum_model {

class DriverMember final : private quorum::LogUser, private quorum::Transport {
 public:
  // `store` outlives it.
  DriverMember(reactor::Core& core, DriversCluster& cluster, size_t number, storage::EngineHost& store);
  ~DriverMember() override;

  reactor::Task<void> run();

  // From outside of this machine's turns.
  void arrives(quorum::NodeId from, const quorum::PeerMessage& message);
  void is_refused_by(quorum::NodeId peer);
  void load_is_over() { is_load_over_ = true; }

  // Null until it has started.
  const quorum::Quorum* quorum() const { return has_started_ ? &driver_->quorum() : nullptr; }
  quorum::Offset applied() const { return applied_; }
  uint64_t chain() const { return chain_; }
  bool has_appended_last() const { return has_appended_last_; }

 private:
  // quorum::LogUser
  void committed(quorum::Offset high_watermark) override;
  void role_changed(const quorum::RoleChanged& now) override;
  void snapshot_installed(quorum::SnapshotId id) override;
  void failed(reactor::Errc error) override;
  // quorum::Transport
  void send(quorum::NodeId to, quorum::PeerMessage message) override;

  reactor::Task<void> open();
  reactor::Task<void> take(quorum::NodeId from, quorum::PeerMessage message);
  reactor::Task<void> refused(quorum::NodeId peer);
  reactor::Task<void> read_loop();
  void apply(storage::ByteView bytes);
  void take_state();
  reactor::Task<void> append_loop();
  reactor::Task<void> append(bool is_last);
  reactor::Task<void> change_voters();
  reactor::Task<void> snapshot_loop();
  bool wants_snapshot() const;

  reactor::Core& core_;
  DriversCluster& cluster_;
  const size_t number_;
  storage::EngineHost& store_;
  storage::Engine* engine_ = nullptr;
  storage::Partition* log_ = nullptr;
  std::unique_ptr<quorum::testing::FileSnapshots> snapshots_;
  std::unique_ptr<quorum::Driver> driver_;
  bool has_started_ = false;

  // The state that the log makes: a hash over all that is committed.
  uint64_t chain_ = 0;
  quorum::Offset applied_ = 0;
  quorum::Epoch applied_epoch_ = 0;
  uint64_t installs_ = 0;
  quorum::Offset target_ = 0;
  reactor::Event changed_;

  size_t appends_under_way_ = 0;
  bool is_load_over_ = false;
  bool has_appended_last_ = false;
  reactor::TaskScope tasks_;  // goes first
};

reactor::Task<void> run_member(reactor::Core& core, DriversCluster& cluster, size_t number);

}  // namespace posthaste::quorum_model
