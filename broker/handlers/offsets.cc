// ListOffsets and OffsetForLeaderEpoch: questions about positions in logs, each answered by the core that owns the
// partition.
#include <deque>

#include "broker/error_codes.h"
#include "broker/handlers/ask_owners.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/named_partitions.h"
#include "net/kafka/offsets.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::ListOffsetsRequest;
using net::kafka::ListOffsetsResponse;
using net::kafka::OffsetForLeaderEpochRequest;
using net::kafka::OffsetForLeaderEpochResponse;
using reactor::Result;
using reactor::Task;

// Timestamps with a meaning of their own (KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023). Without tiered storage all of
// a log is local, and there is no tiered offset.
constexpr int64_t kLatest = -1;
constexpr int64_t kEarliest = -2;
constexpr int64_t kMaxTimestamp = -3;
constexpr int64_t kEarliestLocal = -4;
constexpr int64_t kLatestTiered = -5;
constexpr int64_t kEarliestPendingUpload = -6;

// Older clients know no error for an end that is not known yet, and retry this one.
constexpr int16_t kFirstWithOffsetNotAvailable = 5;

constexpr int32_t kConsumer = -1;  // as replica id; -2 is a consumer for debugging

// One question, answered in place by the owner.
struct Question {
  Located where;
  int64_t timestamp = 0;     // ListOffsets
  bool of_consumer = true;   // ListOffsets
  int32_t asked_epoch = -1;  // OffsetForLeaderEpoch
  ErrorCode error = ErrorCode::kNone;
  int64_t offset = -1;
  int64_t found_timestamp = -1;
  int32_t epoch = -1;
};

void take(Question& question, const Result<storage::TimestampOffset>& found) {
  if (!found) {
    question.error = error_code_of(found.error());
    return;
  }
  question.offset = found->offset;
  question.found_timestamp = found->timestamp;
  question.epoch = found->leader_epoch;
}

// Where the log ends for this client: a consumer sees up to the high watermark, all others to the log end.
int64_t end_for(replication::Replica& replica, const Question& question) {
  return question.of_consumer ? replica.high_watermark() : replica.log().end_offset();
}

// The first record with the largest time (KIP-734); nothing while the log is empty, or while that record is not below
// the high watermark. In a compressed batch it is the batch's first offset, because its records are not looked at. When
// that record is deleted and others are left, it is the first of those: the time is still the log's largest, as in
// Kafka, which returns the offset that cannot be read.
Task<void> answer_max_timestamp(replication::Replica& replica, Question& question) {
  storage::Partition& partition = replica.log();
  const Result<storage::TimestampOffset> largest = co_await partition.max_timestamp();
  if (!largest || largest->offset < 0 || largest->timestamp < 0) {
    take(question, largest);
    co_return;
  }
  Result<storage::TimestampOffset> found =
      co_await partition.find_timestamp(largest->timestamp, end_for(replica, question));
  const int64_t first = partition.log_start_offset();
  const bool is_deleted = found && found->offset < 0 && largest->offset < end_for(replica, question);
  if (is_deleted && first < end_for(replica, question)) {
    found = storage::TimestampOffset{largest->timestamp, first, partition.epochs().epoch_for(first)};
  }
  take(question, found);
}

// Where the log ends for a consumer is not known as long as a new leader does not know the high watermark before its
// epoch: any answer could be below what another leader has returned.
bool is_unknown_yet(const replication::Replica& replica, const Question& question) {
  const bool asks_for_start = question.timestamp == kEarliest || question.timestamp == kEarliestLocal;
  return question.of_consumer && !asks_for_start && !replica.is_settled();
}

