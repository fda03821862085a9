// The metadata log of a lone broker: partition __cluster_metadata-0, and how changes get into it. One change is one
// record batch, so after a crash a change is there whole or not at all. How a log is replayed and written is in
// record_log.h; this decides nothing about topics, and does not know who waits for a change.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/record_log.h"
#include "reactor/task.h"
#include "storage/engine.h"

namespace posthaste::broker {

// Records of one change, encoded: above it a change is refused. Enough for 100,000 partitions, far below what a
// partition's tail holds; Kafka's quorum has the same bound for a batch.
inline constexpr size_t kMetadataChangeBytesMax = size_t{8} << 20;
// The log is replaced by a snapshot of the image when it holds this much, and four times the last snapshot.
inline constexpr uint64_t kMetadataLogBytesKept = uint64_t{1} << 20;

// How long an append waits for room in the memory of logs. Clients wait for 30 s by default.
inline constexpr reactor::Duration kMetadataRoomPatience = std::chrono::seconds(10);

// Core 0. One append at a time: the caller takes turns. stop() must be awaited before it goes away.
class MetadataLog : private RecordLogReader {
 public:
  explicit MetadataLog(storage::Engine& engine) : engine_(engine) {}
  MetadataLog(const MetadataLog&) = delete;
  MetadataLog& operator=(const MetadataLog&) = delete;

  // Finds the partition or makes it. Once.
  reactor::Task<reactor::Result<void>> open();

  // Applies everything to `image`, which is empty, and leads from then on. On error `why` says what is wrong, for
  // people.
  reactor::Task<reactor::Result<void>> replay(MetadataImage& image, std::string& why);

  // Appends one change and returns when it is durable. kRecordTooLarge: above kMetadataChangeBytesMax, or above half of
  // the engine's tail; kNoMemory: there was no room within kMetadataRoomPatience; kNoSpace: the disk is full and what
  // is kept back for changes is used up; nothing was written. Any error after which trusted() is false: whether the
  // change will be in the log after a restart is not known, and no later append is taken (kDamaged), for it would be
  // decided on an image that may lack this one: a topic created twice, say, which no replay accepts.
  reactor::Task<reactor::Result<void>> append(const std::vector<MetadataRecord>& records);
  bool trusted() const { return trusted_; }

  // Whether the log holds so much more than the image that a snapshot pays.
  bool wants_snapshot() const;
  // Writes the image as one batch and forgets what lies before it. An image above kMetadataChangeBytesMax is left as it
  // is (kRecordTooLarge).
  reactor::Task<reactor::Result<void>> write_snapshot(const MetadataImage& image);

  int64_t end_offset() const { return partition_->end_offset(); }
  reactor::Task<void> stop();

 private:
  void begin_load() override;
  reactor::Result<void> replay(const storage::RecordView& record) override;
  reactor::Task<reactor::Result<int64_t>> append_batch(storage::Bytes batch);

  storage::Engine& engine_;
  storage::Partition* partition_ = nullptr;
  std::optional<RecordLog> log_;
  MetadataImage* loading_ = nullptr;  // while replay() runs
  bool trusted_ = true;
  uint64_t snapshot_bytes_ = 0;
};

// The metadata log's topic id, as Kafka's: never that of a user's topic.
inline constexpr Uuid kMetadataTopicId = [] {
  Uuid id;
  id.bytes[15] = std::byte{1};
  return id;
}();

}  // namespace posthaste::broker
