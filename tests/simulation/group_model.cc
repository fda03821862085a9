// The group member of a simulated run (models.h): the classic consumer protocol as a client library drives it.
#include <fmt/format.h>

#include <algorithm>

#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "storage/bytes/endian.h"
#include "tests/simulation/kafka_client.h"
#include "tests/simulation/models.h"

namespace posthaste::simulation {

using detail::backoff;
using detail::below;
using net::kafka::Bytes;
using net::kafka::ErrorCode;
using reactor::Task;
using namespace std::chrono_literals;

namespace {

constexpr int16_t kJoinVersion = 7;
constexpr int16_t kSyncVersion = 5;
constexpr int16_t kHeartbeatVersion = 4;
constexpr int16_t kLeaveVersion = 3;
constexpr int16_t kCommitVersion = 8;
constexpr int16_t kOffsetFetchVersion = 7;
constexpr int32_t kSessionTimeoutMs = 6000;
constexpr int32_t kRebalanceTimeoutMs = 10'000;
// A join may be held for the whole rebalance.
constexpr reactor::Duration kJoinPatience = 20s;
constexpr reactor::Duration kPatience = 5s;
constexpr std::string_view kProtocolType = "consumer";
constexpr std::string_view kProtocolName = "model";

// The assignment that this model's leader hands out: partition numbers of topics[0], 4 bytes each.
std::vector<std::byte> encode_assignment(const std::vector<int32_t>& partitions) {
  std::vector<std::byte> bytes(partitions.size() * sizeof(int32_t));
  for (size_t i = 0; i < partitions.size(); ++i)
    storage::store_be<int32_t>(bytes.data() + i * sizeof(int32_t), partitions[i]);
  return bytes;
}

std::vector<int32_t> decode_assignment(Bytes bytes) {
  std::vector<int32_t> partitions;
  for (size_t i = 0; i + sizeof(int32_t) <= bytes.size(); i += sizeof(int32_t)) {
    partitions.push_back(storage::load_be<int32_t>(bytes.data() + i));
  }
  return partitions;
}

class Member {
 public:
  Member(reactor::Core& core, Models& models, uint32_t id)
      : core_(core),
        models_(models),
        id_(id),
        random_(detail::seeded(core)),
        client_(core, models.broker_address, fmt::format("member-{}", id), models.oracle) {}

  Task<void> run() {
    while (!over()) {
      co_await find_coordinator();
      if (over() || !co_await join()) continue;
      if (stale_generation_) co_await commit_stale();
      if (co_await load_positions()) co_await own();
      if (!over()) co_await sometimes_pause();
    }
    co_await leave();
    co_await client_.close();
  }

 private:
  bool over() const { return models_.load_over || models_.oracle.violated().has_value(); }
  PartitionName name(int32_t index) const { return {models_.topics[0].name, index}; }

  Task<void> find_coordinator() {
    while (!over()) {
      net::kafka::FindCoordinatorRequest request;
      request.coordinator_keys.push_back(models_.group);
      auto answer = co_await client_.call(request, 4, kPatience);
      if (answer && answer->body.coordinators.size() == 1 &&
          answer->body.coordinators[0].error_code == ErrorCode::kNone) {
        co_return;
      }
      ++models_.retries;
      co_await core_.sleep(backoff(random_));
    }
  }

  // Joins and syncs. True once this member has its assignment for a generation.
  Task<bool> join() {
    net::kafka::JoinGroupRequest request{.group_id = models_.group,
                                         .session_timeout_ms = kSessionTimeoutMs,
                                         .rebalance_timeout_ms = kRebalanceTimeoutMs,
                                         .member_id = member_id_,
                                         .protocol_type = kProtocolType};
    request.protocols.push_back({.name = kProtocolName, .metadata = {}});
    auto answer = co_await client_.call(request, kJoinVersion, kJoinPatience);
    if (!answer) co_return co_await failed();
    const auto& body = answer->body;
    if (body.error_code == ErrorCode::kMemberIdRequired) {
      member_id_ = std::string(body.member_id);
      co_return false;
    }
    if (body.error_code != ErrorCode::kNone) co_return co_await refused(body.error_code, "join");
    const int32_t earlier = member_id_ == body.member_id ? generation_ : -1;
    member_id_ = std::string(body.member_id);
    generation_ = body.generation_id;
    if (earlier >= 0 && earlier < generation_ && below(random_, 2) == 0) stale_generation_ = earlier;
    std::vector<std::pair<std::string, std::vector<std::byte>>> assignments;
    if (body.leader == member_id_) assignments = assign(body.members);
    co_return co_await sync(assignments);
  }