Task<void> answer_list_offsets(BrokerCore&, replication::Replica& replica, Question& question) {
  storage::Partition& partition = replica.log();
  if (is_unknown_yet(replica, question)) {
    question.error = ErrorCode::kOffsetNotAvailable;
    co_return;
  }
  switch (question.timestamp) {
    case kLatest:
      question.offset = end_for(replica, question);
      question.epoch = question.where.leader_epoch;
      break;
    case kEarliest:
    case kEarliestLocal:
      question.offset = partition.log_start_offset();
      question.epoch = partition.epochs().epoch_for(question.offset);
      break;
    case kMaxTimestamp:
      co_await answer_max_timestamp(replica, question);
      break;
    case kLatestTiered:
    case kEarliestPendingUpload:
      break;  // not found
    default:
      take(question, co_await partition.find_timestamp(question.timestamp, end_for(replica, question)));
  }
}

// True if this time has a meaning in `version`.
bool knows_timestamp(int64_t timestamp, int16_t version) {
  switch (timestamp) {
    case kLatest:
    case kEarliest:
      return true;
    case kMaxTimestamp:
      return version >= 7;
    case kEarliestLocal:
      return version >= 8;
    case kLatestTiered:
      return version >= 9;
    case kEarliestPendingUpload:
      return version >= 11;
    default:
      return timestamp >= 0;
  }
}

Task<void> answer_epoch_end(BrokerCore&, replication::Replica& replica, Question& question) {
  const storage::EpochEnd end = replica.log().end_offset_for_epoch(question.asked_epoch);
  question.epoch = end.epoch;
  question.offset = end.end_offset;
  co_return;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kListOffsets>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<ListOffsetsRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  NamedPartitions<Question> named;
  for (const auto& topic : body->topics) {
    for (const auto& partition : topic.partitions) {
      const auto [question, again] = named.name({.name = topic.name}, partition.partition_index);
      if (again) {
        // Refused, with one answer: the request is ambiguous.
        question.error = ErrorCode::kInvalidRequest;
        continue;
      }
      question.where = locate(*view, topic.name, partition.partition_index, partition.current_leader_epoch);
      question.error = question.where.error;
      question.timestamp = partition.timestamp;
      question.of_consumer = body->replica_id == kConsumer;
      if (!knows_timestamp(partition.timestamp, request.header.version)) {
        question.error = ErrorCode::kUnsupportedVersion;
      }
      if (!knows_isolation_level(body->isolation_level)) question.error = ErrorCode::kInvalidRequest;
    }
  }
  co_await ask_owners<Question>(core, named.values(), answer_list_offsets);
  ListOffsetsResponse response;
  for (const auto& topic : body->topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      const Question* const question = named.take({.name = topic.name}, partition.partition_index);
      if (question == nullptr) continue;
      const Question& asked = *question;
      auto& answer = out.partitions.emplace_back();
      answer.partition_index = partition.partition_index;
      answer.error_code = asked.error;
      if (asked.error == ErrorCode::kOffsetNotAvailable && request.header.version < kFirstWithOffsetNotAvailable) {
        answer.error_code = ErrorCode::kLeaderNotAvailable;
      }
      if (asked.error != ErrorCode::kNone) continue;
      answer.offset = asked.offset;
      answer.timestamp = asked.found_timestamp;
      answer.leader_epoch = asked.epoch;
    }
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kOffsetForLeaderEpoch>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<OffsetForLeaderEpochRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  std::deque<Question> questions;
  for (const auto& topic : body->topics) {
    for (const auto& partition : topic.partitions) {
      Question& question = questions.emplace_back();
      question.where = locate(*view, topic.topic, partition.partition, partition.current_leader_epoch);
      question.error = question.where.error;
      question.asked_epoch = partition.leader_epoch;
    }
  }
  co_await ask_owners<Question>(core, questions, answer_epoch_end);
  OffsetForLeaderEpochResponse response;
  auto question = questions.begin();
  for (const auto& topic : body->topics) {
    auto& out = response.topics.emplace_back();
    out.topic = topic.topic;
    for (const auto& partition : topic.partitions) {
      const Question& asked = *question++;
      auto& answer = out.partitions.emplace_back();
      answer.error_code = asked.error;
      answer.partition = partition.partition;
      if (asked.error != ErrorCode::kNone) continue;
      answer.leader_epoch = asked.epoch;
      answer.end_offset = asked.offset;
    }
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
