// posthaste-bench-load: drives a broker with librdkafka, or the floor program with bare frames, and prints one line of
// JSON. It measures the client's side only; what the broker spends is measured by bench/run.py.
//
//   posthaste-bench-load produce HOST:PORT TOPIC RECORDS BYTES [KEY=VALUE...]      librdkafka settings
//   posthaste-bench-load consume HOST:PORT TOPIC RECORDS [KEY=VALUE...]
//   posthaste-bench-load single  HOST:PORT TOPIC CONNECTIONS RECORDS_EACH BYTES    one record a request, one in flight
//   posthaste-bench-load latency HOST:PORT TOPIC RECORDS_PER_SECOND SECONDS BYTES  end to end, producer to consumer
//   posthaste-bench-load floor   HOST:PORT FRAMES BYTES IN_FLIGHT
#include <arpa/inet.h>
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPollMs = 100;
constexpr int kFlushMs = 120'000;

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "posthaste-bench-load: {}\n", why);
  std::exit(1);
}

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }
int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

uint64_t number(const char* text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0') die(fmt::format("{} is not a number", text));
  return value;
}

struct Deliveries {
  std::atomic<uint64_t> done = 0;
  std::atomic<uint64_t> failed = 0;
  std::vector<int64_t>* latencies_ns = nullptr;  // filled by the thread that polls
};

void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto& deliveries = *static_cast<Deliveries*>(opaque);
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (deliveries.failed++ == 0) fmt::print(stderr, "delivery failed: {}\n", rd_kafka_err2str(message->err));
  }
  if (deliveries.latencies_ns != nullptr) deliveries.latencies_ns->push_back(rd_kafka_message_latency(message) * 1000);
  ++deliveries.done;
}

class Handle {
 public:
  Handle(rd_kafka_type_t type, const std::string& brokers, std::span<char*> settings,
         const std::vector<std::pair<std::string, std::string>>& defaults, Deliveries* deliveries) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    for (const auto& [key, value] : defaults) set(conf, key, value);
    for (const char* setting : settings) {
      const std::string text(setting);
      const size_t equals = text.find('=');
      if (equals == std::string::npos) die(fmt::format("{} is not KEY=VALUE", text));
      set(conf, text.substr(0, equals), text.substr(equals + 1));
    }
    if (deliveries != nullptr) {
      rd_kafka_conf_set_opaque(conf, deliveries);
      rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    }
    char error[512];
    kafka_ = rd_kafka_new(type, conf, error, sizeof error);
    if (kafka_ == nullptr) die(error);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { rd_kafka_destroy(kafka_); }
  rd_kafka_t* get() const { return kafka_; }

 private:
  static void set(rd_kafka_conf_t* conf, const std::string& key, const std::string& value) {
    char error[512];
    if (rd_kafka_conf_set(conf, key.c_str(), value.c_str(), error, sizeof error) != RD_KAFKA_CONF_OK) die(error);
  }
  rd_kafka_t* kafka_ = nullptr;
};

std::string random_bytes(size_t bytes) {
  std::mt19937_64 random(7);  // NOLINT: the same content in every run
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

void send(rd_kafka_t* kafka, rd_kafka_topic_t* topic, const std::string& value) {
  for (;;) {
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                         value.size(), nullptr, 0, nullptr) == 0) {
      return;
    }
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die(rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_poll(kafka, kPollMs);
  }
}

std::string percentiles(std::vector<int64_t>& values) {
  if (values.empty()) return "null";
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return static_cast<double>(values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))]) / 1e6;
  };
  return fmt::format(R"({{"p50":{:.3f},"p90":{:.3f},"p99":{:.3f},"p999":{:.3f},"max":{:.3f}}})", at(0.5), at(0.9),
                     at(0.99), at(0.999), at(1));
}

int produce(const std::string& brokers, const char* name, uint64_t records, uint64_t bytes, std::span<char*> settings) {
  Deliveries deliveries;
  const Handle producer(RD_KAFKA_PRODUCER, brokers, settings, {{"queue.buffering.max.messages", "100000"}},
                        &deliveries);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(producer.get(), name, nullptr);
  const std::string value = random_bytes(bytes);
  const auto begin = Clock::now();
  for (uint64_t i = 0; i < records; ++i) {
    send(producer.get(), topic, value);
    if (i % 256 == 0) rd_kafka_poll(producer.get(), 0);
  }
  rd_kafka_flush(producer.get(), kFlushMs);
  const double seconds = seconds_since(begin);
  rd_kafka_topic_destroy(topic);
  fmt::print(R"({{"records":{},"failed":{},"bytes":{},"seconds":{:.3f}}})"
             "\n",
             deliveries.done.load(), deliveries.failed.load(), deliveries.done * bytes, seconds);
  return deliveries.failed == 0 && deliveries.done == records ? 0 : 1;
}

