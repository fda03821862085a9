#include "tests/durability/clients.h"

#include <fmt/format.h>

#include <random>
#include <set>

#include "reactor/check.h"

namespace posthaste::durability {
namespace {

constexpr int kPollMilliseconds = 50;
constexpr auto kIdle = std::chrono::milliseconds(2);
constexpr int kCommitPauseMilliseconds = 3;

// Reconnects quickly: the broker is away for tens of milliseconds, and the test should not wait for clients.
app::KafkaSettings with_quick_reconnect(app::KafkaSettings settings) {
  settings.insert(settings.end(), {{"reconnect.backoff.ms", "10"},
                                   {"reconnect.backoff.max.ms", "50"},
                                   {"retry.backoff.ms", "20"},
                                   {"topic.metadata.refresh.interval.ms", "5000"},
                                   {"socket.timeout.ms", "10000"}});
  return settings;
}

app::KafkaOwner<rd_kafka_t> make_client(rd_kafka_type_t type, const std::string& bootstrap,
                                        const app::KafkaSettings& settings, void* opaque,
                                        void (*on_delivery)(rd_kafka_t*, const rd_kafka_message_t*, void*)) {
  auto conf = app::make_kafka_conf(bootstrap, with_quick_reconnect(settings), {});
  CHECK(conf, "{}", conf.error().message);
  rd_kafka_conf_set_opaque(conf->get(), opaque);
  if (on_delivery != nullptr) rd_kafka_conf_set_dr_msg_cb(conf->get(), on_delivery);
  auto client = app::make_kafka_client(type, std::move(*conf));
  CHECK(client, "{}", client.error().message);
  return std::move(*client);
}

using PartitionList = app::KafkaOwner<rd_kafka_topic_partition_list_t>;

PartitionList list_of(const std::string& topic, int32_t partitions, int64_t offset) {
  PartitionList list(rd_kafka_topic_partition_list_new(partitions));
  for (int32_t partition = 0; partition < partitions; ++partition) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  }
  return list;
}

// Mostly small, some of a few kilobytes, few so large that they leave the journal's usual path.
size_t value_size(uint64_t draw) {
  constexpr size_t kSmall = 200;
  constexpr size_t kMiddle = 4000;
  constexpr size_t kLarge = 60'000;
  if (draw % 200 == 0) return kLarge - draw / 200 % 1000;
  return draw % 10 == 0 ? draw / 10 % kMiddle : draw / 10 % kSmall;
}

}  // namespace

LoadProducer::LoadProducer(const std::string& bootstrap, std::string topic, int32_t partitions, uint32_t number,
                           uint64_t seed, Ledger& ledger)
    : topic_name_(std::move(topic)), partitions_(partitions), number_(number), seed_(seed), ledger_(ledger) {
  client_ = make_client(RD_KAFKA_PRODUCER, bootstrap,
                        {{"enable.idempotence", "true"},
                         {"linger.ms", fmt::format("{}", seed % 4)},
                         {"compression.codec", seed % 3 == 0 ? "lz4" : "none"},
                         {"queue.buffering.max.messages", "2000"},
                         {"message.timeout.ms", "120000"}},
                        this, &LoadProducer::on_delivery);
  topic_.reset(rd_kafka_topic_new(client_.get(), topic_name_.c_str(), nullptr));
  CHECK(topic_ != nullptr);
  thread_ = std::thread([this] { run(); });
}

LoadProducer::~LoadProducer() {
  stopping_ = true;
  thread_.join();
  rd_kafka_purge(client_.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

void LoadProducer::run() {
  std::mt19937_64 random(seed_);
  while (!stopping_) {
    if (paused_) {
      rd_kafka_poll(client_.get(), kPollMilliseconds);
      continue;
    }
    constexpr uint64_t kBurst = 40;
    for (uint64_t left = 1 + random() % kBurst; left > 0 && !stopping_; --left) send_one(random());
    rd_kafka_poll(client_.get(), static_cast<int>(random() % 4));
  }
}

void LoadProducer::send_one(uint64_t draw) {
  const auto partition = static_cast<int32_t>(draw % static_cast<uint64_t>(partitions_));
  const RecordId id{number_, next_sequence_++};
  std::string value = value_of(id, value_size(draw >> 16));
  ledger_.sent(partition, id);
  // Neither a full queue nor a broker that is down may cost a number: the ledger expects them without holes.
  while (rd_kafka_produce(topic_.get(), partition, RD_KAFKA_MSG_F_COPY, value.data(), value.size(), nullptr, 0,
                          nullptr) != 0) {
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL || stopping_) {
      const std::lock_guard lock(mutex_);
      if (error_.empty() && !stopping_)
        error_ = fmt::format("producer {}: {}", number_, rd_kafka_err2str(rd_kafka_last_error()));
      stopping_ = true;
      return;
    }
    rd_kafka_poll(client_.get(), kPollMilliseconds);
  }
}

void LoadProducer::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto* self = static_cast<LoadProducer*>(opaque);
  const std::optional<RecordId> id = parse_value({static_cast<const char*>(message->payload), message->len});
  CHECK(id);
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->ledger_.acknowledged(message->partition, message->offset, *id);
    return;
  }
  const std::lock_guard lock(self->mutex_);
  if (self->error_.empty()) {
    self->error_ = fmt::format("producer {}: record {} for partition {} failed: {}", id->producer, id->sequence,
                               message->partition, rd_kafka_err2str(message->err));
  }
}

