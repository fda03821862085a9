// A whole broker in the simulator and a client that speaks to it, for tests of handlers and of the program around them.
#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/server.h"
#include "net/client_connection.h"
#include "net/kafka/fetch.h"
#include "net/kafka/metadata.h"
#include "net/kafka/offsets.h"
#include "net/kafka/produce.h"
#include "net/kafka/topics.h"
#include "reactor/simulated/world.h"
#include "storage/batch/record_batch_builder.h"
#include "storage/batch/record_reader.h"

namespace posthaste::broker::testing {

namespace kafka = net::kafka;
using kafka::ErrorCode;
using reactor::Core;
using reactor::Task;

inline constexpr const char* kBrokerIp = "10.0.0.1";
inline constexpr uint16_t kBrokerPort = 9092;
inline constexpr const char* kBrokerAddress = "10.0.0.1:9092";

// A batch of records with these values, as a producer sends it.
inline storage::Bytes make_batch(const std::vector<std::string>& values, storage::BatchToWrite header = {},
                                 int64_t timestamp = 1'000) {
  storage::RecordBatchBuilder builder(header);
  for (const std::string& value : values) builder.add({.timestamp = timestamp, .value = storage::bytes_of(value)});
  return builder.finish();
}

// The values of all records in `bytes` from `offset` on.
inline std::vector<std::string> values_in(kafka::Bytes bytes, int64_t offset = 0) {
  std::vector<std::string> values;
  storage::BatchCursor cursor(bytes);
  while (auto batch = cursor.next()) {
    const auto walked = storage::walk_records(*batch, [&](const storage::RecordView& record) {
      if (record.offset >= offset && record.value) values.emplace_back(storage::text_of(*record.value));
    });
    EXPECT_TRUE(walked.has_value());
  }
  return values;
}

struct Produced {
  ErrorCode error = ErrorCode::kNone;
  int64_t base_offset = -1;
  int64_t log_append_time = -1;
};

struct Fetched {
  ErrorCode error = ErrorCode::kNone;
  int64_t high_watermark = -1;
  std::vector<std::string> values;
  size_t bytes = 0;
};

// A client with the calls that tests repeat. Every call must be answered: an ended connection fails the test.
class Client {
 public:
  explicit Client(Core& core) : core_(core), connection_(core, "test") {}
  Task<void> connect() { EXPECT_TRUE((co_await connection_.connect(kBrokerAddress)).has_value()); }
  Task<void> close() { co_await connection_.close(); }
  net::ClientConnection& connection() { return connection_; }
  Core& core() { return core_; }

  template <kafka::ApiMessage Request>
  Task<net::Answer<typename Request::Response>> call(const Request& request, int16_t version) {
    auto answer = co_await connection_.call(request, version);
    EXPECT_TRUE(answer.has_value()) << kafka::to_string(Request::kKey) << " v" << version;
    if (!answer) co_return net::Answer<typename Request::Response>{};
    co_return std::move(*answer);
  }

  Task<ErrorCode> create_topic(std::string name, int32_t partitions,
                               std::vector<std::pair<std::string, std::string>> configs = {}) {
    kafka::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.num_partitions = partitions;
    topic.replication_factor = -1;
    for (const auto& [key, value] : configs) topic.configs.push_back({.name = key, .value = std::string_view(value)});
    const auto answer = co_await call(request, 7);
    co_return answer.message.topics.at(0).error_code;
  }

  Task<Produced> produce(std::string topic, int32_t partition, storage::Bytes batch, int16_t acks = -1,
                         int16_t version = 9) {
    kafka::ProduceRequest request;
    request.acks = acks;
    request.timeout_ms = 30'000;
    request.topic_data.push_back({.name = topic});
    request.topic_data[0].partition_data.push_back({.index = partition, .records = {.whole = batch}});
    const auto answer = co_await call(request, version);
    const auto& result = answer.message.responses.at(0).partition_responses.at(0);
    co_return Produced{result.error_code, result.base_offset, result.log_append_time_ms};
  }

