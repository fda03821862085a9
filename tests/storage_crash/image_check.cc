// Each image is recovered several times: once for what is there, then with deaths, which must change nothing of it.
#include "tests/storage_crash/image_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "tests/storage_crash/found_store.h"
#include "tests/storage_crash/recover_copy.h"
#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {
namespace {

using reactor::simulated::Disk;

constexpr uint32_t kDeathsMax = 3;               // of one recovery after another
constexpr uint64_t kRottenTableEvery = 4;        // image
constexpr uint64_t kRecoveriesAfterSigkill = 2;  // what is not durable then can be lost in more ways

// What is wrong with a store that recovered. Nobody but the store puts anything into its folder.
std::optional<std::string> find_fault(const Reader& reader, const Model& model) {
  if (reader.report.foreign > 0) return "what the store has made itself counts as somebody else's: " + reader.notes();
  return compare(model, reader.image, false);
}

// Either of two whole tables may turn out rotten, also together with a crash: the other one and the journal hold all.
std::optional<std::string> check_rotten_table(const Disk& disk, const Model& model, uint64_t seed, Counts& counts) {
  std::mt19937_64 random(seed);
  auto tables = whole_tables(disk);
  if (tables.size() < 2) return std::nullopt;
  std::ranges::sort(tables);
  const std::string& path = tables[below(random, 4) == 0 ? 0 : 1].second;  // mostly the newest
  Disk rotten(disk);
  const uint64_t bytes = rotten.stat(path)->size_bytes;
  if (!rotten.flip_bit(path, below(random, std::min<uint64_t>(bytes, 64)), static_cast<uint32_t>(below(random, 8)))) {
    return std::nullopt;
  }
  ++counts.crashes;
  const Recovery recovery = recover(rotten, seed, {});
  std::optional<std::string> wrong = recovery.failure;
  if (!wrong && recovery.reader.refused) wrong = "recovery refused: " + recovery.reader.refusal;
  if (!wrong) wrong = compare(model, recovery.reader.image, false);
  if (wrong) return fmt::format("{} was rotten too: {}", path, *wrong);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> check_image(Disk& disk, const Model& model, uint64_t seed, End end, bool decided,
                                       Image* image, Counts& counts) {
  ++counts.crashes;
  Recovery once = recover(disk, seed, {});
  if (once.failure) return once.failure;
  if (once.reader.refused) {
    return fmt::format("recovery refused: {} {}", to_string(*once.reader.refused), once.reader.refusal);
  }
  if (auto wrong = find_fault(once.reader, model)) return wrong;
  if (decided && seed % kRottenTableEvery == 0) {
    if (auto wrong = check_rotten_table(disk, model, seed, counts)) return wrong;
  }
  std::mt19937_64 random(seed);
  Recovery again;
  for (uint64_t i = 0; i < (end == End::kSigkill ? kRecoveriesAfterSigkill : 1); ++i) {
    const Deaths deaths{.left = static_cast<uint32_t>(below(random, 2) == 0 ? 1 : 2 + below(random, kDeathsMax - 1)),
                        .operations = once.operations,
                        .flushes = once.flushes,
                        .by_power = end == End::kSigkill};
    again = recover(disk, seed + 7 * (i + 1), deaths);
    counts.recrashes += again.deaths;
    if (again.failure) return fmt::format("after {} deaths in recovery: {}", again.deaths, *again.failure);
    if (again.reader.refused) {
      return fmt::format("refused after {} deaths in recovery: {}", again.deaths, again.reader.refusal);
    }
    auto wrong = find_fault(again.reader, model);
    if (wrong || (end == End::kPowerLoss && again.reader.image != once.reader.image)) {
      return fmt::format("{} deaths in recovery changed what is there: {}", again.deaths,
                         wrong.value_or("still allowed"));
    }
  }
  disk = again.disk;
  if (image != nullptr) *image = again.reader.image;
  return std::nullopt;
}

std::optional<std::string> check_torn_rewrite(const Pending& torn, uint64_t seed, Counts& counts) {
  ++counts.crashes;
  const Recovery recovery = recover(torn.disk, seed, {});
  std::optional<std::string> wrong = recovery.failure;
  if (!wrong && recovery.reader.refused) wrong = "recovery refused: " + recovery.reader.refusal;
  if (!wrong) wrong = find_fault(recovery.reader, torn.model);
  if (wrong) return fmt::format("the write-back of operation {} is torn: {}", torn.index, *wrong);
  return std::nullopt;
}

}  // namespace posthaste::storage_crash
