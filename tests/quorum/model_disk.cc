// What of a vote and a log survives.
#include "tests/quorum/model_disk.h"

#include <algorithm>

#include "reactor/check.h"
#include "reactor/simulated/random.h"

namespace posthaste::quorum_model {

using reactor::simulated::mix64;

uint64_t chain_of(uint64_t before, const quorum::Batch& batch) {
  uint64_t chain = mix64(before ^ static_cast<uint64_t>(batch.base_offset));
  chain = mix64(chain ^ (static_cast<uint64_t>(batch.epoch) << 32U) ^ static_cast<uint64_t>(batch.count));
  chain = mix64(chain ^ batch.body ^ (static_cast<uint64_t>(batch.kind) << 56U));
  for (const quorum::ReplicaKey& voter : batch.voters) {
    chain = mix64(chain ^ voter.directory.low ^ (static_cast<uint64_t>(voter.id) << 40U));
  }
  return chain;
}

const quorum::VoterSet& Log::voters() const {
  for (auto at = entries.rbegin(); at != entries.rend(); ++at) {
    if (at->batch.kind == quorum::BatchKind::kVoters) return at->batch.voters;
  }
  return snapshot->voters;
}

const Entry* Log::ending_at(Offset end) const {
  const auto found =
      std::ranges::lower_bound(entries, end, {}, [](const Entry& entry) { return entry.batch.end_offset(); });
  return found != entries.end() && found->batch.end_offset() == end ? &*found : nullptr;
}

size_t Log::index_from(Offset offset) const {
  const auto found =
      std::ranges::lower_bound(entries, offset, {}, [](const Entry& entry) { return entry.batch.base_offset; });
  return static_cast<size_t>(found - entries.begin());
}

void Log::truncate(Offset to) {
  while (!entries.empty() && entries.back().batch.end_offset() > to) entries.pop_back();
}

void Log::begin_at(std::shared_ptr<const Snapshot> from) {
  const size_t gone = index_from(from->id.offset);
  entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(gone));
  snapshot = std::move(from);
}

void Disk::complete_vote() {
  vote = votes_under_way.front().vote;
  votes_under_way.pop_front();
}

void Disk::complete_log() {
  LogWrite& write = writes_under_way.front();
  if (auto* append = std::get_if<AppendWrite>(&write.what)) {
    for (Entry& entry : append->entries) {
      CHECK(entry.batch.base_offset == log.end());
      log.entries.push_back(std::move(entry));
    }
  } else if (const auto* cut = std::get_if<TruncateWrite>(&write.what)) {
    log.truncate(cut->to);
  } else {
    log.entries.clear();
    log.snapshot = std::get<InstallWrite>(write.what).snapshot;
  }
  writes_under_way.pop_front();
}

void Disk::crash(size_t votes, size_t writes) {
  for (; votes > 0; --votes) complete_vote();
  for (; writes > 0; --writes) complete_log();
  votes_under_way.clear();
  writes_under_way.clear();
}

void Disk::take(std::shared_ptr<const Snapshot> snapshot) {
  if (snapshot->id.offset > log.snapshot->id.offset) log.begin_at(std::move(snapshot));
}

}  // namespace posthaste::quorum_model
