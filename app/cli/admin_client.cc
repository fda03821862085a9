#include "app/cli/admin_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "app/config/listeners.h"
#include "net/kafka/api_versions.h"
#include "net/kafka/groups.h"
#include "net/kafka/metadata.h"

namespace posthaste::app {
namespace {

using net::kafka::ApiKey;
using net::kafka::ErrorCode;

// Version 0 of ApiVersions is what every broker answers, so no second attempt is ever needed.
constexpr int16_t kNegotiationVersion = 0;

// The coordinator of the first group appears when its topic has been made.
constexpr auto kCoordinatorRetry = std::chrono::milliseconds(50);

}  // namespace

std::string describe(ErrorCode error, net::kafka::NullableString message) {
  if (message && !message->empty()) return fmt::format("{}: {}", to_string(error), *message);
  return std::string(to_string(error));
}

std::optional<int16_t> common_version(int16_t lowest_known, int16_t highest_known, int16_t low, int16_t high,
                                      int16_t least) {
  const int16_t best = std::min(highest_known, high);
  if (best < std::max({lowest_known, low, least})) return std::nullopt;
  return best;
}

CliResult<AdminClient> AdminClient::open(const std::string& bootstrap, std::chrono::milliseconds timeout) {
  const std::vector<std::string_view> servers = split_list(bootstrap);
  if (servers.empty())
    return cli_error(ExitCode::kUsage, "--bootstrap-server names no broker, for example 127.0.0.1:9092");
  CliError last;
  for (const std::string_view server : servers) {
    const auto address = parse_host_port(server);
    if (!address) return cli_error(ExitCode::kUsage, "--bootstrap-server: " + address.error());
    CliResult<AdminClient> client =
        open_one(address->host.empty() ? "127.0.0.1" : address->host, address->port, timeout);
    if (client) return client;
    last = client.error();
  }
  return std::unexpected(last);
}

CliResult<AdminClient> AdminClient::open_one(const std::string& host, uint16_t port,
                                             std::chrono::milliseconds timeout) {
  auto connection = SocketConnection::open(host, port, SocketConnection::Clock::now() + timeout);
  if (!connection) return std::unexpected(connection.error());
  AdminClient client(std::move(*connection), timeout);
  if (CliResult<void> done = client.negotiate(); !done) return std::unexpected(done.error());
  return client;
}

CliResult<void> AdminClient::negotiate() {
  const std::vector<std::byte> bytes = net::kafka::encode_request(net::kafka::ApiVersionsRequest{}, kNegotiationVersion,
                                                                  ++correlation_id_, "posthaste-cli")
                                           .flatten();
  const auto frame = exchange(bytes);
  if (!frame) return std::unexpected(frame.error());
  const auto header = net::kafka::decode_response_header(*frame, ApiKey::kApiVersions, kNegotiationVersion);
  if (!header || header->correlation_id != correlation_id_) return unreadable(ApiKey::kApiVersions);
  const auto answer = net::kafka::decode<net::kafka::ApiVersionsResponse>(header->body, kNegotiationVersion);
  if (!answer || answer->error_code != ErrorCode::kNone) return unreadable(ApiKey::kApiVersions);
  for (const auto& api : answer->api_keys) served_[api.api_key] = {api.min_version, api.max_version};
  return {};
}

// This program names topics, so it stays below the versions that have only their ids.
CliResult<int16_t> AdminClient::version_for(ApiKey key, int16_t least_version) const {
  const net::kafka::ApiInfo* known = net::kafka::find_api(key);
  const auto served = served_.find(key);
  if (known != nullptr && served != served_.end()) {
    const auto highest = std::min<int16_t>(known->advertised_max, static_cast<int16_t>(known->first_by_topic_id - 1));
    const auto version =
        common_version(known->codec_min, highest, served->second.low, served->second.high, least_version);
    if (version) return *version;
  }
  return cli_error(ExitCode::kRefused,
                   fmt::format("the broker {} does not serve {} in a version that this program knows",
                               connection_.address(), to_string(key)));
}

CliResult<std::vector<std::byte>> AdminClient::exchange(const std::vector<std::byte>& request) {
  const auto deadline = SocketConnection::Clock::now() + timeout_;
  if (CliResult<void> sent = connection_.send(request, deadline); !sent) return std::unexpected(sent.error());
  return connection_.receive_frame(deadline);
}

std::unexpected<CliError> AdminClient::unreadable(ApiKey key) const {
  return cli_error(ExitCode::kRefused,
                   fmt::format("{} sent an answer to {} that cannot be read", connection_.address(), to_string(key)));
}

CliResult<AdminClient> AdminClient::to_broker(int32_t node_id) {
  net::kafka::MetadataRequest request;
  request.topics.emplace();  // none: only the brokers are of interest
  request.allow_auto_topic_creation = false;
  const auto metadata = call(request, 1);
  if (!metadata) return std::unexpected(metadata.error());
  for (const auto& broker : (*metadata)->brokers) {
    if (broker.node_id == node_id)
      return open_one(std::string(broker.host), static_cast<uint16_t>(broker.port), timeout_);
  }
  return cli_error(ExitCode::kRefused, fmt::format("broker {} is not in the cluster", node_id));
}

CliResult<AdminClient> AdminClient::to_coordinator(const std::string& group) {
  net::kafka::FindCoordinatorRequest request;
  request.coordinator_keys = {group};
  const auto deadline = SocketConnection::Clock::now() + timeout_;
  while (true) {
    const auto found = call(request, 4);
    if (!found) return std::unexpected(found.error());
    if ((*found)->coordinators.empty()) return unreadable(ApiKey::kFindCoordinator);
    const auto& coordinator = (*found)->coordinators.front();
    if (coordinator.error_code == ErrorCode::kNone) {
      return open_one(std::string(coordinator.host), static_cast<uint16_t>(coordinator.port), timeout_);
    }
    const bool transient = coordinator.error_code == ErrorCode::kCoordinatorNotAvailable ||
                           coordinator.error_code == ErrorCode::kCoordinatorLoadInProgress;
    if (!transient || SocketConnection::Clock::now() >= deadline) {
      return cli_error(ExitCode::kRefused,
                       fmt::format("group {}: {}", group, describe(coordinator.error_code, coordinator.error_message)));
    }
    std::this_thread::sleep_for(kCoordinatorRetry);
  }
}

}  // namespace posthaste::app
