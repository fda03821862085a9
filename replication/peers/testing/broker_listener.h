// A listener between brokers for tests: it answers the handshake, and gives the quorum's requests of each connection to
// a desk, one after the other. Not for the product.
#pragma once
#include <cstring>
#include <optional>
#include <string>

#include "net/gather.h"
#include "net/kafka/metadata.h"
#include "reactor/file.h"
#include "reactor/scope.h"
#include "replication/peers/quorum_desk.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::peers {

class BrokerListener {
 public:
  BrokerListener(reactor::Core& core, std::string address, std::string cluster_id, QuorumDesk& desk)
      : core_(core), address_(std::move(address)), cluster_id_(std::move(cluster_id)), desk_(desk), scope_(core) {}

  void start() { scope_.spawn_job(listen()); }
  // Behind the desk's: no request waits there any more.
  reactor::Task<void> close() {
    is_closed_ = true;
    co_await listener_.shutdown();
    const std::vector<reactor::Socket> open = open_;
    for (reactor::Socket socket : open) co_await socket.shutdown();
    co_await scope_.join();
  }

 private:
  using Bytes = storage::Bytes;

  reactor::Task<void> listen() {
    reactor::Result<reactor::Socket> listener = co_await reactor::Socket::listen(core_, address_, nullptr);
    CHECK(listener.has_value());
    listener_ = *listener;
    while (!is_closed_) {
      const reactor::Result<reactor::Socket> socket = co_await listener_.accept(nullptr);
      if (!socket) continue;
      open_.push_back(*socket);
      scope_.spawn_job(serve(*socket));
    }
    co_await listener_.close();
  }
  reactor::Task<void> serve(reactor::Socket socket) {
    while (!is_closed_) {
      std::array<std::byte, sizeof(int32_t)> prefix{};
      if (!co_await socket.receive_all(prefix)) break;
      Bytes frame(static_cast<size_t>(storage::load_be<int32_t>(prefix.data())));
      if (!co_await socket.receive_all(frame)) break;
      std::optional<QuorumReply> reply = co_await answer(frame);
      if (!reply) break;
      reactor::RecycledVector<net::kafka::Bytes> pieces;
      reply->frame.append_slices(pieces);
      reactor::RecycledVector<reactor::Slice> slices;
      CHECK(net::gather(pieces, 0, slices) == pieces.size());
      if (!co_await socket.send(slices)) break;
    }
    std::erase_if(open_, [&socket](const reactor::Socket& one) { return one.id() == socket.id(); });
    co_await socket.close();
  }
  reactor::Task<std::optional<QuorumReply>> answer(const Bytes& frame) {
    const std::byte* const at = frame.data();
    const net::kafka::RequestHeader header{.api = static_cast<net::kafka::ApiKey>(storage::load_be<int16_t>(at)),
                                           .version = storage::load_be<int16_t>(at + 2),
                                           .correlation_id = storage::load_be<int32_t>(at + 4)};
    // All that is asked here has a client id and a section of tags, which is empty.
    const size_t body = 8 + 2 + static_cast<size_t>(storage::load_be<int16_t>(at + 8)) + 1;
    if (header.api == net::kafka::ApiKey::kApiVersions) co_return reply_with(versions(), header);
    if (header.api == net::kafka::ApiKey::kDescribeCluster) {
      co_return reply_with(net::kafka::DescribeClusterResponse{.cluster_id = cluster_id_}, header);
    }
    co_return co_await desk_.serve(header, net::kafka::Bytes(frame).subspan(body));
  }
  static net::kafka::ApiVersionsResponse versions() {
    net::kafka::ApiVersionsResponse response;
    response.api_keys = {{.api_key = net::kafka::ApiKey::kDescribeCluster, .min_version = 0, .max_version = 2}};
    for (const RequiredApi& api : wire::kQuorumApis) {
      response.api_keys.push_back({.api_key = api.key, .min_version = api.version, .max_version = api.version});
    }
    return response;
  }
  template <class Response>
  static QuorumReply reply_with(const Response& response, const net::kafka::RequestHeader& header) {
    return {.frame = net::kafka::encode_response(response, header.version, header.correlation_id), .payload = {}};
  }

  reactor::Core& core_;
  std::string address_;
  std::string cluster_id_;
  QuorumDesk& desk_;
  reactor::Socket listener_;
  std::vector<reactor::Socket> open_;
  bool is_closed_ = false;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::peers
