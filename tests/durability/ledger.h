// What the producers of the durability test sent and what was acknowledged, and the comparison of that with what a
// broker gives back after it was killed. It knows no broker and no clock; it is the checker of the test and has tests
// of its own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace posthaste::durability {

// A record's identity: the producer that sent it, and its count over all partitions.
struct RecordId {
  uint32_t producer = 0;
  uint32_t sequence = 0;
  friend auto operator<=>(RecordId, RecordId) = default;
};

// The value of a record: its id, and as many bytes that follow from it. A reader can check every byte.
std::string value_of(RecordId id, size_t size);
// The id, when `value` is exactly the value of a record.
std::optional<RecordId> parse_value(std::string_view value);

// Every method may be called from any thread.
class Ledger {
 public:
  explicit Ledger(int32_t partitions) : partitions_(static_cast<size_t>(partitions)) {}

  // Before the record is handed to the producer.
  void sent(int32_t partition, RecordId id);
  // The broker acknowledged it there.
  void acknowledged(int32_t partition, int64_t offset, RecordId id);

  uint64_t sent_count() const;
  uint64_t acknowledged_count() const;

  // Compares what a reader found in a partition, from its first record to its end, with what was sent. Offsets must
  // start at 0 without a gap (nothing is deleted in this test and idempotent producers write no control records); each
  // value whole; each record sent there; none twice; every acknowledged one at its offset; of each producer the records
  // in order and without a hole. Returns one line per kind of mistake, empty when all is well.
  struct Found {
    int64_t offset = 0;
    std::optional<RecordId> id;  // nothing: the value was damaged
  };
  std::vector<std::string> compare(int32_t partition, const std::vector<Found>& log) const;

 private:
  struct Partition {
    std::map<uint32_t, std::vector<uint32_t>> sent;  // sequences by producer, in the order of sending
    std::map<int64_t, RecordId> acknowledged;
    std::vector<std::string> mistakes;  // seen while it was written: an offset acknowledged twice
  };
  mutable std::mutex mutex_;
  std::vector<Partition> partitions_;
  uint64_t sent_ = 0;
  uint64_t acknowledged_ = 0;
};

}  // namespace posthaste::durability
