// `posthaste group list|describe`: the members of a consumer group, what each one reads and its lag.
#pragma once
#include <string>

#include "app/cli/admin_client.h"
#include "app/cli/result.h"

namespace posthaste::app {

// Each returns what to print. Fails as AdminClient::call does, and with kRefused when there is no such group.
CliResult<std::string> list_groups(AdminClient& client, bool json);
CliResult<std::string> describe_group(AdminClient& client, const std::string& group, bool json);

}  // namespace posthaste::app