  static kafka::FetchRequest fetch_request(std::string_view topic, int32_t partition, int64_t offset,
                                           int32_t max_wait_ms = 0, int32_t min_bytes = 1) {
    kafka::FetchRequest request;
    request.max_wait_ms = max_wait_ms;
    request.min_bytes = min_bytes;
    request.max_bytes = 1 << 20;
    request.topics.push_back({.topic = topic});
    request.topics[0].partitions.push_back(
        {.partition = partition, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
    return request;
  }
  static Fetched fetched(const kafka::FetchResponse::Topic::Partition& partition, int64_t offset) {
    return {.error = partition.error_code,
            .high_watermark = partition.high_watermark,
            .values = values_in(partition.records.whole, offset),
            .bytes = partition.records.whole.size()};
  }
  Task<Fetched> fetch(std::string topic, int32_t partition, int64_t offset, int32_t max_wait_ms = 0,
                      int32_t min_bytes = 1) {
    const auto answer = co_await call(fetch_request(topic, partition, offset, max_wait_ms, min_bytes), 11);
    co_return fetched(answer.message.responses.at(0).partitions.at(0), offset);
  }

  Task<kafka::ListOffsetsResponse::Topic::Partition> list_offset(std::string topic, int32_t partition,
                                                                 int64_t timestamp) {
    kafka::ListOffsetsRequest request;
    request.replica_id = -1;
    request.topics.push_back({.name = topic});
    request.topics[0].partitions.push_back({.partition_index = partition, .timestamp = timestamp});
    const auto answer = co_await call(request, 7);
    co_return answer.message.topics.at(0).partitions.at(0);
  }

 private:
  Core& core_;
  net::ClientConnection connection_;
};

// A broker on a host of its own; every test brings its clients.
class BrokerTest : public ::testing::Test {
 protected:
  static constexpr reactor::CoreId kCores = 3;

  BrokerTest() {
    options_.data_folder = "/data";
    options_.listeners.push_back({.host = kBrokerIp, .port = kBrokerPort});
    options_.engine.journal_file_bytes = uint64_t{256} << 10;
    options_.engine.commit_bytes_max = uint32_t{64} << 10;
    options_.engine.tail_bytes_max = uint64_t{4} << 20;
    options_.engine.cache_bytes_max = uint64_t{1} << 20;
    options_.connection.request_memory_bytes = uint64_t{4} << 20;
    options_.fetch_memory_bytes = uint64_t{4} << 20;
    options_.group.initial_rebalance_delay_ms = 100;
    options_.offsets_topic_partitions = 4;
  }

  void start(reactor::CoreId cores = kCores) {
    shared_ = std::make_shared<BrokerHost>();
    ready_ = false;
    shared_->on_ready = [this](const ReadyReport& report) {
      ready_ = true;
      report_ = report;
    };
    const reactor::HostOptions host_options{.cores = cores, .pool_bytes_per_core = size_t{32} << 20};
    if (broker_ == nullptr) broker_ = &world_.add_host(host_options, kBrokerIp, {});
    broker_->set_options(host_options);
    broker_->set_program(make_broker_program(options_, shared_));
    broker_->start();
    world_.run_until([this] { return ready_ || !broker_->running(); }, std::chrono::seconds(60));
  }
  void stop() {
    broker_->stop();
    EXPECT_TRUE(world_.run_until([this] { return !broker_->running(); }, std::chrono::seconds(60)))
        << world_.log_tail();
    EXPECT_EQ(broker_->state(), reactor::simulated::HostState::kStopped);
  }
  // While the broker is down: these files are gone, and folders that held nothing else.
  void lose_files(const std::function<bool(const std::string&)>& which) {
    reactor::simulated::Disk left;
    for (const std::string& path : broker_->disk().all_files()) {
      if (!which(path)) left.write_file(path, *broker_->disk().read_file(path));
    }
    broker_->disk() = std::move(left);
  }
  // Runs a client on a host of its own until it returns.
  void run(std::function<Task<void>(Client&)> client) {
    auto program = [client = std::move(client)](Core& core) -> Task<void> { return run_one(core, client); };
    auto& host = world_.add_host({.cores = 1, .pool_bytes_per_core = size_t{1} << 20},
                                 fmt::format("10.0.1.{}", ++clients_), program);
    host.start();
    EXPECT_TRUE(world_.run_until([&] { return !host.running(); }, std::chrono::seconds(300))) << world_.log_tail();
  }

  reactor::simulated::World world_{11};
  BrokerOptions options_;
  std::shared_ptr<BrokerHost> shared_;
  reactor::simulated::Host* broker_ = nullptr;
  bool ready_ = false;
  ReadyReport report_;
  int clients_ = 0;

 private:
  static Task<void> run_one(Core& core, const std::function<Task<void>(Client&)>& body) {
    Client client(core);
    co_await client.connect();
    co_await body(client);
    co_await client.close();
  }
};

}  // namespace posthaste::broker::testing
