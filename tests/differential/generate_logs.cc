// Requests about records: produce, fetch, offsets, and what administrators do with logs.
#include "net/kafka/fetch.h"
#include "net/kafka/log_admin.h"
#include "net/kafka/offsets.h"
#include "net/kafka/produce.h"
#include "net/kafka/producer_ids.h"
#include "tests/differential/generator.h"

namespace posthaste::differential {

constexpr int32_t kTimeoutMs = 30'000;
constexpr int32_t kPlentyBytes = 1 << 20;

void Generator::init_producer_id() {
  auto& step = add<kafka::InitProducerIdRequest>();
  step.message.transaction_timeout_ms = pick({60'000, 0, -1});
  if (step.version >= 3 && chance(25)) {
    step.message.producer_id = pick<int64_t>({5, -1, -2, INT64_MAX});
    step.message.producer_epoch = pick<int16_t>({0, -1, 5, INT16_MAX, -2});
  }
  producers_.push_back({.step = step.number});
}

BatchRecipe Generator::some_batch() {
  BatchRecipe batch;
  batch.records = 1 + static_cast<int>(draw(4));
  batch.first_time = base_time_ms_ + static_cast<int64_t>(draw(1000)) * 1000;
  batch.time_step = pick<int64_t>({0, 1, 500, -500});
  batch.value_bytes = chance(90) ? 1 + static_cast<int>(draw(60)) : 400;
  return batch;
}

void Generator::produce() {
  auto& step = add<kafka::ProduceRequest>();
  step.message.acks = chance(94) ? pick<int16_t>({-1, 1}) : pick<int16_t>({2, -2});
  step.message.timeout_ms = chance(80) ? kTimeoutMs : pick({0, 1, -1});
  if (chance(12)) step.message.acks = 0;
  step.unanswered = step.message.acks == 0;
  constexpr int16_t kFirstThatKafkaTakes = 3;
  if (step.unanswered || step.version < kFirstThatKafkaTakes) step.connection = kEndedConnection;
  for (size_t i = pick<size_t>({1, 1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topic_data.emplace_back();
    topic.name = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 1, 2, 3}); n > 0; --n) {
      const int32_t partition = partition_of(topic.name);
      const auto same = [&](const auto& t) {
        return t.name == topic.name &&
               std::ranges::count(t.partition_data, partition, &kafka::ProduceRequest::Topic::Partition::index) > 0;
      };
      if (std::ranges::any_of(step.message.topic_data, same)) {
        if (step.unanswered) continue;  // no answer would show that the brokers' states differ from here on
        step.traits.insert("a partition twice");
      }
      topic.partition_data.push_back({.index = partition, .records = step.records(some_batch())});
    }
  }
}

void Generator::produce_odd() {
  auto& step = add<kafka::ProduceRequest>();
  step.message.acks = pick<int16_t>({-1, 1});
  step.message.timeout_ms = kTimeoutMs;
  if (step.version < 3) step.connection = kEndedConnection;
  const int topic = some_topic();
  auto& data = step.message.topic_data.emplace_back();
  data.name = step.keep(fmt::format("$t{}", topic));
  BatchRecipe batch = some_batch();
  batch.flaw = static_cast<Flaw>(1 + draw(static_cast<uint64_t>(kLastFlaw)));
  // Kafka never answers: it would take the whole patience of the test each time.
  if (batch.flaw == Flaw::kNull) batch.flaw = Flaw::kChecksum;
  const bool needs_producer = batch.flaw == Flaw::kProducerNoSequence;
  if (!producers_.empty() && needs_producer) batch.producer = producers_.back().step;
  if (needs_producer && producers_.empty()) batch.flaw = Flaw::kChecksum;
  if (batch.flaw == Flaw::kFarFuture) batch.first_time = INT64_MAX / 2;
  if (chance(8)) {
    batch.flaw = Flaw::kNone;
    batch.with_keys = false;
    step.traits.insert("no keys");
  }
  if (batch.flaw != Flaw::kNone) step.traits.insert(std::string(to_string(batch.flaw)));
  if (batch.flaw == Flaw::kMagic3 || batch.flaw == Flaw::kLengthNegative) {
    step.traits.insert("magic 3 or negative length");
  }
  data.partition_data.push_back({.index = static_cast<int32_t>(draw(static_cast<uint64_t>(
                                     std::max(topics_[static_cast<size_t>(topic)].partitions, 1)))),
                                 .records = step.records(batch)});
}

void Generator::produce_idempotent() {
  if (producers_.empty()) return init_producer_id();
  Producer& producer = producers_[draw(producers_.size())];
  auto& step = add<kafka::ProduceRequest>();
  step.message.acks = chance(90) ? int16_t{-1} : int16_t{1};
  if (step.version < 3) step.connection = kEndedConnection;
  step.message.timeout_ms = kTimeoutMs;
  const int topic = some_topic();
  auto& data = step.message.topic_data.emplace_back();
  data.name = step.keep(fmt::format("$t{}", topic));
  const auto partition =
      static_cast<int32_t>(draw(static_cast<uint64_t>(std::max(topics_[static_cast<size_t>(topic)].partitions, 1))));
  int32_t& next = producer.next_sequence[{topic, partition}];
  step.traits.insert("with a producer id");
  BatchRecipe batch = some_batch();
  batch.producer = producer.step;
  batch.base_sequence = next;
  batch.producer_epoch = 0;
  const int kind = static_cast<int>(draw(20));
  if (kind < 11) {
    next += batch.records;
  } else if (kind < 14) {  // something sent before, perhaps exactly
    batch.base_sequence = std::max(0, next - static_cast<int32_t>(1 + draw(6)));
  } else if (kind < 15) {
    batch.base_sequence = next + static_cast<int32_t>(1 + draw(3));
  } else if (kind < 16) {
    batch.base_sequence = pick<int32_t>({-1, -2, INT32_MAX, INT32_MIN});
    step.traits.insert("odd sequence");
  } else if (kind < 18) {
    batch.producer_epoch = pick<int16_t>({1, 2, -1, -2, INT16_MAX});
    batch.base_sequence = chance(60) ? 0 : next;
    if (batch.producer_epoch < 0) step.traits.insert("negative producer epoch");
  } else {
    batch.base_sequence = 0;
  }
  data.partition_data.push_back({.index = partition, .records = step.records(batch)});
}

void Generator::fetch() {
  auto& step = add<kafka::FetchRequest>();
  step.message.max_wait_ms = chance(90) ? 0 : pick({20, -1});
  step.message.min_bytes = pick({0, 1, 1, 5000, -1});
  step.message.max_bytes = chance(85) ? kPlentyBytes : pick({0, 1, 100, INT32_MAX, -1});
  if (step.message.max_bytes < 0) step.traits.insert("negative bytes");
  step.message.isolation_level = chance(90) ? pick<int8_t>({0, 1}) : int8_t{7};
  if (step.message.isolation_level == 7) step.traits.insert("unknown isolation level");
  step.message.session_id = 0;
  step.message.session_epoch = -1;
  step.message.replica_id = chance(96) ? -1 : pick({-2, 5});
  step.message.replica_state.replica_id = step.message.replica_id;
  // Or when there is no reading: then Kafka answers as often as a partition is named.
  const bool may_take_part = step.message.max_bytes != kPlentyBytes || step.message.isolation_level == 7;
  for (size_t i = pick<size_t>({1, 1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.topic = step.keep(topic_name(10));
    // When not all fits, which partition comes first is each broker's choice.
    for (size_t n = may_take_part ? 1 : pick<size_t>({1, 1, 2, 3}); n > 0; --n) {
      auto& asked = topic.partitions.emplace_back();
      asked.partition = partition_of(topic.topic);
      asked.fetch_offset = some_offset();
      asked.current_leader_epoch = some_epoch();
      asked.last_fetched_epoch = chance(90) ? -1 : pick<int32_t>({0, 1, -2});
      asked.partition_max_bytes = chance(80) ? kPlentyBytes : pick({0, 1, 100, 200, -1});
      if (asked.partition_max_bytes < 0) step.traits.insert("negative bytes");
    }
    if (topic.topic.empty() && topic.partitions.size() > 1) step.traits.insert("two partitions of no topic");
    if (may_take_part) break;
  }
}

void Generator::fetch_session() {
  const int topic = some_topic();
  const auto ask = [&](kafka::FetchRequest& message, std::string_view name, int32_t partition, int64_t offset) {
    auto& to = message.topics.empty() ? message.topics.emplace_back() : message.topics.front();
    to.topic = name;
    to.partitions.push_back({.partition = partition, .fetch_offset = offset, .partition_max_bytes = kPlentyBytes});
  };
  constexpr int kFirstWithSessions = 7;
  const int later = newest(kafka::ApiKey::kFetch) - kFirstWithSessions;
  const auto version =
      static_cast<int16_t>(kFirstWithSessions + static_cast<int>(draw(static_cast<uint64_t>(later) + 1)));
  auto& first = add<kafka::FetchRequest>(version);
  first.message.session_epoch = 0;
  first.message.session_id = chance(90) ? 0 : 12345;
  for (int32_t partition = 0; partition < std::max(topics_[static_cast<size_t>(topic)].partitions, 1); ++partition) {
    ask(first.message, first.keep(fmt::format("$t{}", topic)), partition, static_cast<int64_t>(draw(3)));
  }
  const int session = session_of(first.number);
  int32_t epoch = 1;
  int of_no_topic = 0;
  for (size_t i = draw(4); i > 0; --i) {
    if (chance(40)) produce();
    auto& next = add<kafka::FetchRequest>(version);
    next.message.session_id = chance(92) ? session : pick({0, 777});
    next.message.session_epoch = chance(90) ? epoch : pick({epoch + 1, -1, 0, -2, INT32_MAX});
    if (next.message.session_id == session && next.message.session_epoch == epoch) ++epoch;
    if (chance(40)) {
      const std::string_view name = next.keep(topic_name(10));
      ask(next.message, name, partition_of(topic), some_offset());
      if (name.empty()) ++of_no_topic;
    }
    if (of_no_topic > 1) next.traits.insert("two partitions of no topic");
    if (chance(20)) {
      auto& forgotten = next.message.forgotten_topics_data.emplace_back();
      forgotten.topic = next.keep(fmt::format("$t{}", topic));
      forgotten.partitions = {partition_of(topic)};
    }
  }
}

void Generator::list_offsets() {
  auto& step = add<kafka::ListOffsetsRequest>();
  step.message.replica_id = chance(92) ? -1 : pick({-2, 4});
  step.message.isolation_level = chance(90) ? pick<int8_t>({0, 1}) : int8_t{9};
  // Then Kafka answers for each partition as often as it is named.
  const bool unknown_level = step.message.isolation_level == 9;
  if (unknown_level) step.traits.insert("unknown isolation level");
  for (size_t i = unknown_level ? 1 : pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.name = step.keep(topic_name(10));
    for (size_t n = unknown_level ? 1 : pick<size_t>({1, 1, 2, 3}); n > 0; --n) {
      auto& asked = topic.partitions.emplace_back();
      asked.partition_index = partition_of(topic.name);
      const auto same = [&](const auto& t) {
        return t.name == topic.name &&
               std::ranges::count(t.partitions, asked.partition_index,
                                  &kafka::ListOffsetsRequest::Topic::Partition::partition_index) >
                   (&t == &topic ? 1 : 0);
      };
      if (std::ranges::any_of(step.message.topics, same)) step.traits.insert("a partition twice");
      asked.current_leader_epoch = some_epoch();
      asked.timestamp = chance(45)   ? pick<int64_t>({-1, -2})
                        : chance(70) ? base_time_ms_ + static_cast<int64_t>(draw(1200)) * 1000
                                     : pick<int64_t>({-3, -4, -5, -6, -7, 0, 1, INT64_MAX, INT64_MIN});
      constexpr int64_t kLargestTime = -3;
      if (asked.timestamp == kLargestTime && has_deleted_records_) {
        step.traits.insert("largest time after DeleteRecords");
      }
    }
  }
}

void Generator::offset_for_leader_epoch() {
  auto& step = add<kafka::OffsetForLeaderEpochRequest>();
  step.message.replica_id = chance(90) ? -1 : pick({-2, 4});
  for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.topic = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 2}); n > 0; --n) {
      topic.partitions.push_back({.partition = partition_of(topic.topic),
                                  .current_leader_epoch = some_epoch(),
                                  .leader_epoch = pick<int32_t>({0, 0, 1, 7, -1, -2, INT32_MAX})});
    }
  }
}

void Generator::delete_records() {
  auto& step = add<kafka::DeleteRecordsRequest>();
  has_deleted_records_ = true;
  step.message.timeout_ms = kTimeoutMs;
  for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.name = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 1, 2}); n > 0; --n) {
      topic.partitions.push_back({.partition_index = partition_of(topic.name),
                                  .offset = chance(70) ? static_cast<int64_t>(draw(4)) : some_offset()});
    }
  }
}

void Generator::describe_producers() {
  auto& step = add<kafka::DescribeProducersRequest>();
  for (size_t i = pick<size_t>({1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.name = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 2}); n > 0; --n) topic.partition_indexes.push_back(partition_of(topic.name));
  }
}

void Generator::describe_log_dirs() {
  auto& step = add<kafka::DescribeLogDirsRequest>();
  auto& topics = step.message.topics.emplace();
  for (size_t i = pick<size_t>({1, 2}); i > 0; --i) {
    auto& topic = topics.emplace_back();
    topic.topic = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 2, 0}); n > 0; --n) topic.partitions.push_back(partition_of(topic.topic));
  }
}

}  // namespace posthaste::differential
