#include "tests/storage_crash/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::storage_crash {
namespace {

std::optional<std::string> compare_ends(const ModelPartition& expected, const Recovered& found, bool damage_allowed) {
  const bool is_damaged = found.damaged && damage_allowed;
  const bool is_kept = expected.acked <= found.end && found.end <= expected.end;
  const bool is_cut = expected.cut && found.end == *expected.cut;
  if (!is_kept && !is_cut && !is_damaged) {
    return fmt::format("ends at {}; acked {}, appended {}, cut under way {}", found.end, expected.acked, expected.end,
                       expected.cut.value_or(-1));
  }
  if (found.log_start < expected.log_start_acked ||
      found.log_start > std::max(expected.log_start_asked, expected.log_start_acked)) {
    return fmt::format("starts at {}; acked {}, asked for {}", found.log_start, expected.log_start_acked,
                       expected.log_start_asked);
  }
  if (found.log_start > found.end) return fmt::format("starts at {} behind its end {}", found.log_start, found.end);
  const int64_t most = std::min(std::max(expected.high_watermark, found.log_start), found.end);
  if (found.high_watermark < found.log_start || found.high_watermark > most) {
    return fmt::format("high watermark {} of {} to {}; {} was set", found.high_watermark, found.log_start, found.end,
                       expected.high_watermark);
  }
  return std::nullopt;
}

std::optional<std::string> compare_bytes(const ModelPartition& expected, const Recovered& found) {
  const int64_t readable_end = found.damaged ? std::min(found.damaged_from, found.end) : found.end;
  std::string bytes;
  int64_t first = -1;
  int64_t next = found.log_start;
  for (const ModelBatch& batch : expected.batches) {
    if (batch.next_offset <= found.log_start) continue;
    if (batch.next_offset > readable_end) break;
    if (first < 0) first = batch.base_offset;
    bytes += batch.bytes;
    next = batch.next_offset;
  }
  if (next < readable_end) return fmt::format("the model knows offsets up to {}, the log has {}", next, readable_end);
  if (first >= 0 && first != found.first_offset)
    return fmt::format("first batch at {} instead of {}", found.first_offset, first);
  if (bytes != found.bytes) {
    const auto [mine, theirs] = std::mismatch(bytes.begin(), bytes.end(), found.bytes.begin(), found.bytes.end());
    return fmt::format("bytes differ at {} of {} (found {}), offsets {} to {}", mine - bytes.begin(), bytes.size(),
                       found.bytes.size(), found.log_start, readable_end);
  }
  return std::nullopt;
}

std::optional<std::string> compare_one(const ModelPartition& expected, const Recovered& found, bool damage_allowed) {
  if (found.damaged && !damage_allowed) return fmt::format("damaged from {}: {}", found.damaged_from, found.reason);
  if (!found.complaints.empty()) return found.complaints.front();
  if (auto wrong = compare_ends(expected, found, damage_allowed)) return wrong;
  return compare_bytes(expected, found);
}

}  // namespace

void cut_model(ModelPartition& partition, int64_t end) {
  while (!partition.batches.empty() && partition.batches.back().next_offset > end) partition.batches.pop_back();
  partition.end = end;
  partition.acked = std::min(partition.acked, end);
  partition.high_watermark = std::min(partition.high_watermark, end);
  while (!partition.epochs.empty() && partition.epochs.back().second >= end) partition.epochs.pop_back();
}

std::optional<std::string> compare(const Model& model, const Image& image, bool damage_allowed) {
  for (const auto& [id, expected] : model) {
    const auto found = image.find(id);
    if (found == image.end()) {
      if (expected.life == Life::kAlive) return fmt::format("{}: acked creation, and it is gone", expected.topic_name);
      continue;
    }
    if (expected.life == Life::kDeleted) return fmt::format("{}: acked deletion, and it is back", expected.topic_name);
    if (auto wrong = compare_one(expected, found->second, damage_allowed)) {
      return fmt::format("{}: {}", expected.topic_name, *wrong);
    }
  }
  for (const auto& [id, found] : image) {
    if (!model.contains(id)) return "a partition that nobody created";
  }
  return std::nullopt;
}

void adopt_one(ModelPartition& partition, int64_t log_start, int64_t end) {
  partition.life = Life::kAlive;
  cut_model(partition, end);
  partition.acked = end;
  partition.log_start_acked = partition.log_start_asked = log_start;
  partition.cut.reset();
}

void adopt(Model& model, const Image& image) {
  std::erase_if(model, [&](const auto& entry) { return !image.contains(entry.first); });
  for (auto& [id, partition] : model) {
    const Recovered& found = image.at(id);
    adopt_one(partition, found.log_start, found.end);
  }
}

}  // namespace posthaste::storage_crash
