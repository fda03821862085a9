#include "replication/change_log.h"

#include <fmt/format.h>

#include <map>

#include "storage/folder_names.h"

namespace posthaste::replication {

using net::kafka::ErrorCode;
using reactor::LogLevel;

namespace {
// Of a line: longer lists of settings end with "..."; a request may carry any number of them.
constexpr size_t kSettingsBytesMax = 1000;

// What clients send may hold anything: quoted, and shortened.
std::string shown(std::string_view text) { return storage::some_of({std::string(text)}); }

std::string by(const std::string& asked_by) { return asked_by.empty() ? " by=broker" : " " + asked_by; }

void add_setting(std::string& settings, const ConfigRecord& record) {
  if (settings.size() > kSettingsBytesMax) {
    if (!settings.ends_with("...")) settings += " ...";
    return;
  }
  settings += fmt::format(" {}={}", record.name, record.value ? shown(*record.value) : "default");
}
}  // namespace

std::string asked_by(const net::ConnectionContext& context, const net::Request& request) {
  return fmt::format("client={} principal={} address={}", shown(request.header.client_id.value_or("")),
                     context.principal, context.client_address);
}

void log_created(reactor::Core& core, const CreateTopicsOutcome& outcome, const std::string& asked_by) {
  for (const CreateTopicResult& result : outcome.results) {
    if (result.topic_id.is_zero()) continue;
    core.log(LogLevel::kInfo, "topic.created",
             fmt::format("topic={} partitions={}{}", result.name, result.num_partitions, by(asked_by)));
  }
}

void log_deleted(reactor::Core& core, const DeleteTopicsOutcome& outcome, const std::string& asked_by) {
  for (const std::string& name : outcome.deleted) {
    core.log(LogLevel::kInfo, "topic.deleted", fmt::format("topic={}{}", name, by(asked_by)));
  }
}

void log_grown(reactor::Core& core, const MetadataImage& image, const GrowTopicsOutcome& outcome,
               const std::string& asked_by) {
  for (const Uuid& id : outcome.grown) {
    const TopicImage* topic = image.topic(id);
    if (topic == nullptr) continue;
    core.log(LogLevel::kInfo, "topic.partitions_added",
             fmt::format("topic={} partitions={}{}", topic->name, topic->partitions.size(), by(asked_by)));
  }
}

void log_configured(reactor::Core& core, const AlterConfigsOutcome& outcome, const std::string& asked_by) {
  std::map<std::pair<int8_t, std::string>, std::string> changed;
  for (const MetadataRecord& record : outcome.records) {
    const auto* config = std::get_if<ConfigRecord>(&record);
    if (config != nullptr) add_setting(changed[{config->resource_type, config->resource_name}], *config);
  }
  for (const auto& [resource, settings] : changed) {
    const bool is_topic = resource.first == kTopicResource;
    core.log(LogLevel::kInfo, is_topic ? "topic.config_changed" : "broker.config_changed",
             fmt::format("{}={}{}{}", is_topic ? "topic" : "broker", resource.second.empty() ? "all" : resource.second,
                         settings, by(asked_by)));
  }
}

}  // namespace posthaste::replication
