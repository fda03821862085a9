// A broker for tests of connections to brokers: it answers the handshake as it is told to, and every other request with
// the bytes that the test says. Not for the product.
#pragma once
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "net/kafka/api_versions.h"
#include "net/kafka/frame.h"
#include "net/kafka/metadata.h"
#include "net/kafka/quorum_epochs.h"
#include "reactor/file.h"
#include "reactor/program.h"
#include "reactor/scope.h"
#include "replication/peers/handshake.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::peers {

inline constexpr int16_t kVoteVersion = 2;

// The epoch of the answer tells which request it answers.
inline std::vector<std::byte> vote_answer(int32_t correlation_id, int32_t epoch, std::string_view padding = {}) {
  net::kafka::VoteResponse response;
  response.topics.push_back({.topic_name = padding, .partitions = {{.leader_epoch = epoch}}});
  return net::kafka::encode_response(response, kVoteVersion, correlation_id).flatten();
}

class FakePeer {
 public:
  using Bytes = std::vector<std::byte>;
  struct Request {
    net::kafka::ApiKey api{};
    int32_t correlation_id = 0;
    size_t number = 0;  // on its connection, the handshake not counted
  };

  std::string address = "10.0.0.1:9092";
  std::string cluster_id = "c";
  std::vector<net::kafka::ApiVersionsResponse::ApiVersion> lists = {
      {.api_key = net::kafka::ApiKey::kApiVersions, .min_version = 0, .max_version = 4},
      {.api_key = net::kafka::ApiKey::kDescribeCluster, .min_version = 0, .max_version = 2},
      {.api_key = net::kafka::ApiKey::kVote, .min_version = 0, .max_version = kVoteVersion}};
  bool answers_handshake = true;
  bool reads = true;
  // Whole frames or anything else; nothing: no answer.
  std::function<std::optional<Bytes>(const Request&)> answer = [](const Request& request) {
    return vote_answer(request.correlation_id, static_cast<int32_t>(request.number));
  };
  reactor::Duration answers_after{};
  size_t accepted = 0;
  size_t open = 0;
  size_t requests = 0;

  reactor::Program program() {
    return [this](reactor::Core& core) { return run(*this, core); };
  }

 private:
  static reactor::Task<void> run(FakePeer& self, reactor::Core& core) {
    reactor::Result<reactor::Socket> listener = co_await reactor::Socket::listen(core, self.address, nullptr);
    CHECK(listener.has_value());
    self.open = 0;
    for (;;) {
      reactor::Result<reactor::Socket> socket = co_await listener->accept(nullptr);
      if (!socket) continue;
      ++self.accepted;
      core.scope().spawn_job(serve(self, core, *socket));
    }
  }
  static reactor::Task<void> serve(FakePeer& self, reactor::Core& core, reactor::Socket socket) {
    ++self.open;
    size_t number = 0;
    while (self.reads) {
      const std::optional<Request> request = co_await receive(socket);
      if (!request) break;
      std::optional<Bytes> bytes = self.handshake(*request);
      if (!bytes) bytes = co_await self.answer_to(core, *request, number++);
      if (!bytes || bytes->empty()) continue;
      const reactor::Slice slice{bytes->data(), bytes->size()};
      if (!co_await socket.send({&slice, 1})) break;
    }
    while (!self.reads) co_await core.sleep(std::chrono::milliseconds(1));
    --self.open;
    co_await socket.close();
  }
  static reactor::Task<std::optional<Request>> receive(reactor::Socket socket) {
    std::array<std::byte, sizeof(int32_t)> prefix{};
    if (!co_await socket.receive_all(prefix)) co_return std::nullopt;
    Bytes frame(static_cast<size_t>(storage::load_be<int32_t>(prefix.data())));
    if (!co_await socket.receive_all(frame)) co_return std::nullopt;
    co_return Request{.api = static_cast<net::kafka::ApiKey>(storage::load_be<int16_t>(frame.data())),
                      .correlation_id = storage::load_be<int32_t>(frame.data() + 4)};
  }
  // Empty: it keeps silent. Nothing: it is no request of the handshake.
  std::optional<Bytes> handshake(const Request& request) const {
    const bool is_versions = request.api == net::kafka::ApiKey::kApiVersions;
    if (!is_versions && request.api != net::kafka::ApiKey::kDescribeCluster) return std::nullopt;
    if (!answers_handshake) return Bytes();
    if (is_versions) {
      return net::kafka::encode_response(net::kafka::ApiVersionsResponse{.api_keys = lists}, 3, request.correlation_id)
          .flatten();
    }
    return net::kafka::encode_response(net::kafka::DescribeClusterResponse{.cluster_id = cluster_id}, 1,
                                       request.correlation_id)
        .flatten();
  }
  reactor::Task<std::optional<Bytes>> answer_to(reactor::Core& core, Request request, size_t number) {
    ++requests;
    request.number = number;
    if (answers_after.count() > 0) co_await core.sleep(answers_after);
    co_return answer(request);
  }
};

}  // namespace posthaste::replication::peers
