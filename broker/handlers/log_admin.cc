// DeleteRecords, DescribeLogDirs, DescribeProducers: administration of logs.
#include <deque>
#include <map>
#include <set>

#include "broker/error_codes.h"
#include "broker/handlers/ask_owners.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/mentions.h"
#include "broker/handlers/named_partitions.h"
#include "net/kafka/log_admin.h"
#include "reactor/file.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::broker {
namespace {

using config::list_holds;
using config::TopicSettings;
using net::ConnectionContext;
using net::Request;
using net::kafka::DeleteRecordsRequest;
using net::kafka::DeleteRecordsResponse;
using net::kafka::DescribeLogDirsRequest;
using net::kafka::DescribeLogDirsResponse;
using net::kafka::DescribeProducersRequest;
using net::kafka::DescribeProducersResponse;
using reactor::Core;
using reactor::Task;
using replication::is_internal_topic;
using replication::kClusterMetadataTopic;
using replication::topic_name_problem;
using replication::TopicImage;

// --- DeleteRecords ---------------------------------------------------------------------------------------------------

constexpr int64_t kUpToHighWatermark = -1;
constexpr int64_t kNoLowWatermark = -1;

struct RecordsToDelete {
  Located where;
  int64_t offset = 0;
  ErrorCode error = ErrorCode::kNone;
  int64_t low_watermark = kNoLowWatermark;
};

Task<void> delete_records(BrokerCore&, replication::Replica& replica, RecordsToDelete& question) {
  storage::Partition& partition = replica.log();
  const int64_t offset = question.offset == kUpToHighWatermark ? replica.high_watermark() : question.offset;
  if (offset < 0) {
    question.error = ErrorCode::kOffsetOutOfRange;
    co_return;
  }
  const reactor::Result<void> done = co_await partition.set_log_start(offset);
  if (!done) {
    question.error = error_code_of(done.error());
  } else {
    question.low_watermark = partition.log_start_offset();
  }
}

// The error of the topic itself, if it has one.
ErrorCode check_deletable(const ClusterView& view, const TopicImage& topic) {
  if (is_internal_topic(topic.name)) return ErrorCode::kInvalidTopicException;
  const std::string_view policy = TopicSettings(topic.configs(), *view.topic_defaults).get<"cleanup.policy">();
  return list_holds(policy, "compact") && !list_holds(policy, "delete") ? ErrorCode::kPolicyViolation
                                                                        : ErrorCode::kNone;
}

// --- DescribeLogDirs -------------------------------------------------------------------------------------------------

using SizesByTopic = std::map<std::string, std::map<int32_t, uint64_t>>;

// The partitions of the request: all, or those that it names.
using Wanted = std::optional<std::map<std::string, std::set<int32_t>, std::less<>>>;

// Of those that it names, the ones that exist: so what is kept and searched is bounded, however often it names them.
Wanted wanted_of(const ClusterView& view, const DescribeLogDirsRequest& body) {
  if (!body.topics) return std::nullopt;
  Wanted wanted(std::in_place);
  for (const auto& topic : *body.topics) {
    for (const int32_t index : topic.partitions) {
      if (view.image.partition(topic.topic, index) != nullptr) (*wanted)[std::string(topic.topic)].insert(index);
    }
  }
  return wanted;
}

bool is_wanted(const Wanted& wanted, const storage::Partition& partition) {
  if (partition.topic_name() == kClusterMetadataTopic) return false;
  if (!wanted) return true;
  const auto topic = wanted->find(partition.topic_name());
  return topic != wanted->end() && topic->second.contains(partition.partition());
}

// Sizes on all cores, one after the other.
Task<SizesByTopic> collect_sizes(BrokerCore& core, const Wanted& wanted) {
  SizesByTopic sizes;
  for (reactor::CoreId to = 0; to < core.core().core_count(); ++to) {
    auto work = [&](Core& there) {
      core.there(there).engine().for_each([&](storage::Partition& partition) {
        if (is_wanted(wanted, partition)) sizes[partition.topic_name()][partition.partition()] = partition.size_bytes();
      });
    };
    co_await reactor::on_core(core.core(), to, std::move(work));
  }
  co_return sizes;
}

// --- DescribeProducers -----------------------------------------------------------------------------------------------

struct ProducersAsked {
  Located where;
  ErrorCode error = ErrorCode::kNone;
  std::vector<storage::ProducerState::Described> producers;
};

Task<void> describe_producers(BrokerCore&, replication::Replica& replica, ProducersAsked& question) {
  question.producers = replica.log().producers().describe();
  co_return;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kDeleteRecords>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<DeleteRecordsRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  // When a partition is named twice, the last offset counts, and there is one answer.
  NamedPartitions<RecordsToDelete> named;
  for (const auto& topic : body->topics) {
    for (const auto& partition : topic.partitions) {
      RecordsToDelete& question = named.name({.name = topic.name}, partition.partition_index).value;
      question.where = locate(*view, topic.name, partition.partition_index, -1);
      question.offset = partition.offset;
      question.error = question.where.error;
      if (question.error == ErrorCode::kNone) question.error = check_deletable(*view, *question.where.topic);
    }
  }
  co_await ask_owners<RecordsToDelete>(core, named.values(), delete_records, AnswerOrder::kTogether);
  DeleteRecordsResponse response;
  for (const auto& topic : body->topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      const RecordsToDelete* const question = named.take({.name = topic.name}, partition.partition_index);
      if (question == nullptr) continue;
      out.partitions.push_back({.partition_index = partition.partition_index,
                                .low_watermark = question->low_watermark,
                                .error_code = question->error});
    }
  }
  co_return respond(request, response);
}

