// The end of a sequence: everything that it may have left is looked at, then it leaves nothing.
#include "net/kafka/configs.h"
#include "net/kafka/fetch.h"
#include "net/kafka/group_admin.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "net/kafka/log_admin.h"
#include "net/kafka/metadata.h"
#include "net/kafka/offsets.h"
#include "net/kafka/topics.h"
#include "tests/differential/generator.h"

namespace posthaste::differential {

void Generator::look_at_state() {
  const size_t first = sequence_.size();
  const auto each_topic = [&](auto& step, auto&& visit) {
    for (int topic = 0; topic < kTopics; ++topic) visit(step.keep(fmt::format("$t{}", topic)));
  };
  auto& metadata = add<kafka::MetadataRequest>(newest(kafka::ApiKey::kMetadata));
  metadata.message.topics.emplace();
  each_topic(metadata, [&](std::string_view name) { metadata.message.topics->push_back({.name = name}); });

  auto& configs = add<kafka::DescribeConfigsRequest>(newest(kafka::ApiKey::kDescribeConfigs));
  each_topic(configs, [&](std::string_view name) {
    configs.message.resources.push_back({.resource_type = kafka::ConfigResourceType::kTopic,
                                         .resource_name = name,
                                         .configuration_keys = std::nullopt});
  });

  constexpr int32_t kPartitionsLookedAt = 4;
  for (const int64_t time : {-2, -1, -3}) {
    auto& offsets = add<kafka::ListOffsetsRequest>(newest(kafka::ApiKey::kListOffsets));
    offsets.message.replica_id = -1;
    if (time == -3 && has_deleted_records_) offsets.traits.insert("largest time after DeleteRecords");
    each_topic(offsets, [&](std::string_view name) {
      auto& topic = offsets.message.topics.emplace_back();
      topic.name = name;
      for (int32_t p = 0; p < kPartitionsLookedAt; ++p) {
        topic.partitions.push_back({.partition_index = p, .timestamp = time});
      }
    });
  }
  // From a few offsets, for the log may not begin at 0.
  for (const int64_t offset : {0, 1, 3, 7}) {
    auto& fetch = add<kafka::FetchRequest>(newest(kafka::ApiKey::kFetch));
    each_topic(fetch, [&](std::string_view name) {
      auto& topic = fetch.message.topics.emplace_back();
      topic.topic = name;
      for (int32_t p = 0; p < kPartitionsLookedAt; ++p) {
        topic.partitions.push_back({.partition = p, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
      }
    });
  }
  auto& producers = add<kafka::DescribeProducersRequest>();
  each_topic(producers, [&](std::string_view name) {
    producers.message.topics.push_back({.name = name, .partition_indexes = {0, 1, 2}});
  });
  for (int group = 0; group < kGroups; ++group) {
    const std::string name = fmt::format("$g{}", group);
    auto& committed = add<kafka::OffsetFetchRequest>(newest(kafka::ApiKey::kOffsetFetch));
    committed.message.groups.push_back({.group_id = committed.keep(name), .topics = std::nullopt});
    auto& described = add<kafka::DescribeGroupsRequest>(newest(kafka::ApiKey::kDescribeGroups));
    described.message.groups.push_back(described.keep(name));
  }
  for (size_t i = first; i < sequence_.size(); ++i) sequence_[i]->is_state = true;
}

void Generator::clean_up() {
  const size_t first = sequence_.size();
  for (int group = 0; group < kGroups; ++group) {
    const std::string name = fmt::format("$g{}", group);
    auto& leave = add<kafka::LeaveGroupRequest>(newest(kafka::ApiKey::kLeaveGroup));
    leave.message.group_id = leave.keep(name);
    for (const int join : groups_[static_cast<size_t>(group)].joins) {
      leave.message.members.push_back({.member_id = leave.keep(fmt::format("$m{}", join))});
    }
  }
  auto& groups = add<kafka::DeleteGroupsRequest>(newest(kafka::ApiKey::kDeleteGroups));
  for (int group = 0; group < kGroups; ++group) {
    groups.message.groups_names.push_back(groups.keep(fmt::format("$g{}", group)));
  }
  auto& topics = add<kafka::DeleteTopicsRequest>(newest(kafka::ApiKey::kDeleteTopics));
  topics.message.timeout_ms = 30'000;
  for (int topic = 0; topic < kTopics; ++topic) {
    topics.message.topics.push_back({.name = topics.keep(fmt::format("$t{}", topic))});
  }
  for (size_t i = first; i < sequence_.size(); ++i) sequence_[i]->is_state = true;
}

}  // namespace posthaste::differential
