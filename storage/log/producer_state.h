// What a partition remembers of its idempotent producers (KIP-98): enough to answer a repeated batch with its old
// offsets and to refuse a gap or a fenced epoch. A pure value: time is a parameter, it writes nothing itself. Belongs
// to the core that owns the partition. Transactions (open ones, aborted ones) are not here yet.
//
// Rules as in Kafka 4: the last 5 batches per producer are remembered; a known producer continues at last sequence + 1
// (INT32_MAX is followed by 0); a new epoch starts at 0; a producer that is not known may start anywhere, because its
// state may have expired (KIP-360), so UNKNOWN_PRODUCER_ID is never an answer to a produce. One rule more than Kafka:
// if the batch of an unknown producer is refused for a reason that passes (no room), the producer continues with that
// batch and no other. Clients have several batches in flight, and one that overtakes would shut out those before it for
// good.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "reactor/result.h"
#include "reactor/time.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage {

// Kafka's clients keep at most 5 requests in flight when idempotent: no older batch can be repeated.
inline constexpr size_t kRememberedBatches = 5;

struct ProducerLimits {
  int64_t expiration_ms = 86'400'000;  // producer.id.expiration.ms
  // Per partition. When full, a new producer takes the place of the one that was silent longest. Each run of a client
  // is a new producer, so to refuse it would lock all clients out; one that is forgotten may continue as if expired,
  // but what it repeats of its last batches is stored again.
  uint32_t max_producers = 10'000;
  friend bool operator==(const ProducerLimits&, const ProducerLimits&) = default;
};

// The producers that all partitions of one core remember, against a limit: beyond it a new one takes the place of the
// one that has not written to its partition for longest, but a partition always remembers kProducersAlways.
struct ProducerCount {
  uint64_t held = 0;
  uint64_t max = UINT64_MAX;
};
inline constexpr size_t kProducersAlways = 4;
// What one takes: its node, and its part of the encoded snapshots that a partition keeps for its table.
inline constexpr uint64_t kProducerBytes = 704;

// The answer to a batch. Only kAccepted may be appended.
struct ProducerVerdict {
  enum class Kind : uint8_t {
    kAccepted,
    kDuplicate,   // stored before, as the fields below say; answer when the high watermark passes last_offset
    kOutOfOrder,  // OUT_OF_ORDER_SEQUENCE_NUMBER
    kFenced,      // INVALID_PRODUCER_EPOCH: a newer epoch was seen
  };
  Kind kind = Kind::kAccepted;
  int64_t base_offset = -1;
  int64_t last_offset = -1;
  int64_t timestamp = kNoTimestamp;  // max timestamp of the stored batch, ms
  friend bool operator==(const ProducerVerdict&, const ProducerVerdict&) = default;
};

class ProducerState {
 public:
  // `of_core`: where its producers count; null: nowhere.
  explicit ProducerState(const ProducerLimits& limits = {}, std::shared_ptr<ProducerCount> of_core = nullptr)
      : limits_(limits), of_core_(std::move(of_core)) {}
  ProducerState(const ProducerState&) = delete;
  ProducerState& operator=(const ProducerState&) = delete;
  ProducerState(ProducerState&& other) noexcept;
  // Takes what `other` remembers, and counts it where it counted before.
  ProducerState& operator=(ProducerState&& other) noexcept;
  ~ProducerState() { clear(); }

  void set_limits(const ProducerLimits& limits) { limits_ = limits; }

  // What to do with a client's batch. Changes nothing. A batch without a producer id is kAccepted.
  ProducerVerdict check(const RecordBatchView& batch) const;

  // Takes a batch into account that has been appended, offsets as stored: after kAccepted, on a follower, or when
  // headers are replayed after a restart or truncation (no check there: the leader has done it). May evict the longest
  // silent producer when the table is full. A batch without a producer id changes nothing. Marker batches move the
  // epoch.
  void append(const RecordBatchView& batch, reactor::WallMillis now);

