#include "tests/two_logs/driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/batch/record_batch_builder.h"
#include "storage/planted_bugs.h"

namespace posthaste::two_logs {

using reactor::Core;
using reactor::Errc;
using reactor::planted;
using reactor::Result;
using reactor::Task;
using storage::Bytes;
using storage::EngineHost;
using storage::Partition;

namespace {

constexpr int64_t kWallClockMs = 1'700'000'000'000;
constexpr uint64_t kBatchesPerFetch = 6;

Shown shown_of(const Partition& log) {
  Shown shown{.start = log.log_start_offset(), .end = log.end_offset(), .epochs = {}, .bytes = {}};
  for (const storage::EpochEntry& entry : log.epochs().entries()) {
    shown.epochs.emplace_back(entry.epoch, entry.start_offset);
  }
  return shown;
}

// What one life does.
class Life {
 public:
  Life(Core& core, Pair& pair) : core_(core), pair_(pair) {}

  Task<void> run(std::array<std::unique_ptr<EngineHost>, 2>& stores) {
    for (size_t i = 0; i < stores.size() && !pair_.failure; ++i) co_await open(*stores[i], pair_.replicas[i]);
    if (!pair_.failure) elect();
    while (pair_.steps_left > 0 && !pair_.failure) {
      --pair_.steps_left;
      co_await step();
      for (Replica& replica : pair_.replicas) compare(replica);
      advance_high_watermark();
      if (below(6) == 0) co_await core_.sleep(reactor::Duration(std::chrono::microseconds(below(3000))));
    }
    for (Replica& replica : pair_.replicas) {
      if (!pair_.failure) co_await read_all(replica);
    }
    for (size_t i = 0; i < stores.size() && !pair_.failure; ++i) {
      co_await pair_.replicas[i].engine->close();
      if (!(co_await stores[i]->close(core_))) fail("close");
      settle(pair_.replicas[i]);
    }
    pair_.is_closed = !pair_.failure;
  }

 private:
  uint64_t below(uint64_t limit) { return pair_.random() % limit; }
  void fail(std::string what) {
    if (!pair_.failure) pair_.failure = std::move(what);
  }
  std::string name(const Replica& replica) const {
    const auto index = static_cast<uint32_t>(&replica - pair_.replicas.data());
    return fmt::format("log {} ({}, epoch {})", index, index == pair_.leader ? "leads" : "follows", pair_.epoch);
  }
  Replica& leader() { return pair_.replicas[pair_.leader]; }
  Replica& follower() { return pair_.replicas[1 - pair_.leader]; }

  Task<void> open(EngineHost& store, Replica& replica) {
    auto recovered = co_await store.recover(core_);
    if (!recovered) co_return fail(fmt::format("recovery: {} {}", to_string(recovered.error()), store.error_text()));
    auto engine = co_await store.open(core_);
    if (!engine) co_return fail(fmt::format("open: {}", to_string(engine.error())));
    replica.engine = *engine;
    replica.log = (*engine)->find({}, 0);
    if (replica.log == nullptr) {
      if (replica.is_made) co_return fail(name(replica) + " is gone");
      auto made = co_await (*engine)->create_partition({.topic_id = {}, .topic_name = "t"});
      if (!made) co_return fail(fmt::format("create: {}", to_string(made.error())));
      replica.log = *made;
    }
    replica.is_made = true;
    storage::LogConfig config;
    config.segment_bytes = 4096 * (1 + below(4));
    replica.log->set_config(config);
    co_await adopt(replica);
  }

  // What a crash, or a life that ended well, has left. Recovered is promised.
  Task<void> adopt(Replica& replica) {
    if (replica.log->damage().damaged) co_return fail(name(replica) + " is damaged: " + replica.log->damage().reason);
    if (replica.log->high_watermark() > pair_.high_watermark) {
      fail(fmt::format("{} has a high watermark of {}, which never was", name(replica), replica.log->high_watermark()));
    }
    Shown shown = shown_of(*replica.log);
    shown.bytes = co_await bytes_of(replica);
    if (replica.after && !differs(*replica.after, shown, true)) {
      replica.model = *replica.after;
      replica.model.epochs = shown.epochs;
    } else if (auto wrong = is_left_by(replica.model, replica.start_asked, shown)) {
      fail(fmt::format("{} {}{}", name(replica), *wrong,
                       replica.after ? fmt::format("; or {}", *differs(*replica.after, shown, true)) : ""));
    }
    settle(replica);
  }
  static void settle(Replica& replica) {
    replica.after.reset();
    replica.start_asked = replica.model.start;
    replica.model.acked = replica.model.end;
  }

  Task<std::string> bytes_of(Replica& replica) {
    std::string bytes;
    Partition& log = *replica.log;
    for (int64_t offset = log.log_start_offset(); offset < log.end_offset();) {
      auto read = co_await log.read(
          {.offset = offset, .max_bytes = static_cast<uint32_t>(1 + below(9000)), .limit_offset = log.end_offset()});
      if (!read || read->next_offset <= offset) {
        fail(fmt::format("{} cannot be read at {}: {}", name(replica), offset,
                         read ? "nothing there" : to_string(read.error())));
        break;
      }
      for (const auto& piece : read->pieces) bytes += storage::text_of(piece.bytes);
      offset = read->next_offset;
    }
    co_return bytes;
  }