int consume(const std::string& brokers, const char* name, uint64_t records, std::span<char*> settings) {
  const Handle consumer(RD_KAFKA_CONSUMER, brokers, settings,
                        {{"group.id", fmt::format("bench-{}", now_ns())},
                         {"auto.offset.reset", "earliest"},
                         {"enable.auto.commit", "false"}},
                        nullptr);
  rd_kafka_poll_set_consumer(consumer.get());
  rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, name, RD_KAFKA_PARTITION_UA);
  rd_kafka_subscribe(consumer.get(), topics);
  rd_kafka_topic_partition_list_destroy(topics);
  uint64_t seen = 0;
  uint64_t bytes = 0;
  Clock::time_point first{};
  const auto begin = Clock::now();
  while (seen < records) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer.get(), kPollMs);
    if (message == nullptr) {
      if (seconds_since(begin) > kFlushMs / 1000.0) die(fmt::format("only {} of {} records came", seen, records));
      continue;
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (seen++ == 0) first = Clock::now();
      bytes += message->len;
    }
    rd_kafka_message_destroy(message);
  }
  const double seconds = seconds_since(first);
  rd_kafka_consumer_close(consumer.get());
  fmt::print(R"({{"records":{},"failed":0,"bytes":{},"seconds":{:.3f}}})"
             "\n",
             seen, bytes, seconds);
  return 0;
}

// One record a request, the next one when it is acked, on many connections at once.
int single(const std::string& brokers, const char* name, uint64_t connections, uint64_t records, uint64_t bytes) {
  std::vector<std::vector<int64_t>> latencies(connections);
  std::atomic<uint64_t> failed = 0;
  std::vector<std::thread> threads;
  const std::string value = random_bytes(bytes);
  const auto begin = Clock::now();
  for (uint64_t c = 0; c < connections; ++c) {
    threads.emplace_back([&, c] {
      Deliveries deliveries;
      deliveries.latencies_ns = &latencies[c];
      const Handle producer(RD_KAFKA_PRODUCER, brokers, {}, {{"linger.ms", "0"}, {"batch.num.messages", "1"}},
                            &deliveries);
      rd_kafka_topic_t* topic = rd_kafka_topic_new(producer.get(), name, nullptr);
      for (uint64_t i = 0; i < records; ++i) {
        send(producer.get(), topic, value);
        while (deliveries.done <= i) rd_kafka_poll(producer.get(), kPollMs);
      }
      rd_kafka_topic_destroy(topic);
      failed += deliveries.failed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = seconds_since(begin);
  std::vector<int64_t> all;
  for (const auto& part : latencies) all.insert(all.end(), part.begin(), part.end());
  fmt::print(R"({{"records":{},"failed":{},"bytes":{},"seconds":{:.3f},"latency_ms":{}}})"
             "\n",
             connections * records, failed.load(), connections * records * bytes, seconds, percentiles(all));
  return failed == 0 ? 0 : 1;
}

// Records carry the time at which they should have been sent, so that a client that is late counts as latency too.
int latency(const std::string& brokers, const char* name, uint64_t rate, uint64_t seconds, uint64_t bytes) {
  const uint64_t records = rate * seconds;
  const std::string topic_name(name);
  std::vector<int64_t> latencies;
  latencies.reserve(records);
  std::atomic<bool> assigned = false;
  std::thread reader([&] {
    const Handle consumer(RD_KAFKA_CONSUMER, brokers, {},
                          {{"group.id", fmt::format("bench-{}", now_ns())},
                           {"auto.offset.reset", "earliest"},
                           {"fetch.wait.max.ms", "500"},
                           {"enable.auto.commit", "false"}},
                          nullptr);
    rd_kafka_poll_set_consumer(consumer.get());
    rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic_name.c_str(), RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer.get(), topics);
    rd_kafka_topic_partition_list_destroy(topics);
    uint64_t seen = 0;
    while (seen < records + 1) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer.get(), kPollMs);
      if (message == nullptr) continue;
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        int64_t due = 0;
        std::memcpy(&due, message->payload, std::min(sizeof due, message->len));
        if (seen++ == 0) {
          assigned = true;  // the probe
        } else {
          latencies.push_back(now_ns() - due);
        }
      }
      rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer.get());
  });
  Deliveries deliveries;
  const Handle producer(RD_KAFKA_PRODUCER, brokers, {}, {{"linger.ms", "0"}}, &deliveries);
  rd_kafka_topic_t* topic = rd_kafka_topic_new(producer.get(), name, nullptr);
  std::string value = random_bytes(std::max<uint64_t>(bytes, sizeof(int64_t)));
  send(producer.get(), topic, value);
  while (!assigned) rd_kafka_poll(producer.get(), 10);
  const int64_t begin = now_ns();
  for (uint64_t i = 0; i < records; ++i) {
    const int64_t due = begin + static_cast<int64_t>(i * 1'000'000'000 / rate);
    while (now_ns() < due) rd_kafka_poll(producer.get(), 1);
    std::memcpy(value.data(), &due, sizeof due);
    send(producer.get(), topic, value);
    rd_kafka_poll(producer.get(), 0);
  }
  rd_kafka_flush(producer.get(), kFlushMs);
  reader.join();
  rd_kafka_topic_destroy(topic);
  fmt::print(R"({{"records":{},"failed":{},"bytes":{},"seconds":{},"latency_ms":{}}})"
             "\n",
             records, deliveries.failed.load(), records * bytes, seconds, percentiles(latencies));
  return deliveries.failed == 0 ? 0 : 1;
}

