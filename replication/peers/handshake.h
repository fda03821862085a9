// What a broker is asked before anything else on a connection: whether it serves the requests that will be sent to it,
// and whether it is of the same cluster. It is refused with a sentence that names what is wrong. It sends no request of
// the owner's.
#pragma once
#include <span>

#include "net/kafka/api_versions.h"
#include "replication/peers/pipeline.h"

namespace posthaste::replication::peers {

// A request that will be sent, always in this version.
struct RequiredApi {
  net::kafka::ApiKey key{};
  int16_t version = 0;
};

// Why a peer that lists these versions does not do, naming the first API that it lacks; nothing if it does.
std::optional<std::string> missing_api(const net::kafka::ApiVersionsResponse& listed,
                                       std::span<const RequiredApi> required);

// Asks with ApiVersions, and with DescribeCluster where the peer lists it. An empty `cluster_id`, here or there, is one
// that is not known yet: nothing is compared, and each request of the quorum still names it. Returns why the peer
// does not do, or nothing.
reactor::Task<std::optional<Loss>> shake_hands(Pipeline& pipeline, std::string_view client_id,
                                               std::string_view cluster_id, std::span<const RequiredApi> required,
                                               reactor::Instant deadline);

}  // namespace posthaste::replication::peers
