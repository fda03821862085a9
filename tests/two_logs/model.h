// What two logs of one partition hold when one follows the other, as KIP-101 and KIP-279 say: a pure model, written
// apart from storage/ so that both can be wrong only in different ways. It has no disk; what a crash may leave of a log
// is a question to it (is_left_by).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace posthaste::two_logs {

struct ModelBatch {
  int64_t base = 0;
  int64_t next = 0;
  std::string bytes;    // offset and epoch in them
  bool is_held = true;  // false: of its history, but removed by a leader before it came here, or below a reset
};

using ModelEpochs = std::vector<std::pair<int32_t, int64_t>>;  // epoch, first offset

struct ModelLog {
  int64_t start = 0;
  int64_t end = 0;
  int64_t acked = 0;                // durable, as the log has said
  std::vector<ModelBatch> history;  // all up to the end, without a hole
  ModelEpochs epochs;
};

// What a log shows.
struct Shown {
  int64_t start = 0;
  int64_t end = 0;
  ModelEpochs epochs;
  std::string bytes;  // of the batches from the start on
};

void start_epoch(ModelLog& log, int32_t epoch, int64_t offset);
// The largest epoch at or below this one, and where it ends.
std::pair<int32_t, int64_t> end_of_epoch(const ModelLog& log, int32_t epoch);
void cut(ModelLog& log, int64_t end);
// Empty at an offset of the leader's history.
void reset(ModelLog& log, int64_t offset, const ModelLog& leader);
void append(ModelLog& log, ModelBatch batch);
// A batch that the leader holds arrives with what the leader's log knows before it.
void replicate(ModelLog& log, const ModelBatch& batch, const ModelLog& leader);
// Where the follower cuts next; false: and asks again.
std::pair<int64_t, bool> next_cut(const ModelLog& follower, const ModelLog& leader);

// Nothing, or how the two differ below the follower's end and above the leader's start: never after the last cut.
std::optional<std::string> parting(const ModelLog& follower, const ModelLog& leader);
// Nothing, or what is not as the model says: exactly, of a log that lives.
std::optional<std::string> differs(const ModelLog& log, const Shown& shown, bool with_bytes);
// Whether a crash may have left that: all that was acked, whole batches up to some place behind it, and the epochs that
// began there; another start only if it was asked for. Makes the log what was left if so.
std::optional<std::string> is_left_by(ModelLog& log, int64_t start_asked, const Shown& shown);

}  // namespace posthaste::two_logs