  // A batch for which check() would say kAccepted was not appended, for a reason that passes. Until that batch comes
  // again, no other of its producer and epoch is kAccepted. Known producers have that from what is remembered of them;
  // others are noted, in memory only: with the process its clients' flights end too.
  void refused(const RecordBatchView& batch, reactor::WallMillis now);

  // Forgets producers that were silent for expiration_ms. Cost: those that go. Returns how many.
  size_t expire(reactor::WallMillis now);

  // True if a remembered batch reaches to `offset` or beyond: truncating there needs an older snapshot and a replay of
  // the headers between it and the cut. False: the state holds as it is.
  bool reaches(int64_t offset) const;

  size_t size() const { return remembered_ == nullptr ? 0 : remembered_->by_id.size(); }
  // How many were pushed out by new ones, by append(), since this state was made.
  uint64_t pushed_out() const { return pushed_out_; }

  // One remembered producer, as DescribeProducers shows it. -1 where no batch of its epoch is remembered.
  struct Described {
    int64_t id = kNoProducerId;
    int16_t epoch = kNoProducerEpoch;
    int32_t last_sequence = kNoSequence;
    int64_t last_timestamp = kNoTimestamp;  // ms
  };
  // All that have a batch in the log, by id.
  std::vector<Described> describe() const;
  void clear();

  // The state in which all batches below `offset` count (docs/storage-format.md). Producers from the longest silent
  // to the latest: the same state gives the same bytes.
  Bytes encode(int64_t offset) const;

  struct Snapshot;
  // Errors as open_frame(), kCorrupt too for contents that no state can have. Limits are not part of it.
  static reactor::Result<Snapshot> decode(ByteView bytes, const ProducerLimits& limits);

 private:
  struct StoredBatch {
    int32_t first_sequence = 0;
    int32_t last_sequence = 0;
    int64_t base_offset = 0;
    int64_t last_offset = 0;
    int64_t timestamp = kNoTimestamp;
  };
  struct Producer {
    int64_t id = kNoProducerId;
    int16_t epoch = kNoProducerEpoch;
    uint8_t batch_count = 0;                 // oldest first
    int32_t awaited_sequence = kNoSequence;  // of the refused batch, while nothing of the producer is in the log
    std::array<StoredBatch, kRememberedBatches> batches{};
    int64_t last_seen_ms = 0;   // never decreases along the list below
    Producer* older = nullptr;  // list by last append; map nodes do not move
    Producer* newer = nullptr;

    std::span<const StoredBatch> remembered() const { return std::span(batches).first(batch_count); }
    bool is_in_log() const { return awaited_sequence == kNoSequence; }
    int32_t expected_sequence() const;
    void remember(const StoredBatch& batch);
  };

  // Most partitions never have a producer, so it is made for the first one.
  struct Remembered {
    std::map<int64_t, Producer> by_id;
    Producer* oldest = nullptr;
    Producer* newest = nullptr;
  };

  const Producer* find(int64_t id) const;
  Producer& touch(int64_t id, int64_t now_ms);
  void link_newest(Producer& producer);
  void unlink(Producer& producer);
  void forget_oldest();
  void make_room();
  void count(int64_t change);
  static reactor::Result<void> decode_producers(ByteView payload, uint32_t count, Snapshot& snapshot);

  ProducerLimits limits_;
  std::shared_ptr<ProducerCount> of_core_;
  std::unique_ptr<Remembered> remembered_;
  uint64_t pushed_out_ = 0;
};

// A decoded snapshot.
struct ProducerState::Snapshot {
  ProducerState state;
  int64_t offset = 0;  // replay headers from here on
};

// Index of the snapshot to start from when the log is cut at (or replayed up to) `cut`: the newest with offset <= cut,
// or -1 for none. `offsets` ascends.
int64_t newest_snapshot_at_or_below(std::span<const int64_t> offsets, int64_t cut);

}  // namespace posthaste::storage
