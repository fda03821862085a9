// What a broker of the tests' cluster shows the judge: its logs, read as far as they have grown since the last look,
// and from the start after each cut.
#include "storage/engine.h"
#include "tests/streams/node.h"

namespace posthaste::streams {

using reactor::Task;
using rig::ReplicaRecord;
using rig::ReplicaState;
using namespace std::chrono_literals;

namespace {

constexpr reactor::Duration kLookEvery = 30ms;
constexpr uint32_t kBytesPerRead = 128 << 10;

}  // namespace

ReplicaState Node::positions(uint32_t number) const {
  ReplicaState state{.replica = id_};
  if (!is_open()) return state;
  const replication::Replica& replica = *partitions_[number].replica;
  const storage::Partition& log = partitions_[number].replica->log();
  state.leader_epoch = replica.term().leader_epoch;
  state.leads = replica.role() == replication::Role::kLeader;
  state.log_start = log.log_start_offset();
  state.durable = log.durable_offset();
  state.end = log.end_offset();
  state.high_watermark = replica.high_watermark();
  return state;
}

bool Node::is_quiet(uint32_t partition, int64_t end) const {
  const ReplicaState state = positions(partition);
  return is_open() && state.end == end && state.durable == end && state.high_watermark == end;
}

uint64_t Node::changes() const {
  const replication::stream::FollowerStats stats = manager_->follower_stats();
  return stats.cuts + stats.resets;
}

Task<void> Node::look_loop() {
  for (;;) {
    for (uint32_t i = 0; i < partitions_.size(); ++i) {
      if (partitions_[i].replica == nullptr) continue;
      if (!co_await catch_up(partitions_[i].replica->log(), partitions_[i].view)) continue;
      ReplicaState state = positions(i);
      state.log = partitions_[i].view.records;
      cluster_.checker(i).observe(state);
    }
    count_stats();
    co_await core_.sleep(kLookEvery);
  }
}

Task<void> Node::read_all(uint32_t partition, std::vector<ReplicaRecord>& into) {
  View view;
  while (!co_await catch_up(partitions_[partition].replica->log(), view)) co_await core_.sleep(kLookEvery);
  into = std::move(view.records);
}

// True: `view` is the log of this moment.
Task<bool> Node::catch_up(storage::Partition& log, View& view) {
  const auto is_whole = [&] { return view.read_to == log.end_offset() && view.changes == changes(); };
  for (;;) {
    if (view.changes != changes() || view.read_to > log.end_offset()) {
      view.records.clear();
      view.read_to = 0;
      view.changes = changes();
    }
    if (is_whole()) break;
    const int64_t from = std::max(view.read_to, log.log_start_offset());
    if (from == log.end_offset()) {
      view.read_to = from;
      continue;
    }
    const auto read = co_await log.read({.offset = from, .max_bytes = kBytesPerRead, .limit_offset = log.end_offset()});
    if (!read || view.changes != changes()) co_return false;
    const storage::Bytes bytes = storage::joined(*read);
    storage::BatchCursor cursor(bytes);
    while (const auto batch = cursor.next()) {
      view.records.push_back({batch->base_offset(), batch->leader_epoch(), hash_of(batch->bytes())});
    }
    view.read_to = read->next_offset;
  }
  const int64_t log_start = log.log_start_offset();
  std::erase_if(view.records, [&](const ReplicaRecord& record) { return record.offset < log_start; });
  co_return is_whole();
}

// What the streams have counted since the last time.
void Node::count_stats() {
  const replication::stream::FollowerStats now = manager_->follower_stats();
  cluster_.cuts += now.cuts - counted_stats_.cuts;
  cluster_.resets += now.resets - counted_stats_.resets;
  cluster_.fuses += now.fuses - counted_stats_.fuses;
  cluster_.bytes += now.bytes - counted_stats_.bytes;
  cluster_.far += now.far - counted_stats_.far;
  cluster_.close += now.close - counted_stats_.close;
  cluster_.moves += now.moves - counted_stats_.moves;
  counted_stats_ = now;
}

}  // namespace posthaste::streams
