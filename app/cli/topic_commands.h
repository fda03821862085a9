// `posthaste topic create|list|describe|delete`. The command line (cli.cc) says what each option means.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "app/cli/admin_client.h"
#include "app/cli/result.h"

namespace posthaste::app {

struct CreateTopicOptions {
  std::string name;
  int32_t partitions = -1;           // -1: the broker's default
  int16_t replication_factor = -1;   // -1: the broker's default
  std::vector<std::string> configs;  // KEY=VALUE
  bool if_not_exists = false;
};

// Each returns what to print, as JSON or as text. Fails as AdminClient::call does, and with kRefused when the broker
// refuses.
CliResult<std::string> create_topic(AdminClient& client, const CreateTopicOptions& options, bool json);
CliResult<std::string> list_topics(AdminClient& client, bool with_internal, bool json);
CliResult<std::string> describe_topics(AdminClient& client, const std::vector<std::string>& names, bool json);
CliResult<std::string> delete_topics(AdminClient& client, const std::vector<std::string>& names, bool json);

}  // namespace posthaste::app
