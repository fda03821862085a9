// The metadata log as this broker sees it: partition __cluster_metadata-0, the log of a quorum of which this broker is
// a member (quorum/driver.h), alone so far. One change is one record batch, so after a crash a change is there whole or
// not at all. It makes the image of what the log says, and keeps the log short by snapshots of that
// (metadata_snapshots.h). It decides nothing about topics, and does not know who waits for a change.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "reactor/sync.h"
#include "reactor/task.h"
#include "replication/metadata/image.h"
#include "replication/metadata/metadata_snapshots.h"
#include "replication/quorum/driver.h"
#include "storage/batch/record_reader.h"
#include "storage/engine.h"

namespace posthaste::replication {

// Records of one change, encoded: above it a change is refused. Enough for 100,000 partitions, far below what a
// partition's tail holds; Kafka's quorum has the same bound for a batch.
inline constexpr size_t kMetadataChangeBytesMax = size_t{8} << 20;
// A snapshot of the image is written when the log holds this much behind the one before it, and four times as much as
// that one.
inline constexpr uint64_t kMetadataLogBytesKept = uint64_t{1} << 20;

// How long an append waits for room in the memory of logs. Clients wait for 30 s by default.
inline constexpr reactor::Duration kMetadataRoomPatience = std::chrono::seconds(10);

// Core 0. One append at a time: the caller takes turns. stop() must be awaited before it goes away.
class MetadataLog : private quorum::LogUser {
 public:
  // `self` is the one voter of a log that names none. `transport` outlives it; of a broker that is alone it is never
  // used.
  MetadataLog(storage::Engine& engine, quorum::Transport& transport, const quorum::ReplicaKey& self);

  // Finds the partition or makes it. Once.
  reactor::Task<reactor::Result<void>> open();

  // Makes `image` what the newest whole snapshot and the log behind it say, and leads from then on. A rotten snapshot
  // is passed over if the log reaches back to the one before it, or to its first record. On error `why` says what is
  // wrong, for people, and names the file; what snapshots and log say wrongly is found before anything is written.
  reactor::Task<reactor::Result<void>> replay(MetadataImage& image, std::string& why);

  // Appends one change and returns when it is durable. kRecordTooLarge: above kMetadataChangeBytesMax, or above half of
  // the engine's tail; kNoMemory: there was no room within kMetadataRoomPatience; kNoSpace: the disk is full and what
  // is kept back for changes is used up; nothing was written. Any error after which trusted() is false: whether the
  // change will be in the log after a restart is not known, and no later append is taken (kDamaged), for it would be
  // decided on an image that may lack this one: a topic created twice, say, which no replay accepts. So it is, too,
  // once another member has led.
  reactor::Task<reactor::Result<void>> append(const std::vector<MetadataRecord>& records);
  bool trusted() const { return trusted_; }

  // From the other members, once replay() has returned: as Driver's.
  void received(quorum::NodeId from, quorum::PeerMessage message) { driver_->received(from, std::move(message)); }
  void connection_lost(quorum::NodeId peer, bool is_refused) { driver_->connection_lost(peer, is_refused); }

  // Begins a snapshot in the background if the log has grown enough since the last one, and not on a full disk: it
  // frees space in the end, but takes some first. `image` has all that was appended. The log before the older one of
  // two snapshots is deleted when the newer one is there.
  void keep_small(const MetadataImage& image);
  // For tests: whether it would, and until it has ended.
  bool wants_snapshot() const;
  reactor::Task<void> snapshot_ended();
  const MetadataSnapshots& snapshots() const { return snapshots_; }
  int64_t start_offset() const { return partition_->log_start_offset(); }

  // Since replay().
  const quorum::Quorum& quorum() const { return driver_->quorum(); }
  // Of what was appended, durable or not.
  int64_t end_offset() const { return quorum().log().end_offset(); }
  reactor::Task<void> stop();

 private:
  // quorum::LogUser
  void committed(quorum::Offset high_watermark) override;
  void role_changed(const quorum::RoleChanged& now) override;
  void snapshot_installed(quorum::SnapshotId id) override;
  void failed(reactor::Errc error) override;

  // What a start reads the log into.
  struct Loading {
    MetadataImage& image;
    bool must_begin_anew = false;  // the log's first record must be the beginning of a snapshot in the log
    int64_t refused_offset = -1;   // the record there does not apply
  };

  reactor::Task<reactor::Result<void>> load_snapshot(Loading& loading, std::string& why);
  reactor::Task<reactor::Result<void>> start_driver(Loading& loading, std::string& why);
  reactor::Task<reactor::Result<void>> lead(std::string& why);
  reactor::Result<void> apply(const storage::RecordBatchView& batch, Loading& loading);
  reactor::Result<void> apply(const storage::RecordView& record, Loading& loading);
  std::string gap(std::string_view newest) const;
  void count(uint64_t bytes) { bytes_since_snapshot_ += bytes; }
  reactor::Task<void> write_snapshot(quorum::StoredSnapshot snapshot, MetadataImage image);

  storage::Engine& engine_;
  quorum::Transport& transport_;
  const quorum::ReplicaKey self_;
  MetadataSnapshots snapshots_;
  storage::Partition* partition_ = nullptr;
  std::optional<quorum::Driver> driver_;  // since open()
  reactor::Event moved_;                  // the quorum has told something
  std::optional<reactor::Errc> failure_;  // of the quorum's part
  bool has_led_ = false;
  bool trusted_ = true;
  uint64_t bytes_since_snapshot_ = 0;
  uint64_t snapshot_at_bytes_ = kMetadataLogBytesKept;
  bool is_snapshot_old_ = false;  // it names no voters
  bool snapshot_under_way_ = false;
  bool stopping_ = false;
  reactor::TaskScope scope_;
};

// The metadata log's topic id, as Kafka's: never that of a user's topic.
inline constexpr Uuid kMetadataTopicId = [] {
  Uuid id;
  id.bytes[15] = std::byte{1};
  return id;
}();

}  // namespace posthaste::replication
