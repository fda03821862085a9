#include "replication/quorum/log_scan.h"

#include <fmt/format.h>

#include "replication/quorum/record_batches.h"

namespace posthaste::replication::quorum {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;
using storage::ByteView;
using storage::RecordBatchView;

namespace {

// One read of the log: a step of the core of some hundred microseconds.
constexpr uint32_t kScanReadBytes = uint32_t{1} << 20;

// Of the record before the end of the snapshot, if the log has it.
bool agrees_with(const storage::Partition& log, SnapshotId id) {
  if (id.offset == log.log_start_offset()) return true;
  return id.offset <= log.end_offset() && log.epochs().epoch_for(id.offset - 1) == id.epoch;
}

Result<Offset> tell(Quorum& quorum, const FoundBatch& found, ByteView bytes, Offset offset) {
  for (const Batch& batch : TRY(describe_all(bytes))) {
    if (!quorum.log().fits(batch)) return failure(Errc::kDamaged);
    if (found) TRY(found(*RecordBatchView::parse(bytes.subspan(batch.body - 1))));
    quorum.recovered(batch);
    offset = batch.end_offset();
  }
  return offset;
}

}  // namespace

// A lone voter fetches no snapshot: one of its own that its log does not reach shows that records are lost.
Task<Result<void>> join_log_to_snapshot(storage::Partition& log, const StoredSnapshot& snapshot, const ReplicaKey& self,
                                        std::string& why) {
  const Offset offset = snapshot.id.offset;
  const bool is_alone = snapshot.voters == VoterSet({self});
  const bool is_behind = offset < log.log_start_offset();
  if (!is_behind && agrees_with(log, snapshot.id)) co_return Result<void>();
  if (is_behind || is_alone || offset == 0) {
    why = fmt::format(
        "the log {}-{} holds offsets {} to {}, and its newest snapshot ends at {} in epoch {}: records are missing",
        log.topic_name(), log.partition(), log.log_start_offset(), log.end_offset(), offset, snapshot.id.epoch);
    co_return failure(Errc::kDamaged);
  }
  const Result<void> begun = co_await log.reset(offset);
  if (!begun) why = fmt::format("the log cannot begin anew at {} ({})", offset, to_string(begun.error()));
  co_return begun;
}

Task<Result<void>> scan_log(reactor::Core& core, storage::Partition& log, Quorum& quorum, const FoundBatch& found,
                            std::string& why) {
  const Offset end = log.end_offset();
  for (Offset offset = quorum.log().end_offset(); offset < end;) {
    const auto read = co_await log.read({.offset = offset, .max_bytes = kScanReadBytes, .limit_offset = end});
    Result<Offset> next = read ? tell(quorum, found, storage::joined(*read), offset) : failure(read.error());
    if (next && *next <= offset) next = failure(Errc::kDamaged);
    if (!next) {
      why = fmt::format("the log {}-{} cannot be used behind offset {} ({})", log.topic_name(), log.partition(),
                        quorum.log().end_offset(), to_string(next.error()));
      co_return failure(next.error());
    }
    offset = *next;
    co_await core.yield(reactor::CpuClass::kBackground);
  }
  co_return Result<void>();
}

}  // namespace posthaste::replication::quorum