  std::vector<std::pair<std::string, std::vector<std::byte>>> assign(
      const std::vector<net::kafka::JoinGroupResponse::Member>& members) {
    std::vector<std::string> ids;
    ids.reserve(members.size());
    for (const auto& member : members) ids.emplace_back(member.member_id);
    std::sort(ids.begin(), ids.end());
    std::vector<std::vector<int32_t>> shares(ids.size());
    for (int32_t i = 0; i < models_.topics[0].partitions; ++i) shares[static_cast<size_t>(i) % ids.size()].push_back(i);
    std::vector<std::pair<std::string, std::vector<std::byte>>> result;
    result.reserve(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) result.emplace_back(ids[i], encode_assignment(shares[i]));
    return result;
  }

  Task<bool> sync(const std::vector<std::pair<std::string, std::vector<std::byte>>>& assignments) {
    net::kafka::SyncGroupRequest request{.group_id = models_.group,
                                         .generation_id = generation_,
                                         .member_id = member_id_,
                                         .protocol_type = kProtocolType,
                                         .protocol_name = kProtocolName};
    for (const auto& [member, bytes] : assignments)
      request.assignments.push_back({.member_id = member, .assignment = bytes});
    auto answer = co_await client_.call(request, kSyncVersion, kJoinPatience);
    if (!answer) co_return co_await failed();
    if (answer->body.error_code != ErrorCode::kNone) co_return co_await refused(answer->body.error_code, "sync");
    owned_ = decode_assignment(answer->body.assignment);
    models_.oracle.joined(models_.group, generation_);
    for (int32_t index : owned_) models_.oracle.assigned(models_.group, generation_, member_id_, name(index));
    ++models_.rebalances;
    co_return true;
  }

  Task<bool> load_positions() {
    positions_.clear();
    if (owned_.empty()) co_return true;
    std::map<int32_t, int64_t> floors;
    for (int32_t index : owned_) floors[index] = models_.oracle.committed_floor(models_.group, name(index));
    net::kafka::OffsetFetchRequest request{.group_id = models_.group};
    request.topics.emplace();
    request.topics->push_back({.name = models_.topics[0].name, .partition_indexes = owned_});
    auto answer = co_await client_.call(request, kOffsetFetchVersion, kPatience);
    if (!answer) co_return co_await failed();
    if (answer->body.error_code != ErrorCode::kNone)
      co_return co_await refused(answer->body.error_code, "offset fetch");
    for (const auto& topic : answer->body.topics) {
      for (const auto& partition : topic.partitions) {
        models_.oracle.committed(models_.group, name(partition.partition_index), partition.committed_offset,
                                 floors[partition.partition_index]);
        positions_[partition.partition_index] = std::max<int64_t>(0, partition.committed_offset);
      }
    }
    co_return true;
  }

  // Heartbeats and commits until the group moves on, this member leaves, or it falls silent.
  Task<void> own() {
    while (!over()) {
      co_await core_.sleep(reactor::Duration(std::chrono::milliseconds(200 + below(random_, 800))));
      if (!positions_.empty() && below(random_, 2) == 0 && !co_await commit()) co_return;
      if (!co_await heartbeat()) co_return;
      const uint64_t whim = below(random_, 100);
      if (whim == 0) {
        co_await leave();
        co_return;
      }
      if (whim == 1) {  // as if stopped: its session runs out and it comes back with its old generation
        co_await client_.close();
        co_await core_.sleep(8s);
        if (!positions_.empty()) co_await commit();
        co_return;
      }
    }
  }