// The volume of the data folder, as this process sees it; -1, "not known", if that cannot be read.
HandlerTask handle(Api<ApiKey::kDescribeLogDirs>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<DescribeLogDirsRequest>(request);
  if (!body) co_return body_corrupt();
  const Wanted wanted = wanted_of(*core.view(), *body);
  const SizesByTopic sizes = co_await collect_sizes(core, wanted);
  DescribeLogDirsResponse response;
  auto& directory = response.results.emplace_back();
  directory.log_dir = core.options().data_folder;
  if (const auto space = co_await reactor::file_system::space(core.core(), core.options().data_folder)) {
    directory.total_bytes = static_cast<int64_t>(space->total_bytes);
    directory.usable_bytes = static_cast<int64_t>(space->available_bytes);
  }
  for (const auto& [name, partitions] : sizes) {
    auto& topic = directory.topics.emplace_back();
    topic.name = name;
    for (const auto& [index, bytes] : partitions) {
      topic.partitions.push_back({.partition_index = index, .partition_size = static_cast<int64_t>(bytes)});
    }
  }
  co_return respond(request, response);
}

HandlerTask handle(Api<ApiKey::kDescribeProducers>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<DescribeProducersRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  std::deque<ProducersAsked> questions;
  Mentions<std::pair<std::string_view, int32_t>> mentions;
  for (const auto& topic : body->topics) {
    for (const int32_t index : topic.partition_indexes) {
      ProducersAsked& question = questions.emplace_back();
      question.where = locate(*view, topic.name, index, -1);
      question.error = topic_name_problem(topic.name) ? ErrorCode::kInvalidTopicException : question.where.error;
      if (mentions.is_too_many({topic.name, index})) question.error = ErrorCode::kInvalidRequest;
    }
  }
  co_await ask_owners<ProducersAsked>(core, questions, describe_producers);
  DescribeProducersResponse response;
  auto question = questions.begin();
  for (const auto& topic : body->topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const int32_t index : topic.partition_indexes) {
      auto& partition = out.partitions.emplace_back();
      partition.partition_index = index;
      partition.error_code = question->error;
      for (const auto& producer : question->producers) {
        partition.active_producers.push_back({.producer_id = producer.id,
                                              .producer_epoch = producer.epoch,
                                              .last_sequence = producer.last_sequence,
                                              .last_timestamp = producer.last_timestamp,
                                              .coordinator_epoch = -1});
      }
      ++question;
    }
  }
  co_return respond(request, response);
}

}  // namespace posthaste::broker
