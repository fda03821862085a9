#include "replication/peers/handshake.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "net/kafka/errors.h"
#include "net/kafka/metadata.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::peers {

namespace kafka = net::kafka;
using kafka::ApiKey;
using kafka::ErrorCode;
using reactor::Instant;
using reactor::Task;

namespace {

// The first version with the name of the software, and the one that all brokers since Kafka 2.4 have.
constexpr int16_t kApiVersionsVersion = 3;
// The first version that says that controllers are asked for.
constexpr int16_t kDescribeClusterVersion = 1;

// Of what a peer says it is, in a log line.
constexpr size_t kClusterIdBytesShown = 64;

using Listed = std::optional<kafka::ApiVersionsResponse::ApiVersion>;

Listed find(const kafka::ApiVersionsResponse& listed, ApiKey key) {
  const auto found = std::ranges::find(listed.api_keys, key, &kafka::ApiVersionsResponse::ApiVersion::api_key);
  return found == listed.api_keys.end() ? Listed{} : *found;
}

bool serves(const Listed& api, int16_t version) {
  return api && api->min_version <= version && version <= api->max_version;
}

// Whatever bytes it holds: cluster ids of Kafka and ours have letters, digits, '-' and '_'.
std::string shown(std::string_view cluster_id) {
  std::string text(cluster_id.substr(0, kClusterIdBytesShown));
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; };
  std::ranges::replace_if(text, [&is_plain](char c) { return !is_plain(c); }, '?');
  return text;
}

Loss malformed(ApiKey key) {
  return {LossKind::kMalformed, fmt::format("its answer to {} does not parse", to_string(key))};
}

Loss no_answer(ApiKey key, NoAnswer why, const Pipeline& pipeline) {
  if (why == NoAnswer::kTimedOut && !pipeline.has_ended()) {
    return {LossKind::kSilent, fmt::format("it does not answer {}", to_string(key))};
  }
  return {LossKind::kClosed, fmt::format("the connection ended before {} was answered", to_string(key))};
}

// The versions that it lists. A peer that does not know ours answers in version 0 with an error, which is the first
// field in all versions.
std::expected<kafka::ApiVersionsResponse, Loss> read_versions(kafka::Bytes frame) {
  const auto header = kafka::decode_response_header(frame, ApiKey::kApiVersions, kApiVersionsVersion);
  if (!header || header->body.size() < sizeof(ErrorCode)) return std::unexpected(malformed(ApiKey::kApiVersions));
  const auto error = static_cast<ErrorCode>(storage::load_be<int16_t>(header->body.data()));
  if (error != ErrorCode::kNone) {
    return std::unexpected(Loss{LossKind::kUnsupported, fmt::format("it answers ApiVersions version {} with {}",
                                                                    kApiVersionsVersion, to_string(error))});
  }
  auto listed = kafka::decode<kafka::ApiVersionsResponse>(header->body, kApiVersionsVersion);
  if (!listed) return std::unexpected(malformed(ApiKey::kApiVersions));
  return std::move(*listed);
}

std::optional<Loss> check_cluster(kafka::Bytes frame, std::string_view ours) {
  const auto header = kafka::decode_response_header(frame, ApiKey::kDescribeCluster, kDescribeClusterVersion);
  if (!header) return malformed(ApiKey::kDescribeCluster);
  const auto told = kafka::decode<kafka::DescribeClusterResponse>(header->body, kDescribeClusterVersion);
  if (!told) return malformed(ApiKey::kDescribeCluster);
  if (told->error_code != ErrorCode::kNone) {
    return Loss{LossKind::kUnsupported, fmt::format("it answers DescribeCluster with {}", to_string(told->error_code))};
  }
  if (ours.empty() || told->cluster_id.empty() || told->cluster_id == ours) return std::nullopt;
  return Loss{LossKind::kOtherCluster, fmt::format("it is of cluster {}, this broker of {}; check its address and the "
                                                   "data folders of both",
                                                   shown(told->cluster_id), ours)};
}

}  // namespace

std::optional<std::string> missing_api(const kafka::ApiVersionsResponse& listed,
                                       std::span<const RequiredApi> required) {
  for (const RequiredApi& api : required) {
    const Listed found = find(listed, api.key);
    if (serves(found, api.version)) continue;
    const std::string what = fmt::format("{} version {}", to_string(api.key), api.version);
    if (!found) {
      return fmt::format(
          "it does not serve {}; is it one of controller.listener.names of a broker of this release or a "
          "later, and no listener for clients?",
          what);
    }
    return fmt::format("it does not serve {}, but {} to {}", what, found->min_version, found->max_version);
  }
  return std::nullopt;
}

Task<std::optional<Loss>> shake_hands(Pipeline& pipeline, std::string_view client_id, std::string_view cluster_id,
                                      std::span<const RequiredApi> required, Instant deadline) {
  const int32_t versions_id = pipeline.next_correlation_id();
  const kafka::ApiVersionsRequest versions{.client_software_name = "posthaste", .client_software_version = "1"};
  Pipeline::Answer answer = co_await pipeline.exchange(
      kafka::encode_request(versions, kApiVersionsVersion, versions_id, client_id), versions_id, deadline);
  if (!answer) co_return no_answer(ApiKey::kApiVersions, answer.error(), pipeline);
  const auto listed = read_versions(*answer);
  if (!listed) co_return listed.error();
  if (const auto missing = missing_api(*listed, required)) co_return Loss{LossKind::kUnsupported, *missing};
  if (!serves(find(*listed, ApiKey::kDescribeCluster), kDescribeClusterVersion)) co_return std::nullopt;
  const int32_t cluster_request_id = pipeline.next_correlation_id();
  answer = co_await pipeline.exchange(
      kafka::encode_request(kafka::DescribeClusterRequest{.endpoint_type = kafka::kControllerEndpoints},
                            kDescribeClusterVersion, cluster_request_id, client_id),
      cluster_request_id, deadline);
  if (!answer) co_return no_answer(ApiKey::kDescribeCluster, answer.error(), pipeline);
  co_return check_cluster(*answer, cluster_id);
}

}  // namespace posthaste::replication::peers
