// The reference that the storage engine is compared with: what was appended, what was acknowledged, what was cut or
// deleted, and what of that is still under way. It has no journal, no blocks and no recovery; it only remembers.
// Invariants S1 to S10 of the design, seen from outside: after any crash a log holds every acknowledged byte at its
// offset, nothing that a durable truncation removed, nothing that was never appended, and no older start or end.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/log/log_types.h"

namespace posthaste::storage_crash {

// A batch as the engine stored it, offset and epoch patched in.
struct ModelBatch {
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  std::string bytes;
  int64_t producer_id = -1;
  int32_t sequence = -1;
};

enum class Life : uint8_t { kCreating, kAlive, kDeleting, kDeleted };

struct ModelPartition {
  Life life = Life::kCreating;
  std::string topic_name;
  std::deque<ModelBatch> batches;  // from some offset <= log start to the end, without holes
  int64_t end = 0;
  int64_t acked = 0;                                // durable, as the engine said
  int64_t log_start_acked = 0;                      // likewise
  int64_t log_start_asked = 0;                      // a request for it may be under way
  int64_t high_watermark = 0;                       // the last one set
  std::optional<int64_t> cut;                       // a truncation to this end is under way
  std::vector<std::pair<int32_t, int64_t>> epochs;  // leader epoch, first offset
};

// What a recovered engine shows of one partition.
struct Recovered {
  int64_t log_start = 0;
  int64_t end = 0;
  int64_t high_watermark = 0;
  bool damaged = false;
  int64_t damaged_from = 0;
  std::string reason;
  std::string bytes;                    // of whole batches from log start on
  int64_t first_offset = 0;             // of the first batch in `bytes`
  std::vector<std::string> complaints;  // what the reader itself found wrong
  friend bool operator==(const Recovered&, const Recovered&) = default;
};

using Model = std::map<storage::TopicId, ModelPartition>;
using Image = std::map<storage::TopicId, Recovered>;

// Drops what lies at or above `end`.
void cut_model(ModelPartition& partition, int64_t end);

// The first difference between what is allowed and what is there, or nothing. `damage_allowed`: rot was planted, so a
// partition may be refused from some offset on, but what is served must be right and nothing may be shorter unsaid.
std::optional<std::string> compare(const Model& model, const Image& image, bool damage_allowed);

// What was under way in one partition is now decided: it starts and ends there.
void adopt_one(ModelPartition& partition, int64_t log_start, int64_t end);

// The model as it continues after a recovery that compare() found right.
void adopt(Model& model, const Image& image);

}  // namespace posthaste::storage_crash
