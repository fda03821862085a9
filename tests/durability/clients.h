// The clients of the durability test, all librdkafka: idempotent producers, committers of group offsets, and the
// reader.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/cli/kafka_client.h"
#include "tests/durability/ledger.h"

namespace posthaste::durability {

// One idempotent producer with a thread of its own that sends random bursts to random partitions until it is paused.
class LoadProducer {
 public:
  LoadProducer(const std::string& bootstrap, std::string topic, int32_t partitions, uint32_t number, uint64_t seed,
               Ledger& ledger);
  LoadProducer(const LoadProducer&) = delete;
  LoadProducer& operator=(const LoadProducer&) = delete;
  ~LoadProducer();  // what was not acknowledged is abandoned

  void set_paused(bool paused) { paused_ = paused; }
  // Waits until everything that was sent is acknowledged; false when `end` comes first. Only while paused.
  bool drain(std::chrono::steady_clock::time_point end);
  // The first record that the client gave up on, or a fatal error. Must stay empty unless the producer is abandoned.
  std::string error() const;

 private:
  void run();
  void send_one(uint64_t draw);
  static void on_delivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque);

  std::string topic_name_;
  int32_t partitions_;
  uint32_t number_;
  uint64_t seed_;
  Ledger& ledger_;
  uint32_t next_sequence_ = 0;
  std::atomic<bool> paused_ = false;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::string error_;
  app::KafkaOwner<rd_kafka_t> client_;
  app::KafkaOwner<rd_kafka_topic_t> topic_;
  std::thread thread_;
};

// Commits ever larger offsets for all partitions of one group, without being a member.
class Committer {
 public:
  Committer(const std::string& bootstrap, std::string group, std::string topic, int32_t partitions);
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;
  ~Committer();

  void set_paused(bool paused) { paused_ = paused; }
  // Reads the group's offsets: each must be at least what was acknowledged and at most what was tried. Empty when so.
  std::vector<std::string> check(std::chrono::milliseconds limit);
  int64_t acknowledged() const { return acknowledged_; }

 private:
  void run();
  std::string bootstrap_;
  std::string group_;
  std::string topic_;
  int32_t partitions_;
  std::atomic<bool> paused_ = false;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> tried_ = 0;         // the offset of all partitions in the last attempt
  std::atomic<int64_t> acknowledged_ = 0;  // the last that was acknowledged
  app::KafkaOwner<rd_kafka_t> client_;
  std::thread thread_;
};

// All records of all partitions from the first to the end. Nothing when the end is not reached within `limit`.
using ReadLog = std::vector<std::vector<Ledger::Found>>;  // by partition
std::optional<ReadLog> read_everything(const std::string& bootstrap, const std::string& topic, int32_t partitions,
                                       std::chrono::milliseconds limit);

}  // namespace posthaste::durability
