// What a real driver does around a GroupCoordinator, for tests: a log that grows when persists are confirmed, a clock
// that only the test moves, and a ledger that every request is answered once and never before the persist it reports.
#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/groups/coordinator.h"
#include "reactor/check.h"

namespace posthaste::broker {

class GroupTestDriver {
 public:
  explicit GroupTestDriver(const GroupConfig& config = {}, uint64_t memory_bytes = UINT64_MAX)
      : memory(memory_bytes), coordinator(config, memory) {
    now.monotonic = {1'000'000'000};
    now.wall = {1'700'000'000'000};
    GroupOutput out;
    coordinator.finish_load(now, out);
    take(std::move(out));
  }

  GroupMemory memory;
  GroupCoordinator coordinator;
  GroupTime now;
  std::vector<GroupLogRecord> log;     // what is durable
  std::deque<GroupPersist> in_flight;  // what is not yet
  std::map<RequestToken, GroupMessage> answers;
  bool confirm_at_once = true;
  RequestToken next_token = 1;

  // --- Requests: each returns its token ------------------------------------------------------------------------------

  RequestToken join(JoinRequest request) {
    for (size_t i = 0; i < sizeof(drawn_); ++i) request.random_id[i] = static_cast<uint8_t>(drawn_ >> (8 * i));
    ++drawn_;
    return call([&](RequestToken token, GroupOutput& out) { coordinator.join(token, std::move(request), now, out); });
  }
  RequestToken sync(const SyncRequest& request) {
    return call([&](RequestToken token, GroupOutput& out) { coordinator.sync(token, request, now, out); });
  }
  RequestToken heartbeat(const HeartbeatRequest& request) {
    return call([&](RequestToken token, GroupOutput& out) { coordinator.heartbeat(token, request, now, out); });
  }
  RequestToken leave(const LeaveRequest& request) {
    return call([&](RequestToken token, GroupOutput& out) { coordinator.leave(token, request, now, out); });
  }
  RequestToken commit(const OffsetCommitRequest& request) {
    return call([&](RequestToken token, GroupOutput& out) { coordinator.commit_offsets(token, request, now, out); });
  }
  RequestToken delete_groups(const std::vector<std::string>& ids) {
    return call([&](RequestToken token, GroupOutput& out) { coordinator.delete_groups(token, ids, now, out); });
  }
  RequestToken delete_offsets(const OffsetDeleteRequest& request) {
    return call([&](RequestToken token, GroupOutput& out) { coordinator.delete_offsets(token, request, now, out); });
  }
  void topics_deleted(const std::vector<std::string>& topics) {
    GroupOutput out;
    coordinator.topics_deleted(topics, now, out);
    take(std::move(out));
  }

  // --- Answers -------------------------------------------------------------------------------------------------------

  bool answered(RequestToken token) const { return answers.contains(token); }
  template <class Response>
  const Response& answer(RequestToken token) const {
    const auto found = answers.find(token);
    CHECK(found != answers.end(), "request {} is not answered", token);
    return std::get<Response>(found->second.response);
  }

  // --- Time and log --------------------------------------------------------------------------------------------------

  void tick() {
    GroupOutput out;
    coordinator.tick(now, out);
    CHECK(coordinator.next_deadline() > now.monotonic, "a deadline is left behind");
    take(std::move(out));
  }
  // Moves the clock on, stopping at every deadline in between.
  void advance(int64_t ms) {
    const reactor::Instant end = now.monotonic + std::chrono::milliseconds(ms);
    while (true) {
      const reactor::Instant next = std::min(end, coordinator.next_deadline());
      if (next > now.monotonic) {
        const reactor::Duration by = next - now.monotonic;
        remainder_ += by;
        const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(remainder_);
        remainder_ -= whole;
        now.wall.value += whole.count();
        now.monotonic = next;
      }
      tick();
      if (now.monotonic == end && coordinator.next_deadline() > end) return;
    }
  }
  void confirm_one() {
    const GroupPersist persist = std::move(in_flight.front());
    in_flight.pop_front();
    for (const GroupLogRecord& record : persist.records) log.push_back(record);
    confirmed_.insert(persist.id);
    GroupOutput out;
    coordinator.persisted(persist.id, now, out);
    take(std::move(out));
  }
  void confirm_all() {
    while (!in_flight.empty()) confirm_one();
  }
  void fail_one(reactor::Errc error) {
    const PersistId id = in_flight.front().id;
    in_flight.pop_front();
    GroupOutput out;
    coordinator.persist_failed(id, error, now, out);
    take(std::move(out));
  }
  void resign() {
    GroupOutput out;
    coordinator.resign(out);
    take(std::move(out));
  }
  // Loads the coordinator from the durable log alone.
  void load() {
    coordinator.begin_load();
    for (const GroupLogRecord& record : log) {
      const auto value = record.value ? std::optional<std::string_view>(*record.value) : std::nullopt;
      CHECK(coordinator.replay(record.key, value).has_value(), "our own record does not replay");
    }
    GroupOutput out;
    coordinator.finish_load(now, out);
    take(std::move(out));
  }
  // Leadership moves away and comes back; what was not durable is gone.
  void fail_over() {
    resign();
    in_flight.clear();
    load();
  }

  void take(GroupOutput out) {
    for (GroupPersist& persist : out.persists) {
      CHECK(persist.id > last_persist_ && !persist.records.empty(), "persist {} after {}", persist.id, last_persist_);
      last_persist_ = persist.id;
      in_flight.push_back(std::move(persist));
    }
    for (GroupMessage& message : out.messages) {
      CHECK(message.waited_for == kNoPersist || confirmed_.contains(message.waited_for),
            "request {} was answered before persist {}", message.token, message.waited_for);
      CHECK(message.token > 0 && message.token < next_token, "token {} was never given out", message.token);
      const RequestToken token = message.token;
      CHECK(answers.emplace(token, std::move(message)).second, "request {} was answered twice", token);
    }
    if (confirm_at_once) confirm_all();
  }

 private:
  template <class Call>
  RequestToken call(const Call& make) {
    const RequestToken token = next_token++;
    GroupOutput out;
    make(token, out);
    take(std::move(out));
    return token;
  }

  std::set<PersistId> confirmed_;
  PersistId last_persist_ = kNoPersist;
  reactor::Duration remainder_{};
  uint32_t drawn_ = 1;  // "random" ids only have to differ
};

}  // namespace posthaste::broker
