// Messages to bytes and back, as the broker does it for a request: header, body, answer.
#include "bench/micro/measure.h"
#include "net/kafka/fetch.h"
#include "net/kafka/frame.h"
#include "net/kafka/metadata.h"
#include "net/kafka/produce.h"
#include "reactor/check.h"

namespace posthaste::micro {
namespace {

namespace kafka = net::kafka;

constexpr int16_t kProduceVersion = 11;
constexpr int16_t kFetchVersion = 12;
constexpr int16_t kMetadataVersion = 12;
constexpr const char* kTopic = "a-topic-with-a-name-of-usual-length";

// The frame of a request without its length prefix, as a connection has it.
template <class Request>
std::vector<std::byte> received(const Request& request, int16_t version) {
  std::vector<std::byte> frame = kafka::encode_request(request, version, 7, "producer-1").flatten();
  frame.erase(frame.begin(), frame.begin() + kafka::kFrameLengthSize);
  return frame;
}

template <class Request>
Request decoded(const std::vector<std::byte>& frame, int16_t version) {
  auto header = kafka::decode_request_header(frame);
  CHECK(header.has_value());
  auto request = kafka::decode<Request>(header->body, version);
  CHECK(request.has_value());
  return std::move(*request);
}

void codec_produce(benchmark::State& state) {
  const storage::Bytes batch = make_batch(1, 1'000);
  kafka::ProduceRequest request{.acks = -1, .timeout_ms = 30'000};
  auto& topic = request.topic_data.emplace_back();
  topic.name = kTopic;
  for (int32_t i = 0; i < state.range(0); ++i) {
    topic.partition_data.push_back({.index = i, .records = {.whole = batch}});
  }
  const std::vector<std::byte> frame = received(request, kProduceVersion);
  measure(state, [&] {
    const auto asked = decoded<kafka::ProduceRequest>(frame, kProduceVersion);
    kafka::ProduceResponse response;
    auto& out = response.responses.emplace_back();
    out.name = asked.topic_data[0].name;
    out.partition_responses.reserve(asked.topic_data[0].partition_data.size());
    for (const auto& partition : asked.topic_data[0].partition_data) {
      out.partition_responses.push_back({.index = partition.index, .base_offset = 1'000'000});
    }
    benchmark::DoNotOptimize(kafka::encode_response(response, kProduceVersion, 7));
  });
}
BENCHMARK(codec_produce)->ArgName("partitions")->Arg(1)->Arg(6)->Arg(100);

void codec_fetch(benchmark::State& state) {
  kafka::FetchRequest request{.max_wait_ms = 500, .min_bytes = 1};
  auto& topic = request.topics.emplace_back();
  topic.topic = kTopic;
  for (int32_t i = 0; i < state.range(0); ++i) {
    topic.partitions.push_back({.partition = i, .fetch_offset = 1'000'000, .partition_max_bytes = 1 << 20});
  }
  const std::vector<std::byte> frame = received(request, kFetchVersion);
  const storage::Bytes records(16 << 10);
  measure(state, [&] {
    const auto asked = decoded<kafka::FetchRequest>(frame, kFetchVersion);
    kafka::FetchResponse response;
    auto& out = response.responses.emplace_back();
    out.topic = asked.topics[0].topic;
    out.partitions.reserve(asked.topics[0].partitions.size());
    for (const auto& partition : asked.topics[0].partitions) {
      auto& answer = out.partitions.emplace_back();
      answer.partition_index = partition.partition;
      answer.high_watermark = 2'000'000;
      answer.records.whole = records;
    }
    benchmark::DoNotOptimize(kafka::encode_response(response, kFetchVersion, 7));
  });
}
BENCHMARK(codec_fetch)->ArgName("partitions")->Arg(1)->Arg(6)->Arg(100);

void codec_metadata_response(benchmark::State& state) {
  kafka::MetadataResponse response;
  response.brokers.push_back({.node_id = 1, .host = "broker-1.example", .port = 9092});
  auto& topic = response.topics.emplace_back();
  topic.name = kTopic;
  for (int32_t i = 0; i < 1'000; ++i) {
    topic.partitions.push_back({.partition_index = i, .leader_id = 1, .replica_nodes = {1}, .isr_nodes = {1}});
  }
  const size_t bytes = kafka::encode_response(response, kMetadataVersion, 7).size();
  measure(state, [&] { benchmark::DoNotOptimize(kafka::encode_response(response, kMetadataVersion, 7)); });
  bytes_per_operation(state, bytes);
}
BENCHMARK(codec_metadata_response);

}  // namespace
}  // namespace posthaste::micro
