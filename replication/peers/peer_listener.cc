#include "replication/peers/peer_listener.h"

#include "net/api_versions_answer.h"
#include "net/kafka/broker_apis.h"
#include "net/kafka/metadata.h"

namespace posthaste::replication::peers {

namespace kafka = net::kafka;
using kafka::ApiKey;
using kafka::ErrorCode;
using reactor::Task;

namespace {

// No request between brokers carries records.
constexpr uint64_t kRequestMemoryBytes = uint64_t{256} << 10;
// A pool has two blocks at least; no frame is so large that it comes from this one.
constexpr uint64_t kLargeRequestMemoryBytes = 2 * reactor::BufferPool::kBufferBytesMin;

net::ConnectionLimits limits_of(const PeerListenerOptions& options) {
  return {.frame_bytes_max = net::kSmallFrameBytesMax,
          .small_request_memory_bytes = kRequestMemoryBytes,
          .request_memory_bytes = kLargeRequestMemoryBytes,
          .idle_timeout = options.idle_timeout};
}

}  // namespace

PeerListener::PeerListener(reactor::Core& core, PeerListenerOptions options, QuorumDesk& desk)
    : CoreOwned(core),
      options_(std::move(options)),
      desk_(desk),
      connections_(core, *this, limits_of(options_), kafka::kServedToBrokers),
      acceptor_(
          core, {.connections_max = kPeerConnectionsMax},
          [this](reactor::Core&) -> net::ConnectionSet& { return connections_; }, net::Acceptor::Spread::kOwnCore) {}

Task<net::Response> PeerListener::handle(net::ConnectionContext& context, net::Request& request) {
  check_core();
  if (request.header.api == ApiKey::kApiVersions) {
    co_return net::answer_api_versions(request, kafka::kServedToBrokers);
  }
  if (request.header.api == ApiKey::kDescribeCluster) co_return describe_cluster(request);
  co_return co_await desk_.serve(context, request);
}

// For the handshake: which cluster this is. Who its brokers are is a question for a listener of clients.
net::Response PeerListener::describe_cluster(const net::Request& request) const {
  const int16_t version = request.header.version;
  const auto body = kafka::decode<kafka::DescribeClusterRequest>(request.body, version);
  if (!body) return net::Response::closing(net::CloseReason::kBodyCorrupt);
  kafka::DescribeClusterResponse answer;
  if (body->endpoint_type == kafka::kControllerEndpoints) {
    answer.endpoint_type = kafka::kControllerEndpoints;
    answer.cluster_id = options_.cluster_id;
  } else {
    const bool is_known = body->endpoint_type == kafka::kBrokerEndpoints;
    answer.error_code = is_known ? ErrorCode::kMismatchedEndpointType : ErrorCode::kUnsupportedEndpointType;
    // As Kafka: the first version has no type of endpoint, so the error about it is not known there.
    if (version == 0) answer.error_code = ErrorCode::kInvalidRequest;
    answer.error_message = "this listener is for controllers (endpoint type 2)";
  }
  net::Response response;
  response.frame = kafka::encode_response(answer, version, request.header.correlation_id);
  return response;
}

}  // namespace posthaste::replication::peers
