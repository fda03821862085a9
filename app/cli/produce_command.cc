#include "app/cli/produce_command.h"

#include <fmt/format.h>

#include <cstdlib>

#include "app/cli/kafka_client.h"

namespace posthaste::app {
namespace {

constexpr int kPollMilliseconds = 100;

struct Delivery {
  ProduceReport report;
  rd_kafka_resp_err_t first_error = RD_KAFKA_RESP_ERR_NO_ERROR;

  void add(rd_kafka_resp_err_t error) {
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ++report.acknowledged;
    } else {
      if (report.failed++ == 0) first_error = error;
    }
  }
};

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  static_cast<Delivery*>(opaque)->add(message->err);
}

// One line without its end, in a buffer that getline(3) keeps and grows.
class LineReader {
 public:
  explicit LineReader(std::FILE* input) : input_(input) {}
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader() { std::free(line_); }  // NOLINT: getline(3) allocates with malloc

  std::optional<std::string_view> next() {
    const ssize_t size = getline(&line_, &capacity_, input_);
    if (size < 0) return std::nullopt;
    std::string_view line(line_, static_cast<size_t>(size));
    if (line.ends_with('\n')) line.remove_suffix(1);
    return line;
  }

 private:
  std::FILE* input_;
  char* line_ = nullptr;
  size_t capacity_ = 0;
};

// Hands one record to librdkafka; waits while its queue is full.
rd_kafka_resp_err_t enqueue(rd_kafka_t* client, rd_kafka_topic_t* topic, int32_t partition,
                            std::optional<std::string_view> key, std::string_view value) {
  while (true) {
    // RD_KAFKA_MSG_F_COPY: librdkafka copies and does not write to the bytes, its parameter only lacks the const.
    const int result =
        rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),  // NOLINT
                         value.size(), key ? key->data() : nullptr, key ? key->size() : 0, nullptr);
    if (result == 0) return RD_KAFKA_RESP_ERR_NO_ERROR;
    const rd_kafka_resp_err_t error = rd_kafka_last_error();
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) return error;
    rd_kafka_poll(client, kPollMilliseconds);
  }
}

}  // namespace

CliResult<ProduceReport> produce_lines(const ProduceOptions& options, std::FILE* input) {
  Delivery delivery;
  auto conf =
      make_kafka_conf(options.bootstrap,
                      {{"enable.idempotence", "true"},
                       {"compression.codec", options.compression},
                       {"partitioner", "murmur2_random"},  // the same partition for a key as Java clients choose
                       {"message.timeout.ms", fmt::format("{}", options.timeout.count())}},
                      options.properties);
  if (!conf) return std::unexpected(conf.error());
  rd_kafka_conf_set_opaque(conf->get(), &delivery);
  rd_kafka_conf_set_dr_msg_cb(conf->get(), on_delivery);
  const auto client = make_kafka_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) return std::unexpected(client.error());
  if (const auto partitions = partitions_of(client->get(), options.topic, options.timeout);
      !partitions && partitions.error().code == ExitCode::kUnreachable) {
    return std::unexpected(partitions.error());
  }
  const KafkaOwner<rd_kafka_topic_t> topic(rd_kafka_topic_new(client->get(), options.topic.c_str(), nullptr));
  if (!topic)
    return cli_error(ExitCode::kUsage,
                     fmt::format("topic {}: {}", options.topic, rd_kafka_err2str(rd_kafka_last_error())));

  stop_on_signals();
  LineReader lines(input);
  while (!stop_requested()) {
    const std::optional<std::string_view> line = lines.next();
    if (!line) break;
    const size_t separator = options.key_separator.empty() ? std::string_view::npos : line->find(options.key_separator);
    const bool keyed = separator != std::string_view::npos;
    const rd_kafka_resp_err_t error = enqueue(client->get(), topic.get(), options.partition,
                                              keyed ? std::optional(line->substr(0, separator)) : std::nullopt,
                                              keyed ? line->substr(separator + options.key_separator.size()) : *line);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) delivery.add(error);
    rd_kafka_poll(client->get(), 0);
  }
  while (rd_kafka_outq_len(client->get()) > 0)
    rd_kafka_poll(client->get(), kPollMilliseconds);  // message.timeout.ms bounds it
  if (delivery.report.failed > 0) {
    return cli_error(
        ExitCode::kRefused,
        fmt::format("{} of {} records were not acknowledged: {}", delivery.report.failed,
                    delivery.report.failed + delivery.report.acknowledged, rd_kafka_err2str(delivery.first_error)));
  }
  return delivery.report;
}

}  // namespace posthaste::app
