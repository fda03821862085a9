#include "tests/two_logs/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace posthaste::two_logs {
namespace {

std::string held_bytes(const ModelLog& log, int64_t start, int64_t end) {
  std::string bytes;
  for (const ModelBatch& batch : log.history) {
    if (batch.is_held && batch.next > start && batch.next <= end) bytes += batch.bytes;
  }
  return bytes;
}

// Epochs that a log may have forgotten: they ended below its start.
ModelEpochs without_oldest(const ModelEpochs& epochs, size_t left, int64_t start) {
  ModelEpochs rest = epochs;
  while (rest.size() > left && rest.size() > 1 && rest[1].second <= start) rest.erase(rest.begin());
  return rest;
}

}  // namespace

void start_epoch(ModelLog& log, int32_t epoch, int64_t offset) {
  if (!log.epochs.empty() && epoch <= log.epochs.back().first) return;
  std::erase_if(log.epochs, [offset](const auto& known) { return known.second >= offset; });
  log.epochs.emplace_back(epoch, offset);
}

std::pair<int32_t, int64_t> end_of_epoch(const ModelLog& log, int32_t epoch) {
  int32_t found = epoch;
  int64_t end = log.end;
  for (const auto& [known, first] : log.epochs) {
    if (known > epoch) {
      end = first;
      break;
    }
    found = known;
  }
  return {found, std::max(end, log.start)};
}

void cut(ModelLog& log, int64_t end) {
  for (const ModelBatch& batch : log.history) {
    if (batch.is_held && batch.base < end && batch.next > end) end = std::max(batch.base, log.start);
  }
  std::erase_if(log.history, [end](const ModelBatch& batch) { return batch.next > end; });
  std::erase_if(log.epochs, [end](const auto& known) { return known.second >= end; });
  log.end = end;
  log.acked = std::min(log.acked, end);
}

void reset(ModelLog& log, int64_t offset, const ModelLog& leader) {
  log = {.start = offset, .end = offset, .acked = offset};
  for (const ModelBatch& batch : leader.history) {
    if (batch.next > offset) break;
    log.history.push_back(batch);
    log.history.back().is_held = false;
  }
}

void append(ModelLog& log, ModelBatch batch) {
  log.end = batch.next;
  log.history.push_back(std::move(batch));
}

void replicate(ModelLog& log, const ModelBatch& batch, const ModelLog& leader) {
  int32_t epoch = 0;
  for (const auto& [known, first] : leader.epochs) {
    if (first <= batch.base) epoch = known;
  }
  for (const auto& [known, first] : leader.epochs) {
    if (known <= epoch) start_epoch(log, known, std::clamp(first, log.end, batch.base));
  }
  for (const ModelBatch& before : leader.history) {
    if (before.base < log.end || before.base >= batch.base) continue;
    log.history.push_back(before);
    log.history.back().is_held = false;
  }
  append(log, batch);
}

std::pair<int64_t, bool> next_cut(const ModelLog& follower, const ModelLog& leader) {
  if (follower.epochs.empty()) return {follower.end, true};
  const auto [epoch, end] = end_of_epoch(leader, follower.epochs.back().first);
  const auto [own, own_end] = end_of_epoch(follower, epoch);
  if (own != epoch) return {std::min(follower.end, own_end), false};
  return {std::min({follower.end, own_end, end}), true};
}

std::optional<std::string> parting(const ModelLog& follower, const ModelLog& leader) {
  if (follower.end > leader.end) {
    return fmt::format("the follower ends at {} behind its leader at {}", follower.end, leader.end);
  }
  const auto common = [&](const ModelLog& log) {
    std::vector<const ModelBatch*> batches;
    for (const ModelBatch& batch : log.history) {
      const bool is_common = batch.next > std::max(leader.start, follower.start) && batch.base < follower.end;
      if (is_common) batches.push_back(&batch);
    }
    return batches;
  };
  const auto mine = common(follower);
  const auto theirs = common(leader);
  for (size_t i = 0; i < std::max(mine.size(), theirs.size()); ++i) {
    if (i == mine.size()) return fmt::format("the follower misses offset {}", theirs[i]->base);
    if (i == theirs.size()) return fmt::format("the follower has offset {}, the leader never had", mine[i]->base);
    if (mine[i]->base != theirs[i]->base || mine[i]->bytes != theirs[i]->bytes) {
      return fmt::format("the follower's batch at {} is not the leader's at {}", mine[i]->base, theirs[i]->base);
    }
  }
  return std::nullopt;
}

std::optional<std::string> differs(const ModelLog& log, const Shown& shown, bool with_bytes) {
  if (shown.start != log.start) return fmt::format("starts at {} instead of {}", shown.start, log.start);
  if (shown.end != log.end) return fmt::format("ends at {} instead of {}", shown.end, log.end);
  const ModelEpochs epochs = without_oldest(log.epochs, shown.epochs.size(), log.start);
  if (shown.epochs != epochs)
    return fmt::format("epochs {} instead of {} (log from {} to {})", shown.epochs, epochs, log.start, log.end);
  if (with_bytes && shown.bytes != held_bytes(log, log.start, log.end)) {
    return fmt::format("other bytes between {} and {}", log.start, log.end);
  }
  return std::nullopt;
}

std::optional<std::string> is_left_by(ModelLog& log, int64_t start_asked, const Shown& shown) {
  const bool is_boundary =
      shown.end == log.acked || shown.end == log.end || std::ranges::any_of(log.history, [&](const ModelBatch& batch) {
        return batch.is_held && batch.next == shown.end;
      });
  if (shown.end < log.acked || shown.end > log.end || !is_boundary) {
    return fmt::format("ends at {}; acked {}, appended {}", shown.end, log.acked, log.end);
  }
  if (shown.start != log.start && shown.start != start_asked) {
    return fmt::format("starts at {}; acked {}, asked for {}", shown.start, log.start, start_asked);
  }
  if (shown.bytes != held_bytes(log, shown.start, shown.end)) {
    return fmt::format("other bytes between {} and {}", shown.start, shown.end);
  }
  // Of those that began at the end or behind it one may be known, also one that a later one has replaced there: it
  // begins at the end now.
  ModelEpochs begun;
  for (const auto& [epoch, first] : log.epochs) {
    if (first < shown.end) begun.emplace_back(epoch, first);
  }
  const bool is_later = !shown.epochs.empty() && shown.epochs.back().second == shown.end;
  if (is_later) begun.push_back(shown.epochs.back());
  begun = without_oldest(begun, shown.epochs.size(), shown.start);
  if (shown.epochs != begun)
    return fmt::format("epochs {} of {} (log from {} to {})", shown.epochs, log.epochs, shown.start, shown.end);
  cut(log, shown.end);
  log.epochs = shown.epochs;
  log.start = shown.start;
  log.acked = log.end;
  return std::nullopt;
}

}  // namespace posthaste::two_logs
