#include "replication/metadata/image_delta.h"

#include <map>
#include <set>
#include <variant>

namespace posthaste::replication {
namespace {

class DeltaMaker {
 public:
  explicit DeltaMaker(const MetadataImage& before) : before_(before) {}

  void note(const TopicRecord& record) {
    made_.emplace(record.name, record.topic_id);
    touch(record.topic_id);
  }
  void note(const PartitionRecord& record) { touch(record.topic_id); }
  void note(const PartitionChangeRecord& record) { touch(record.topic_id); }
  void note(const RemoveTopicRecord& record) {
    touched_.erase(record.topic_id);
    std::erase_if(made_, [&](const auto& topic) { return topic.second == record.topic_id; });
    const TopicImage* topic = before_.topic(record.topic_id);
    if (topic != nullptr && removed_.insert(topic->id).second) {
      delta_.removed.push_back({.id = topic->id, .name = topic->name, .partitions = topic->partitions.size()});
    }
  }
  void note(const ConfigRecord& record) {
    if (record.resource_type != kTopicResource) {
      delta_.all_changed = true;
    } else if (const auto made = made_.find(record.resource_name); made != made_.end()) {
      touch(made->second);
    } else if (const TopicImage* topic = before_.topic(record.resource_name)) {
      touch(topic->id);
    }
  }
  void note(const ClearElrRecord& record) {
    if (record.topic_name.empty()) {
      delta_.all_changed = true;
    } else if (const TopicImage* topic = before_.topic(record.topic_name)) {
      touch(topic->id);
    }
  }
  // A term names its leader's registration.
  void note(const UnregisterBrokerRecord& /*record*/) { delta_.all_changed = true; }
  // What follows from it for topics are records of their own.
  void note(const BrokerRegistrationChangeRecord& /*record*/) {}
  // A new life of a broker begins new epochs of all that it leads.
  void note(const RegisterBrokerRecord& /*record*/) { delta_.all_changed = true; }
  void note(const FeatureLevelRecord& /*record*/) {}
  void note(const ProducerIdsRecord& /*record*/) {}
  void note(const BeginTransactionRecord& /*record*/) {}
  void note(const EndTransactionRecord& /*record*/) {}

  ImageDelta finish() {
    for (const Uuid& id : order_) {
      if (touched_.erase(id) > 0) delta_.changed.push_back(id);
    }
    return std::move(delta_);
  }

 private:
  void touch(const Uuid& id) {
    if (touched_.insert(id).second) order_.push_back(id);
  }

  const MetadataImage& before_;
  ImageDelta delta_;
  std::set<Uuid> touched_;
  std::set<Uuid> removed_;
  std::vector<Uuid> order_;
  std::map<std::string, Uuid, std::less<>> made_;  // by these records
};

}  // namespace

ImageDelta delta_of(const MetadataImage& before, const std::vector<MetadataRecord>& records) {
  DeltaMaker maker(before);
  for (const MetadataRecord& record : records) {
    std::visit([&](const auto& alternative) { maker.note(alternative); }, record);
  }
  return maker.finish();
}

}  // namespace posthaste::replication
