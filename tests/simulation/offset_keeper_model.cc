// The offset keeper of a simulated run (models.h): commits offsets without being a member of a group, deletes some of
// them again, and asks what is there. What was deleted must not come back, whatever ends the broker in between.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "net/kafka/group_admin.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"

namespace posthaste::simulation {

using detail::backoff;
using detail::below;
using net::kafka::ErrorCode;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kFindCoordinatorVersion = 3;
constexpr int16_t kCommitVersion = 8;
constexpr int16_t kDeleteVersion = 0;
constexpr int16_t kFetchVersion = 7;
constexpr int64_t kNoOffset = -1;
constexpr reactor::Duration kPatience = 5s;

class OffsetKeeper {
 public:
  OffsetKeeper(reactor::Core& core, Models& models)
      : core_(core),
        models_(models),
        topic_(models.topics[0]),
        random_(detail::seeded(core)),
        client_(core, models.broker_address, "offset-keeper", models.oracle),
        kept_(static_cast<size_t>(topic_.partitions)) {}

  Task<void> run() {
    while (!over()) {
      const uint64_t dice = below(random_, 10);
      bool done = false;
      if (dice < 5) {
        done = co_await commit();
      } else if (dice < 7) {
        done = co_await erase();
      } else {
        done = co_await check();
      }
      if (!done) {
        ++models_.retries;
        (void)co_await client_.call(net::kafka::FindCoordinatorRequest{.key = group_}, kFindCoordinatorVersion,
                                    kPatience);
      }
      co_await core_.sleep(reactor::Duration(std::chrono::milliseconds(below(random_, 400))));
    }
    while (!models_.oracle.violated() && !co_await check()) {
      (void)co_await client_.call(net::kafka::FindCoordinatorRequest{.key = group_}, kFindCoordinatorVersion,
                                  kPatience);
      co_await core_.sleep(backoff(random_));
    }
    co_await client_.close();
  }

 private:
  // What may be found of one partition: what was acknowledged last, or what a request wanted whose answer never came.
  // That may still be on its way for as long as the run lasts; no offset is committed twice.
  struct Kept {
    int64_t acked = kNoOffset;
    std::set<int64_t> maybe;
    bool allows(int64_t offset) const { return offset == acked || maybe.contains(offset); }
  };

  bool over() const { return models_.load_over || models_.oracle.violated().has_value(); }

  std::vector<int32_t> some_partitions() {
    std::vector<int32_t> some;
    for (int32_t i = 0; i < topic_.partitions; ++i) {
      if (below(random_, 3) > 0) some.push_back(i);
    }
    return some;
  }

  Task<bool> commit() {
    net::kafka::OffsetCommitRequest request{.group_id = group_};
    request.topics.push_back({.name = topic_.name});
    const std::vector<int32_t> partitions = some_partitions();
    const int64_t first = next_offset_;
    for (const int32_t index : partitions) {
      request.topics.back().partitions.push_back({.partition_index = index, .committed_offset = next_offset_++});
    }
    auto answer = co_await client_.call(request, kCommitVersion, kPatience);
    for (size_t i = 0; i < partitions.size(); ++i) {
      const int64_t wanted = first + static_cast<int64_t>(i);
      const bool answered =
          answer && answer->body.topics.size() == 1 && answer->body.topics[0].partitions.size() == partitions.size();
      settle(partitions[i], wanted, answered ? answer->body.topics[0].partitions[i].error_code : kUnknown);
    }
    co_return answer.has_value();
  }

  Task<bool> erase() {
    net::kafka::OffsetDeleteRequest request{.group_id = group_};
    request.topics.push_back({.name = topic_.name});
    const std::vector<int32_t> partitions = some_partitions();
    for (const int32_t index : partitions) request.topics.back().partitions.push_back({.partition_index = index});
    auto answer = co_await client_.call(request, kDeleteVersion, kPatience);
    for (size_t i = 0; i < partitions.size(); ++i) {
      ErrorCode outcome = answer ? answer->body.error_code : kUnknown;
      // A group that is not there has no offsets either, and the whole request gets that error.
      if (outcome == ErrorCode::kGroupIdNotFound) continue;
      if (outcome == ErrorCode::kNone && answer->body.topics.size() == 1 &&
          answer->body.topics[0].partitions.size() == partitions.size()) {
        outcome = answer->body.topics[0].partitions[i].error_code;
      }
      settle(partitions[i], kNoOffset, outcome);
    }
    co_return answer.has_value();
  }

  // An error may mean that the write was not in time: then it may still come.
  void settle(int32_t index, int64_t wanted, ErrorCode outcome) {
    Kept& kept = kept_[static_cast<size_t>(index)];
    if (outcome == ErrorCode::kNone) {
      kept.acked = wanted;
    } else {
      kept.maybe.insert(wanted);
    }
  }

  Task<bool> check() {
    net::kafka::OffsetFetchRequest request{.group_id = group_};
    request.topics.emplace();
    request.topics->push_back({.name = topic_.name});
    for (int32_t i = 0; i < topic_.partitions; ++i) request.topics->back().partition_indexes.push_back(i);
    auto answer = co_await client_.call(request, kFetchVersion, kPatience);
    if (!answer || answer->body.error_code != ErrorCode::kNone || answer->body.topics.size() != 1) co_return false;
    for (const auto& found : answer->body.topics[0].partitions) {
      if (found.error_code != ErrorCode::kNone) co_return false;
      const Kept& kept = kept_[static_cast<size_t>(found.partition_index)];
      if (kept.allows(found.committed_offset)) continue;
      models_.oracle.violation(fmt::format("group {}: the offset of {}-{} is {}, but {} was acknowledged last", group_,
                                           topic_.name, found.partition_index, found.committed_offset, kept.acked));
    }
    co_return true;
  }

  static constexpr auto kUnknown = ErrorCode::kUnknownServerError;
  reactor::Core& core_;
  Models& models_;
  const Topic& topic_;
  const std::string group_ = "keepers";
  std::mt19937_64 random_;
  KafkaClient client_;
  std::vector<Kept> kept_;
  int64_t next_offset_ = 0;
};

}  // namespace

Task<void> offset_keeper(reactor::Core& core, Models& models) {
  ++models.running;
  OffsetKeeper keeper(core, models);
  co_await keeper.run();
  --models.running;
}

}  // namespace posthaste::simulation