void transfer(int fd, char* bytes, size_t count, bool out) {
  for (size_t done = 0; done < count;) {
    const ssize_t moved =
        out ? ::send(fd, bytes + done, count - done, MSG_NOSIGNAL) : ::recv(fd, bytes + done, count - done, 0);
    if (moved <= 0) die("the floor program has closed the connection");
    done += static_cast<size_t>(moved);
  }
}

int floor_load(const std::string& address, uint64_t frames, uint64_t bytes, uint64_t in_flight) {
  const size_t colon = address.find(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(number(address.c_str() + colon + 1)));
  ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0) die(fmt::format("no connection to {}", address));
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string frame(sizeof(uint32_t), '\0');
  frame += random_bytes(bytes);
  const auto length = static_cast<uint32_t>(bytes);
  std::memcpy(frame.data(), &length, sizeof length);
  const auto begin = Clock::now();
  uint64_t answered = 0;
  for (uint64_t sent = 0; answered < frames;) {
    while (sent < frames && sent - answered < in_flight) {
      transfer(fd, frame.data(), frame.size(), true);
      ++sent;
    }
    uint32_t answer = 0;
    transfer(fd, reinterpret_cast<char*>(&answer), sizeof answer, false);
    ++answered;
  }
  fmt::print(R"({{"records":{},"failed":0,"bytes":{},"seconds":{:.3f}}})"
             "\n",
             frames, frames * bytes, seconds_since(begin));
  ::close(fd);
  return 0;
}

int run(std::span<char*> arguments) {
  const std::string mode = arguments.empty() ? "" : arguments[0];
  const size_t count = arguments.size();
  if (mode == "produce" && count >= 5) {
    return produce(arguments[1], arguments[2], number(arguments[3]), number(arguments[4]), arguments.subspan(5));
  }
  if (mode == "consume" && count >= 4)
    return consume(arguments[1], arguments[2], number(arguments[3]), arguments.subspan(4));
  if (mode == "single" && count == 6) {
    return single(arguments[1], arguments[2], number(arguments[3]), number(arguments[4]), number(arguments[5]));
  }
  if (mode == "latency" && count == 6) {
    return latency(arguments[1], arguments[2], number(arguments[3]), number(arguments[4]), number(arguments[5]));
  }
  if (mode == "floor" && count == 5) {
    return floor_load(arguments[1], number(arguments[2]), number(arguments[3]), number(arguments[4]));
  }
  fmt::print(stderr, "usage: posthaste-bench-load produce|consume|single|latency|floor ... (see bench/load_main.cc)\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) { return run(std::span(argv, static_cast<size_t>(argc)).subspan(1)); }