  Task<bool> commit() {
    net::kafka::OffsetCommitRequest request{
        .group_id = models_.group, .generation_id_or_member_epoch = generation_, .member_id = member_id_};
    request.topics.push_back({.name = models_.topics[0].name});
    std::map<int32_t, int64_t> wanted;
    for (auto& [index, position] : positions_) {
      wanted[index] = position + static_cast<int64_t>(below(random_, 50));
      request.topics.back().partitions.push_back({.partition_index = index, .committed_offset = wanted[index]});
    }
    const int32_t newest = models_.oracle.newest_generation(models_.group);
    const bool may_be_unknown = !models_.topics_created;
    auto answer = co_await client_.call(request, kCommitVersion, kPatience);
    if (!answer) {
      // It may still arrive, after a later one of the same generation. Coming back as another member ends the
      // generation.
      member_id_.clear();
      co_return co_await failed();
    }
    for (const auto& [index, offset] : wanted) positions_[index] = offset;
    for (const auto& topic : answer->body.topics) {
      for (const auto& partition : topic.partitions) {
        if (may_be_unknown && partition.error_code == ErrorCode::kUnknownTopicOrPartition) co_return co_await failed();
        if (partition.error_code != ErrorCode::kNone) co_return co_await refused(partition.error_code, "commit");
        models_.oracle.commit_acked(models_.group, generation_, newest, name(partition.partition_index),
                                    wanted[partition.partition_index]);
      }
    }
    co_return true;
  }

  // A commit that left before the rebalance and arrives after it.
  Task<void> commit_stale() {
    const int32_t stale = *std::exchange(stale_generation_, {});
    if (stale >= generation_) co_return;  // a generation that a crash has undone counts again
    net::kafka::OffsetCommitRequest request{
        .group_id = models_.group, .generation_id_or_member_epoch = stale, .member_id = member_id_};
    request.topics.push_back({.name = models_.topics[0].name});
    request.topics.back().partitions.push_back({.partition_index = 0, .committed_offset = 0});
    auto answer = co_await client_.call(request, kCommitVersion, kPatience);
    if (!answer || answer->body.topics.size() != 1 || answer->body.topics[0].partitions.size() != 1) co_return;
    if (answer->body.topics[0].partitions[0].error_code == ErrorCode::kNone) {
      models_.oracle.violation(fmt::format("member {}: a commit of generation {} was accepted in generation {}", id_,
                                           request.generation_id_or_member_epoch, generation_));
    }
  }

  Task<bool> heartbeat() {
    net::kafka::HeartbeatRequest request{
        .group_id = models_.group, .generation_id = generation_, .member_id = member_id_};
    auto answer = co_await client_.call(request, kHeartbeatVersion, kPatience);
    if (!answer) co_return co_await failed();
    if (answer->body.error_code != ErrorCode::kNone) co_return co_await refused(answer->body.error_code, "heartbeat");
    co_return true;
  }

  Task<void> leave() {
    if (member_id_.empty()) co_return;
    net::kafka::LeaveGroupRequest request{.group_id = models_.group};
    request.members.push_back({.member_id = member_id_});
    (void)co_await client_.call(request, kLeaveVersion, kPatience);
    member_id_.clear();
    generation_ = -1;
  }

  Task<void> sometimes_pause() {
    co_await core_.sleep(reactor::Duration(std::chrono::milliseconds(below(random_, 100))));
  }

  // No answer: what happened at the broker is unknown; the next step finds out.
  Task<bool> failed() {
    ++models_.retries;
    co_await core_.sleep(backoff(random_));
    co_return false;
  }

  Task<bool> refused(ErrorCode error, const char* what) {
    switch (error) {
      case ErrorCode::kUnknownMemberId:
        member_id_.clear();
        break;
      case ErrorCode::kRebalanceInProgress:
      case ErrorCode::kIllegalGeneration:
      case ErrorCode::kCoordinatorLoadInProgress:
      case ErrorCode::kCoordinatorNotAvailable:
      case ErrorCode::kNotCoordinator:
      case ErrorCode::kRequestTimedOut:
        break;
      default:
        models_.oracle.violation(
            fmt::format("member {}: {} refused with error {}", id_, what, static_cast<int>(error)));
    }
    co_return co_await failed();
  }

  reactor::Core& core_;
  Models& models_;
  uint32_t id_;
  std::mt19937_64 random_;
  KafkaClient client_;
  std::string member_id_;
  int32_t generation_ = -1;
  std::optional<int32_t> stale_generation_;  // to be committed with, once
  std::vector<int32_t> owned_;
  std::map<int32_t, int64_t> positions_;
};

}  // namespace

Task<void> group_member(reactor::Core& core, Models& models, uint32_t id) {
  ++models.running;
  Member member(core, models, id);
  co_await member.run();
  --models.running;
}

}  // namespace posthaste::simulation