  void compare(Replica& replica) {
    replica.model.acked = std::max(replica.model.acked, replica.log->durable_offset());
    if (replica.model.acked > replica.model.end) return fail(name(replica) + " says more is durable than there is");
    const Shown shown = shown_of(*replica.log);
    if (auto wrong = differs(replica.model, shown, false)) return fail(name(replica) + " " + *wrong);
    replica.model.epochs = shown.epochs;  // without those that ended before its first segment
  }

  Task<void> read_all(Replica& replica) {
    Shown shown = shown_of(*replica.log);
    shown.bytes = co_await bytes_of(replica);
    if (auto wrong = differs(replica.model, shown, true)) fail(name(replica) + " " + *wrong);
  }

  // The controller's part: a replica that has all that is committed may lead.
  void elect() {
    if (pair_.is_follower_in_sync && below(2) == 0) pair_.leader = 1 - pair_.leader;
    ++pair_.epoch;
    pair_.is_cut = false;
    leader().log->start_epoch(pair_.epoch);
    start_epoch(leader().model, pair_.epoch, leader().model.end);
    for (const ModelBatch& batch : pair_.committed) {
      if (batch.next <= leader().model.start) continue;
      const auto found = std::ranges::find(leader().model.history, batch.base, &ModelBatch::base);
      if (found == leader().model.history.end() || found->bytes != batch.bytes) {
        return fail(fmt::format("{} has not got what was committed at {}", name(leader()), batch.base));
      }
    }
  }

  // Durable on the leader, and on a follower that counts: one that was not cut for this epoch may hold others' records.
  void advance_high_watermark() {
    if (pair_.is_cut && follower().model.acked >= pair_.high_watermark) pair_.is_follower_in_sync = true;
    int64_t to = leader().model.acked;
    if (pair_.is_follower_in_sync) to = pair_.is_cut ? std::min(to, follower().model.acked) : pair_.high_watermark;
    pair_.high_watermark = std::max(pair_.high_watermark, to);
    const int64_t known = pair_.committed.empty() ? 0 : pair_.committed.back().next;
    for (const ModelBatch& batch : leader().model.history) {
      if (batch.base >= known && batch.next <= pair_.high_watermark) pair_.committed.push_back(batch);
    }
    leader().known_high_watermark = pair_.high_watermark;
    if (!pair_.failure) leader().log->set_high_watermark(pair_.high_watermark);
  }

  Task<void> step() {
    const uint64_t dice = below(100);
    if (dice < 40)
      co_await append();
    else if (dice < 66)
      co_await follow();
    else if (dice < 73)
      elect();
    else if (dice < 77)
      co_await begin_anew();
    else if (dice < 81)
      pair_.replicas[below(2)].log->roll();
    else if (dice < 85)
      co_await delete_records();
    else if (dice < 89)
      co_await read_all(pair_.replicas[below(2)]);
    // A follower that does not follow delays nothing for ever.
    else if (dice < 92)
      pair_.is_follower_in_sync = false;
    else
      co_await core_.sleep(std::chrono::milliseconds(below(8)));
  }

  Task<void> append() {
    Replica& replica = leader();
    storage::RecordBatchBuilder builder;
    const uint64_t records = 1 + below(3);
    for (uint64_t i = 0; i < records; ++i) {
      const std::string value = fmt::format("{}:", pair_.appends) + std::string(below(8) == 0 ? below(3000) : 20, 'v');
      builder.add({.timestamp = kWallClockMs, .value = storage::bytes_of(value)});
    }
    Bytes bytes = builder.finish();
    const auto appended =
        replica.log->append(bytes, {.leader_epoch = pair_.epoch, .from_client = false}, {kWallClockMs});
    if (!appended && appended.error() == Errc::kNoMemory) co_return co_await replica.engine->wait_for_room();
    if (!appended) co_return fail(fmt::format("{}: append: {}", name(replica), to_string(appended.error())));
    ++pair_.appends;
    two_logs::append(replica.model, {.base = appended->base_offset,
                                     .next = appended->last_offset + 1,
                                     .bytes = std::string(storage::text_of(bytes))});
  }

  // One step of the follower: cut for this epoch, or fetch.
  Task<void> follow() {
    if (!pair_.is_cut) co_return co_await cut_follower();
    follower().known_high_watermark = pair_.high_watermark;
    Bytes bytes;
    std::vector<const ModelBatch*> batches;
    const std::vector<ModelBatch>& history = leader().model.history;
    auto at = std::ranges::find_if(history, [&](const ModelBatch& b) { return b.next > follower().model.end; });
    // Compaction removes committed records, never the last.
    for (uint64_t left = 1 + below(kBatchesPerFetch); at != history.end() && left > 0; ++at) {
      const bool is_removed = at->next <= pair_.high_watermark && at + 1 != history.end() && below(4) == 0;
      if (!at->is_held || is_removed || at->next <= leader().model.start) continue;
      const auto raw = storage::bytes_of(at->bytes);
      bytes.insert(bytes.end(), raw.begin(), raw.end());
      batches.push_back(&*at);
      --left;
    }
    if (batches.empty()) co_return;
    const auto stored = follower().log->append_replicated(bytes, {kWallClockMs}, leader().log->epochs().entries());
    if (!stored && stored.error() == Errc::kNoMemory) co_return co_await follower().engine->wait_for_room();
    if (!stored)
      co_return fail(fmt::format("{}: {} at {}", name(follower()), to_string(stored.error()), batches.front()->base));
    for (const ModelBatch* batch : batches) {
      if (batch->base > follower().model.end) ++pair_.holes;
      replicate(follower().model, *batch, leader().model);
    }
  }

