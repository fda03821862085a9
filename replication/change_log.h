// What an operator reads of changes that were made to the cluster: one line of the log for each topic or resource that
// a request has changed, once it is durable. Nothing for what was refused. On core 0.
#pragma once
#include <string>
#include <vector>

#include "net/request.h"
#include "reactor/core.h"
#include "replication/metadata/config_controller.h"
#include "replication/metadata/partition_growth.h"

namespace posthaste::replication {

// Who asked, as the lines show it: client id, principal and address. While the request has its frame.
std::string asked_by(const net::ConnectionContext& context, const net::Request& request);

void log_created(reactor::Core& core, const CreateTopicsOutcome& outcome, const std::string& asked_by);
void log_deleted(reactor::Core& core, const DeleteTopicsOutcome& outcome, const std::string& asked_by);
// `image`: as it is after the change.
void log_grown(reactor::Core& core, const MetadataImage& image, const GrowTopicsOutcome& outcome,
               const std::string& asked_by);
void log_configured(reactor::Core& core, const AlterConfigsOutcome& outcome, const std::string& asked_by);

}  // namespace posthaste::replication
