#include "replication/quorum/answers.h"

namespace posthaste::replication::quorum {

using reactor::Result;
using reactor::Task;
using storage::ReadRequest;
using storage::ReadResult;

Answers::Answers(reactor::Core& core, storage::Partition& log, SnapshotStore& snapshots, Transport& transport,
                 LeadsIn leads_in)
    : CoreOwned(core),
      log_(log),
      snapshots_(snapshots),
      transport_(transport),
      leads_in_(std::move(leads_in)),
      scope_(core) {}

void Answers::send(NodeId to, FetchResponse answer) {
  check_core();
  const Offset end = log_.end_offset();
  if (answer.fetched.offset >= end) return transport_.send(to, {std::move(answer), {}});
  const ReadRequest request{.offset = answer.fetched.offset, .max_bytes = kPayloadBytesMax, .limit_offset = end};
  if (const auto read = log_.try_read(request)) return send_read(to, std::move(answer), *read);
  if (reading_.insert(to).second) scope_.spawn_job(read_batches(to, std::move(answer), request));
}

// Nothing if they cannot be read: a leader that cannot show its log is to lose its followers.
void Answers::send_read(NodeId to, FetchResponse answer, const Result<ReadResult>& read) {
  if (!read || read->base_offset != answer.fetched.offset) return;
  transport_.send(to, {std::move(answer), storage::joined(*read)});
}

Task<void> Answers::read_batches(NodeId to, FetchResponse answer, ReadRequest request) {
  const Result<ReadResult> read = co_await log_.read(request);
  reading_.erase(to);
  if (!stopping_ && leads_in_(answer.epoch)) send_read(to, std::move(answer), read);
}

void Answers::send(NodeId to, FetchSnapshotResponse answer) {
  check_core();
  if (answer.error != FetchError::kNone) return transport_.send(to, {answer, {}});
  if (reading_.insert(to).second) scope_.spawn_job(read_piece(to, answer));
}

Task<void> Answers::read_piece(NodeId to, FetchSnapshotResponse answer) {
  Result<SnapshotPiece> piece = co_await snapshots_.read(answer.id, answer.position);
  reading_.erase(to);
  if (stopping_ || !leads_in_(answer.epoch)) co_return;
  const bool is_usable = piece && !piece->bytes.empty();
  if (!is_usable) answer.error = FetchError::kNoSnapshot;
  if (is_usable) answer.size = piece->size;
  if (is_usable) answer.bytes = piece->bytes.size();
  transport_.send(to, {answer, is_usable ? std::move(piece->bytes) : storage::Bytes()});
}

Task<void> Answers::stop() {
  check_core();
  stopping_ = true;
  co_await scope_.join();
}

}  // namespace posthaste::replication::quorum
