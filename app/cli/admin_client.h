// Asks brokers on behalf of the commands that list, create, describe and delete: one request at a time over blocking
// connections, versions negotiated per broker. It neither produces nor consumes (librdkafka does, for those commands).
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/result.h"
#include "app/cli/socket_connection.h"
#include "net/kafka/errors.h"
#include "net/kafka/frame.h"

namespace posthaste::app {

// A decoded response and the frame that its strings point into.
template <class Message>
struct Reply {
  std::vector<std::byte> frame;
  Message message;
  const Message* operator->() const { return &message; }
};

// The highest version that both sides know; nothing when there is none at or above `least`. `highest_known` and
// `lowest_known` are this program's, `low` and `high` the broker's.
std::optional<int16_t> common_version(int16_t lowest_known, int16_t highest_known, int16_t low, int16_t high,
                                      int16_t least);

class AdminClient {
 public:
  // Connects to the first of `bootstrap` ("HOST:PORT,HOST:PORT") that answers and asks what it serves. Every later call
  // has `timeout` to end.
  static CliResult<AdminClient> open(const std::string& bootstrap, std::chrono::milliseconds timeout);

  // Sends one request and waits for its answer. `least_version`: older shapes of the message lack what the caller
  // needs. Fails: kUnreachable; kRefused when the broker does not serve the request, or its answer cannot be read.
  template <net::kafka::ApiMessage Request>
  CliResult<Reply<typename Request::Response>> call(const Request& request, int16_t least_version = 0) {
    using Response = typename Request::Response;
    const CliResult<int16_t> version = version_for(Request::kKey, least_version);
    if (!version) return std::unexpected(version.error());
    const std::vector<std::byte> bytes =
        net::kafka::encode_request(request, *version, ++correlation_id_, "posthaste-cli").flatten();
    auto frame = exchange(bytes);
    if (!frame) return std::unexpected(frame.error());
    Reply<Response> reply{.frame = std::move(*frame), .message = {}};
    const auto header = net::kafka::decode_response_header(reply.frame, Request::kKey, *version);
    if (!header || header->correlation_id != correlation_id_) return unreadable(Request::kKey);
    auto message = net::kafka::decode<Response>(header->body, *version, kAnswerAllocationLimit);
    if (!message) return unreadable(Request::kKey);
    reply.message = std::move(*message);
    return reply;
  }

  // A client of the broker `node_id`, as the metadata of this one names it; of the coordinator of a group.
  CliResult<AdminClient> to_broker(int32_t node_id);
  CliResult<AdminClient> to_coordinator(const std::string& group);

 private:
  struct VersionRange {
    int16_t low = 0;
    int16_t high = 0;
  };
  static constexpr size_t kAnswerAllocationLimit = 1UL << 30;

  AdminClient(SocketConnection connection, std::chrono::milliseconds timeout)
      : connection_(std::move(connection)), timeout_(timeout) {}

  static CliResult<AdminClient> open_one(const std::string& host, uint16_t port, std::chrono::milliseconds timeout);
  CliResult<void> negotiate();
  CliResult<int16_t> version_for(net::kafka::ApiKey key, int16_t least_version) const;
  CliResult<std::vector<std::byte>> exchange(const std::vector<std::byte>& request);
  std::unexpected<CliError> unreadable(net::kafka::ApiKey key) const;

  SocketConnection connection_;
  std::chrono::milliseconds timeout_;
  std::map<net::kafka::ApiKey, VersionRange> served_;
  int32_t correlation_id_ = 0;
};

// "TOPIC_ALREADY_EXISTS: message of the broker", to print behind the request.
std::string describe(net::kafka::ErrorCode error, net::kafka::NullableString message = {});

}  // namespace posthaste::app
