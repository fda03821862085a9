#include "app/cli/fetch_probe.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "app/cli/admin_client.h"
#include "net/kafka/fetch.h"

namespace posthaste::app {
namespace {

using net::kafka::ErrorCode;

constexpr int32_t kProbeBytes = 1;  // a broker answers with one batch or an error
constexpr int16_t kFirstWithErrorOfItsOwn = 7;

CliResult<std::string> problem_at(AdminClient& leader, const TopicPartition& of, int64_t offset) {
  net::kafka::FetchRequest request;
  request.max_bytes = kProbeBytes;
  request.topics.push_back({.topic = of.topic, .topic_id = {}, .partitions = {}});
  net::kafka::FetchRequest::Topic::Partition& partition = request.topics.back().partitions.emplace_back();
  partition.partition = of.partition;
  partition.fetch_offset = offset;
  partition.partition_max_bytes = kProbeBytes;
  const auto answer = leader.call(request, kFirstWithErrorOfItsOwn);
  if (!answer) return std::unexpected(answer.error());
  if ((*answer)->error_code != ErrorCode::kNone) return describe((*answer)->error_code);
  for (const auto& topic : (*answer)->responses) {
    for (const auto& found : topic.partitions) {
      if (found.error_code != ErrorCode::kNone) return describe(found.error_code);
    }
  }
  return std::string();
}

CliResult<std::string> first_problem(const std::string& bootstrap, const std::map<TopicPartition, int64_t>& positions,
                                     std::chrono::milliseconds timeout) {
  auto client = AdminClient::open(bootstrap, timeout);
  if (!client) return std::unexpected(client.error());
  const auto leaders = find_leaders(*client, {positions.begin()->first.topic});
  if (!leaders) return std::unexpected(leaders.error());
  const auto starts = list_offsets(*client, *leaders, OffsetKind::kStart);
  if (!starts) return std::unexpected(starts.error());
  for (const auto& [partition, position] : positions) {
    const auto leader = leaders->find(partition);
    if (leader == leaders->end() || leader->second < 0) {
      return fmt::format("partition {}: {}", partition.partition, describe(ErrorCode::kLeaderNotAvailable));
    }
    const auto start = starts->find(partition);
    const int64_t offset = position >= 0 ? position : start == starts->end() ? 0 : start->second;
    auto broker = client->to_broker(leader->second);
    if (!broker) return std::unexpected(broker.error());
    const auto problem = problem_at(*broker, partition, offset);
    if (!problem) return std::unexpected(problem.error());
    if (!problem->empty()) return fmt::format("partition {}: {}", partition.partition, *problem);
  }
  return std::string();
}

}  // namespace

std::string fetch_problem(const std::string& bootstrap, const std::map<TopicPartition, int64_t>& positions,
                          std::chrono::milliseconds timeout) {
  if (positions.empty()) return {};
  const auto problem = first_problem(bootstrap, positions, timeout);
  return problem ? *problem : problem.error().message;
}

}  // namespace posthaste::app