  // KIP-101: asks where its latest epoch ends, cuts there, and again until both know the same epoch.
  Task<void> cut_follower() {
    Replica& replica = follower();
    for (bool is_final = false; !is_final && !pair_.failure;) {
      storage::TruncationStep next{replica.log->end_offset(), true};
      if (const auto latest = replica.log->epochs().latest()) {
        const storage::EpochEnd answer = leader().log->end_offset_for_epoch(latest->epoch);
        next = truncation_step(replica.log->epochs(), replica.log->end_offset(), answer);
      }
      if (planted(storage::kBugs["truncated-to-high-watermark"])) {
        next = {std::clamp(replica.known_high_watermark, replica.model.start, replica.model.end), true};
      } else if (const auto expected = next_cut(replica.model, leader().model);
                 expected != std::pair(next.offset, next.is_final)) {
        co_return fail(fmt::format("{} would be cut at {} instead of {}", name(replica), next.offset, expected.first));
      }
      is_final = next.is_final;
      if (next.offset < replica.model.start || next.offset < leader().model.start) {
        co_await reset_follower(leader().model.start);
        is_final = true;
      } else {
        replica.after = replica.model;
        cut(*replica.after, next.offset);
        const auto done = co_await replica.log->truncate(next.offset);
        finish(replica, done, "truncate");
        ++pair_.cuts;
      }
    }
    // The leader's answer is never below its start, which may lie inside a batch here.
    if (!pair_.failure && replica.model.end < leader().model.start) co_await reset_follower(leader().model.start);
    co_await raise_start(replica, leader().model.start);
    if (pair_.failure) co_return;
    pair_.is_cut = true;
    if (auto wrong = parting(replica.model, leader().model)) fail(name(replica) + ": " + *wrong);
  }

  void finish(Replica& replica, const Result<void>& done, std::string_view what) {
    if (!done) return fail(fmt::format("{}: {}: {}", name(replica), what, to_string(done.error())));
    replica.model = std::move(*replica.after);
    replica.after.reset();
    replica.start_asked = replica.model.start;
    replica.model.acked = replica.model.end;
  }

  Task<void> reset_follower(int64_t offset) {
    Replica& replica = follower();
    pair_.is_follower_in_sync = false;
    replica.after = replica.model;
    reset(*replica.after, offset, leader().model);
    finish(replica, co_await replica.log->reset(offset), "reset");
    ++pair_.resets;
  }

  // As if its disk had been replaced: it begins again somewhere in what is committed.
  Task<void> begin_anew() {
    if (!pair_.is_cut) co_return;
    std::vector<int64_t> offsets{leader().model.start};
    for (const ModelBatch& batch : leader().model.history) {
      if (batch.base > leader().model.start && batch.next <= pair_.high_watermark) offsets.push_back(batch.next);
    }
    co_await reset_follower(offsets[below(offsets.size())]);
  }

  Task<void> raise_start(Replica& replica, int64_t offset) {
    if (offset <= replica.model.start || pair_.failure) co_return;
    while (replica.log->durable_offset() < replica.log->end_offset())
      co_await core_.sleep(std::chrono::milliseconds(1));
    replica.start_asked = offset;
    replica.log->set_high_watermark(offset);
    const auto done = co_await replica.log->set_log_start(offset);
    if (!done) {
      co_return fail(fmt::format("{}: log start {} to {}, of {} to {}: {}", name(replica), replica.model.start, offset,
                                 replica.log->high_watermark(), replica.model.end, to_string(done.error())));
    }
    replica.model.start = offset;
  }

  Task<void> delete_records() {
    for (const ModelBatch& batch : leader().model.history) {
      if (batch.next <= leader().model.start || batch.next > pair_.high_watermark || below(3) > 0) continue;
      co_return co_await raise_start(leader(), batch.next);
    }
  }

  Core& core_;
  Pair& pair_;
};

Task<void> live(Core& core, Pair& pair) {
  std::array<std::unique_ptr<EngineHost>, 2> stores;
  for (size_t i = 0; i < stores.size(); ++i) stores[i] = std::make_unique<EngineHost>(pair.replicas[i].options, 1);
  Life life(core, pair);
  co_await life.run(stores);
  if (!pair.is_closed) co_await core.until_stopping();
}

}  // namespace

reactor::Program Pair::program() {
  return [this](Core& core) { return live(core, *this); };
}

}  // namespace posthaste::two_logs