bool LoadProducer::drain(std::chrono::steady_clock::time_point end) {
  while (rd_kafka_outq_len(client_.get()) > 0) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kIdle);
  }
  return true;
}

std::string LoadProducer::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

Committer::Committer(const std::string& bootstrap, std::string group, std::string topic, int32_t partitions)
    : bootstrap_(bootstrap), group_(std::move(group)), topic_(std::move(topic)), partitions_(partitions) {
  client_ = make_client(RD_KAFKA_CONSUMER, bootstrap, {{"group.id", group_}, {"enable.auto.commit", "false"}}, nullptr,
                        nullptr);
  rd_kafka_poll_set_consumer(client_.get());
  thread_ = std::thread([this] { run(); });
}

Committer::~Committer() {
  stopping_ = true;
  thread_.join();
}

void Committer::run() {
  while (!stopping_) {
    if (paused_) {
      std::this_thread::sleep_for(kIdle);
      continue;
    }
    const int64_t offset = tried_ + 1;
    tried_ = offset;
    const PartitionList list = list_of(topic_, partitions_, offset);
    bool all = rd_kafka_commit(client_.get(), list.get(), 0) == RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < list->cnt; ++i) all = all && list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (all) acknowledged_ = offset;
    rd_kafka_consumer_poll(client_.get(), kCommitPauseMilliseconds);  // serves the client's events; nothing is assigned
  }
}

// A client of its own: what the committer's client remembers must not count.
std::vector<std::string> Committer::check(std::chrono::milliseconds limit) {
  const auto reader = make_client(RD_KAFKA_CONSUMER, bootstrap_,
                                  {{"group.id", group_}, {"enable.auto.commit", "false"}}, nullptr, nullptr);
  const int64_t least = acknowledged_;
  const PartitionList list = list_of(topic_, partitions_, RD_KAFKA_OFFSET_INVALID);
  const rd_kafka_resp_err_t error = rd_kafka_committed(reader.get(), list.get(), static_cast<int>(limit.count()));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return {fmt::format("group {}: its offsets cannot be read: {}", group_, rd_kafka_err2str(error))};
  std::vector<std::string> mistakes;
  for (int i = 0; i < list->cnt; ++i) {
    const int64_t found = list->elems[i].offset == RD_KAFKA_OFFSET_INVALID ? 0 : list->elems[i].offset;
    if (found < least || found > tried_) {
      mistakes.push_back(fmt::format("group {}: partition {} is at {}, acknowledged was {}, tried {}", group_,
                                     list->elems[i].partition, found, least, tried_.load()));
    }
  }
  if (mistakes.size() > 1)
    mistakes = {fmt::format("{} (and {} more partitions)", mistakes.front(), mistakes.size() - 1)};
  return mistakes;
}

std::optional<ReadLog> read_everything(const std::string& bootstrap, const std::string& topic, int32_t partitions,
                                       std::chrono::milliseconds limit) {
  const auto reader = make_client(RD_KAFKA_CONSUMER, bootstrap,
                                  {{"group.id", "durability-reader"},
                                   {"enable.auto.commit", "false"},
                                   {"enable.partition.eof", "true"},
                                   {"fetch.wait.max.ms", "50"},
                                   {"check.crcs", "true"},
                                   {"queued.min.messages", "50000"}},
                                  nullptr, nullptr);
  rd_kafka_poll_set_consumer(reader.get());
  const PartitionList list = list_of(topic, partitions, RD_KAFKA_OFFSET_BEGINNING);
  CHECK(rd_kafka_assign(reader.get(), list.get()) == RD_KAFKA_RESP_ERR_NO_ERROR);
  ReadLog log(static_cast<size_t>(partitions));
  std::set<int32_t> ended;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (ended.size() < static_cast<size_t>(partitions)) {
    if (std::chrono::steady_clock::now() > end) return std::nullopt;
    const app::KafkaOwner<rd_kafka_message_t> message(rd_kafka_consumer_poll(reader.get(), kPollMilliseconds));
    if (!message) continue;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ended.insert(message->partition);
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const std::string_view value(static_cast<const char*>(message->payload), message->len);
      log.at(static_cast<size_t>(message->partition)).push_back({message->offset, parse_value(value)});
    } else {
      fmt::print("reader: {}\n", rd_kafka_message_errstr(message.get()));
    }
  }
  return log;
}

}  // namespace posthaste::durability
