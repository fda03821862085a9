#include "app/cli/consume_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "app/cli/fetch_probe.h"
#include "app/cli/kafka_client.h"

namespace posthaste::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kPollMilliseconds = 100;

std::string_view bytes_of(const void* data, size_t size) { return {static_cast<const char*>(data), size}; }

Json text_or_null(const void* data, size_t size) {
  return data == nullptr ? Json(nullptr) : Json(bytes_of(data, size));
}

// Headers in their order; a name may occur more than once, so they are pairs.
Json headers_of(const rd_kafka_message_t& message) {
  Json headers = Json::array();
  rd_kafka_headers_t* list = nullptr;
  if (rd_kafka_message_headers(&message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return headers;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    headers.push_back(Json::array({name, text_or_null(value, size)}));
  }
  return headers;
}

// Bytes that are no UTF-8 become the replacement character: JSON text has no other way to show them.
std::string json_line(const rd_kafka_message_t& message) {
  rd_kafka_timestamp_type_t kind{};
  const int64_t timestamp = rd_kafka_message_timestamp(&message, &kind);
  return Json({{"topic", rd_kafka_topic_name(message.rkt)},
               {"partition", message.partition},
               {"offset", message.offset},
               {"timestamp", timestamp},
               {"key", text_or_null(message.key, message.key_len)},
               {"value", text_or_null(message.payload, message.len)},
               {"headers", headers_of(message)}})
             .dump(-1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

std::string line_of(const rd_kafka_message_t& message, const ConsumeOptions& options) {
  if (options.json) return json_line(message);
  std::string line;
  if (options.with_keys)
    line = fmt::format("{}\t", bytes_of(message.key, message.key == nullptr ? 0 : message.key_len));
  line += bytes_of(message.payload, message.payload == nullptr ? 0 : message.len);
  line += '\n';
  return line;
}

bool write_line(std::string_view line) { return std::fwrite(line.data(), 1, line.size(), stdout) == line.size(); }

// Ends the membership with a last commit when the command ends, however it ends.
struct ConsumerCloser {
  rd_kafka_t* consumer;
  ~ConsumerCloser() {
    std::fflush(stdout);
    rd_kafka_consumer_close(consumer);
  }
};

CliResult<void> start(rd_kafka_t* consumer, const ConsumeOptions& options) {
  const auto partitions = partitions_of(consumer, options.topic, options.timeout);
  if (!partitions) return std::unexpected(partitions.error());
  const KafkaOwner<rd_kafka_topic_partition_list_t> list(
      rd_kafka_topic_partition_list_new(static_cast<int>(partitions->size())));
  rd_kafka_resp_err_t error{};
  if (!options.group.empty()) {
    rd_kafka_topic_partition_list_add(list.get(), options.topic.c_str(), RD_KAFKA_PARTITION_UA);
    error = rd_kafka_subscribe(consumer, list.get());
  } else {
    for (const int32_t partition : *partitions) {
      rd_kafka_topic_partition_list_add(list.get(), options.topic.c_str(), partition)->offset =
          options.from_beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
    }
    error = rd_kafka_assign(consumer, list.get());
  }
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return cli_error(ExitCode::kRefused, fmt::format("topic {}: {}", options.topic, rd_kafka_err2str(error)));
}

// The partitions that are read, and where each stands; negative: nothing of it was read yet.
std::map<TopicPartition, int64_t> positions_of(rd_kafka_t* consumer) {
  rd_kafka_topic_partition_list_t* raw = nullptr;
  if (rd_kafka_assignment(consumer, &raw) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const KafkaOwner<rd_kafka_topic_partition_list_t> list(raw);
  if (rd_kafka_position(consumer, list.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  std::map<TopicPartition, int64_t> positions;
  for (const auto& one : std::span(list->elems, static_cast<size_t>(list->cnt))) {
    positions.insert({{one.topic, one.partition}, one.offset});
  }
  return positions;
}

// How long nothing has come although something must: a record, or word that a partition is at its end. Only the last is
// a reason to wait without a limit, and for a member of a group that nothing was assigned to it.
class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Patience(std::chrono::milliseconds timeout) : timeout_(timeout) {}
  void progress() { since_ = Clock::now(); }
  bool is_over() const { return Clock::now() - since_ >= timeout_; }

 private:
  std::chrono::milliseconds timeout_;
  Clock::time_point since_ = Clock::now();
};

CliError nothing_came(const ConsumeOptions& options, std::map<TopicPartition, int64_t> positions,
                      const std::set<int32_t>& at_end) {
  std::erase_if(positions, [&](const auto& one) { return at_end.contains(one.first.partition); });
  std::string said = fetch_problem(options.bootstrap, positions, options.timeout);
  if (said.empty()) said = positions.empty() ? "no partition was assigned" : "the broker names no reason";
  return {ExitCode::kRefused, fmt::format("topic {}: nothing came for {:g} s (--timeout SECONDS): {}", options.topic,
                                          std::chrono::duration<double>(options.timeout).count(), said)};
}

// Errors that librdkafka gets over by itself come as events too; the client only has to wait.
bool is_transient(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
         error == RD_KAFKA_RESP_ERR__RESOLVE || error == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED ||
         error == RD_KAFKA_RESP_ERR__TIMED_OUT;
}

}  // namespace

CliResult<uint64_t> consume_records(const ConsumeOptions& options) {
  const bool grouped = !options.group.empty();
  KafkaSettings settings = {{"enable.partition.eof", "true"},
                            {"auto.offset.reset", options.from_beginning ? "earliest" : "latest"},
                            {"enable.auto.offset.store", "false"},  // stored when printed
                            {"enable.auto.commit", grouped ? "true" : "false"},
                            {"group.id", grouped ? options.group : "posthaste-cli"}};
  auto conf = make_kafka_conf(options.bootstrap, settings, options.properties);
  if (!conf) return std::unexpected(conf.error());
  const auto client = make_kafka_client(RD_KAFKA_CONSUMER, std::move(*conf));
  if (!client) return std::unexpected(client.error());
  rd_kafka_t* const consumer = client->get();
  rd_kafka_poll_set_consumer(consumer);
  stop_on_signals();
  if (CliResult<void> started = start(consumer, options); !started) return std::unexpected(started.error());
  const ConsumerCloser closer{consumer};

  uint64_t printed = 0;
  std::set<int32_t> at_end;
  Patience patience(options.timeout);
  while (!stop_requested() && (options.count == 0 || printed < options.count)) {
    const KafkaOwner<rd_kafka_message_t> message(rd_kafka_consumer_poll(consumer, kPollMilliseconds));
    const bool is_transient_error = message && is_transient(message->err);
    if (!message || is_transient_error) {
      std::fflush(stdout);
      if (!patience.is_over()) continue;
      const auto positions = positions_of(consumer);
      const bool standing_by = grouped && positions.empty() && !options.exit_at_end;
      if (!standing_by && (positions.empty() || at_end.size() < positions.size())) {
        return std::unexpected(nothing_came(options, positions, at_end));
      }
      patience.progress();
      continue;
    }
    patience.progress();
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      std::fflush(stdout);
      at_end.insert(message->partition);
      if (options.exit_at_end && at_end.size() >= positions_of(consumer).size()) break;
      continue;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return cli_error(ExitCode::kRefused,
                       fmt::format("topic {}: {}", options.topic, rd_kafka_message_errstr(message.get())));
    }
    at_end.erase(message->partition);
    if (!write_line(line_of(*message, options))) break;
    if (grouped) rd_kafka_offset_store(message->rkt, message->partition, message->offset);
    ++printed;
  }
  return printed;
}

}  // namespace posthaste::app
