// What a core knows of the cluster: an immutable snapshot, swapped as a whole when core 0 publishes a newer one.
// Request handlers take it once per request, so that an answer is of one moment. Core 0 makes snapshots and destroys
// them, and lends them to all cores (reactor/lending.h says why nothing of that needs a count that cores share).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "net/request.h"
#include "reactor/lending.h"
#include "replication/metadata/image.h"
#include "storage/placement.h"

namespace posthaste::broker {

// Where clients of one listener find this broker.
struct Endpoint {
  std::string listener;
  std::string host;
  uint16_t port = 0;
  bool as_connected = false;  // each client gets the address that it connected to, if it is known, instead of `host`

  // Every answer that names this broker takes the host from here, so that they agree.
  std::string_view host_for(const net::ConnectionContext& client) const {
    return as_connected && !client.local_address.empty() ? client.local_address : host;
  }
};

struct ClusterView {
  std::string cluster_id;
  int32_t node_id = -1;
  std::vector<Endpoint> endpoints;  // by net::ListenerId
  replication::MetadataImage image;
  storage::Placement placement{0};
  // Settings of topics without their own (topic_config_defaults).
  std::shared_ptr<const config::ConfigMap> topic_defaults;
  // Topics that differ from the snapshot before, for what follows from a change; `all_changed` on the first one.
  std::vector<net::kafka::Uuid> changed;
  bool all_changed = false;

  // The core that owns a partition; nothing while it is being made or deleted.
  std::optional<reactor::CoreId> owner(const net::kafka::Uuid& topic, int32_t partition) const {
    return placement.find({topic.bytes, partition});
  }
};

// A request's hold on the snapshot of its core, over its waits.
using ViewUse = reactor::Borrower<ClusterView>::Use;

}  // namespace posthaste::broker
