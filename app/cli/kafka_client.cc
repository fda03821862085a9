#include "app/cli/kafka_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace posthaste::app {
namespace {

volatile std::sig_atomic_t stop_signal = 0;  // the one thing that a signal handler may write

void on_stop_signal(int signal) { stop_signal = signal; }

constexpr size_t kErrorTextSize = 512;

CliResult<void> set(rd_kafka_conf_t* conf, const std::string& key, const std::string& value) {
  std::array<char, kErrorTextSize> text{};
  if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), text.data(), text.size()) == RD_KAFKA_CONF_OK) return {};
  return cli_error(ExitCode::kUsage, text.data());
}

}  // namespace

CliResult<KafkaOwner<rd_kafka_conf_t>> make_kafka_conf(const std::string& bootstrap, const KafkaSettings& settings,
                                                       const std::vector<std::string>& extra) {
  KafkaOwner<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), nullptr);  // what matters comes back as an error of a call
  KafkaSettings all = {
      {"bootstrap.servers", bootstrap}, {"client.id", "posthaste-cli"}, {"broker.address.family", "any"}};
  all.insert(all.end(), settings.begin(), settings.end());
  for (const std::string& property : extra) {
    const size_t equals = property.find('=');
    if (equals == std::string::npos)
      return cli_error(ExitCode::kUsage, fmt::format("--property {}: must have the form KEY=VALUE", property));
    all.emplace_back(property.substr(0, equals), property.substr(equals + 1));
  }
  for (const auto& [key, value] : all) {
    if (CliResult<void> done = set(conf.get(), key, value); !done) return std::unexpected(done.error());
  }
  return conf;
}

CliResult<KafkaOwner<rd_kafka_t>> make_kafka_client(rd_kafka_type_t type, KafkaOwner<rd_kafka_conf_t> conf) {
  std::array<char, kErrorTextSize> text{};
  KafkaOwner<rd_kafka_t> client(rd_kafka_new(type, conf.get(), text.data(), text.size()));
  if (!client) return cli_error(ExitCode::kUsage, text.data());
  static_cast<void>(conf.release());  // the client owns it now
  return client;
}

CliResult<std::vector<int32_t>> partitions_of(rd_kafka_t* client, const std::string& topic,
                                              std::chrono::milliseconds timeout) {
  const KafkaOwner<rd_kafka_topic_t> handle(rd_kafka_topic_new(client, topic.c_str(), nullptr));
  if (!handle)
    return cli_error(ExitCode::kUsage, fmt::format("topic {}: {}", topic, rd_kafka_err2str(rd_kafka_last_error())));
  const rd_kafka_metadata_t* raw = nullptr;
  const rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle.get(), &raw, static_cast<int>(timeout.count()));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return cli_error(
        ExitCode::kUnreachable,
        fmt::format("no broker answered: {}; is it running? (--bootstrap-server HOST:PORT)", rd_kafka_err2str(error)));
  }
  const KafkaOwner<const rd_kafka_metadata_t> metadata(raw);
  std::vector<int32_t> ids;
  for (int t = 0; t < metadata->topic_cnt; ++t) {
    const rd_kafka_metadata_topic_t& found = metadata->topics[t];
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return cli_error(ExitCode::kRefused, fmt::format("topic {}: {}; `posthaste topic create {}` makes it", topic,
                                                       rd_kafka_err2str(found.err), topic));
    }
    for (int p = 0; p < found.partition_cnt; ++p) ids.push_back(found.partitions[p].id);
  }
  std::ranges::sort(ids);
  return ids;
}

void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = on_stop_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is seen at the next write
}

bool stop_requested() { return stop_signal != 0; }

}  // namespace posthaste::app
