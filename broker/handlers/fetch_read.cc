#include "broker/handlers/fetch_read.h"

#include <algorithm>

#include "broker/error_codes.h"
#include "broker/handlers/on_owners.h"
#include "broker/planted_bugs.h"
#include "reactor/mail.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::RecycledDeque;
using reactor::RecycledVector;
using reactor::Result;
using reactor::Task;
using replication::Replica;

Task<void> read_entry(BrokerCore& core, Replica& replica, FetchEntry& entry, FetchBudget& budget) {
  storage::Partition& partition = replica.log();
  // At every read: the role may have ended while this reader waited, and its view of the cluster is as old as that.
  if (const Result<void> leads = replica.check_leads(entry.where.leader_epoch); !leads) {
    entry.error = error_of_other_term(leads.error(), entry.where);
    entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  entry.high_watermark = replica.high_watermark();
  entry.log_start = partition.log_start_offset();
  const int64_t offset = entry.asked->fetch_offset;
  if (entry.asked->last_fetched_epoch >= 0) {
    // The log differs from what the reader has: the answer says from where on (KIP-595).
    const storage::EpochEnd end = partition.end_offset_for_epoch(entry.asked->last_fetched_epoch);
    if (end.end_offset < 0) {
      entry.error = ErrorCode::kOffsetOutOfRange;
      entry.high_watermark = entry.log_start = -1;
      co_return;
    }
    if (end.epoch != entry.asked->last_fetched_epoch || end.end_offset < offset) {
      entry.diverges = true;
      entry.diverging = end;
      co_return;
    }
  }
  if (offset < entry.log_start || offset > partition.end_offset()) {
    entry.error = ErrorCode::kOffsetOutOfRange;
    entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  if (entry.codec_is_unknown) {
    entry.error = ErrorCode::kUnsupportedCompressionType;
    entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  const auto asked_bytes = static_cast<uint64_t>(std::max(entry.asked->partition_max_bytes, 0));
  const uint64_t bytes = std::min(asked_bytes, budget.bytes_left);
  if (offset >= entry.high_watermark) co_return;
  if (bytes == 0 && !budget.first) {
    budget.left_behind = true;
    co_return;
  }
  const storage::ReadRequest read{.offset = offset,
                                  .max_bytes = static_cast<uint32_t>(std::min<uint64_t>(bytes, UINT32_MAX)),
                                  .limit_offset = entry.high_watermark,
                                  .first_batch_whole = budget.first};
  std::optional<Result<storage::ReadResult>> result = partition.try_read(read);
  if (!result) result = co_await partition.read(read);
  if (!*result && result->error() == Errc::kNoMemory) {
    core.tell_if_readers_hold_room();
    co_return;  // nothing now; the reader asks again
  }
  if (!*result) {
    entry.error = error_code_of(result->error());
    if (entry.error == ErrorCode::kOffsetOutOfRange) entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  entry.read = std::move(**result);
  entry.read.size_bytes > 0 ? budget.first = false : budget.left_behind = true;
  budget.bytes_left -= std::min<uint64_t>(budget.bytes_left, entry.read.size_bytes);
}

// Runs on the owner core.
Task<void> read_on_owner(BrokerCore& there, const RecycledVector<FetchEntry*>& entries, size_t begin,
                         FetchBudget& budget) {
  for (size_t i = 0; i < entries.size(); ++i) {
    FetchEntry& entry = *entries[(begin + i) % entries.size()];
    if (entry.read.size_bytes > 0 || entry.error != ErrorCode::kNone) continue;  // by an earlier pass
    storage::Partition* partition = there.engine().find(entry.where.topic->id.bytes, entry.where.index);
    if (partition == nullptr) {
      entry.error = error_of_missing(there, *entry.where.topic);
      entry.high_watermark = entry.log_start = -1;
      continue;
    }
    const storage::Partition::Use use(*partition);
    co_await read_entry(there, Replica::of(*partition), entry, budget);
  }
}

// What one owner reads in a round.
struct OwnersPart {
  CoreId owner = 0;
  const RecycledVector<FetchEntry*>* entries = nullptr;
  size_t begin = 0;
  FetchBudget budget;
};

struct ReadPart {
  BrokerCore* home;
  OwnersPart* part;
  Task<void> operator()(Core& there) const {
    return read_on_owner(home->there(there), *part->entries, part->begin, part->budget);
  }
};

// All owners read at the same time what fits into an equal share of the budget, and say whether they left a partition
// out because the share was too small. Subtracts what was read from the budget.
Task<void> read_side_by_side(BrokerCore& core, RecycledVector<OwnersPart>& parts, FetchBudget& budget) {
  const FetchBudget share{.bytes_left = budget.bytes_left / parts.size(), .first = false};
  for (OwnersPart& part : parts) part.budget = share;
  co_await on_owners(core, parts, [&](OwnersPart& part) { return ReadPart{&core, &part}; });
  for (const OwnersPart& part : parts) {
    const uint64_t read = share.bytes_left - part.budget.bytes_left;
    budget.bytes_left -= read;
    if (read > 0) budget.first = false;
  }
}

}  // namespace

Task<void> give_leases_back(Core& from, FetchLeases leases) {
  auto drop = [&leases](Core&) { leases.pieces.clear(); };
  co_await reactor::on_core(from, leases.owner, std::move(drop), reactor::MessageClass::kPush);
}

// In two passes when several cores own partitions: first all at the same time, so that a core that waits for a disk
// delays no other, then one after the other those that left something out, with the rest of the budget.
Task<FetchRound> read_round(BrokerCore& core, RecycledDeque<FetchEntry>& entries, const FetchEntriesByCore& by_core,
                            uint64_t turn, FetchBudget budget) {
  for (FetchEntry& entry : entries) entry.forget();
  const uint64_t begin = reactor::planted(kBugs["later-partitions-starve"]) ? turn : turn / by_core.size();
  RecycledVector<OwnersPart> parts;
  for (size_t i = 0; i < by_core.size(); ++i) {
    const size_t owner = (turn + i) % by_core.size();
    if (!by_core[owner].empty()) parts.push_back({static_cast<CoreId>(owner), &by_core[owner], begin});
  }
  const bool is_shared = parts.size() > 1;
  if (is_shared) co_await read_side_by_side(core, parts, budget);
  for (OwnersPart& part : parts) {
    if (is_shared && !part.budget.left_behind) continue;
    part.budget = budget;
    co_await reactor::on_core(core.core(), part.owner, ReadPart{&core, &part});
    budget = part.budget;
  }
  FetchRound round;
  for (const FetchEntry& entry : entries) {
    round.bytes += entry.read.size_bytes;
    round.has_error = round.has_error || entry.error != ErrorCode::kNone || entry.diverges;
  }
  co_return round;
}

}  // namespace posthaste::broker
