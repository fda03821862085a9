// A way through all partitions of an image that is gone in portions: it goes on where it stopped, though topics have
// come and gone meanwhile. It holds nothing of the image between two portions.
#pragma once
#include <string>

#include "replication/metadata/partition_transition.h"

namespace posthaste::replication {

class PartitionCursor {
 public:
  // visit(PartitionAt) for each partition from here on, by topic name and index, until it returns false: that one is
  // the next to come. True: it came to the end, and stays there.
  template <class Visit>
  bool advance(const MetadataImage& image, Visit visit) {
    while (const TopicImage* topic = next_topic(image)) {
      if (topic->name != topic_) partition_ = 0;  // the one before is gone
      topic_ = topic->name;
      for (; partition_ < topic->partitions.size(); ++partition_) {
        if (!visit(PartitionAt{.image = image, .topic = *topic, .index = static_cast<int32_t>(partition_)}))
          return false;
      }
      topic_.push_back('\0');  // what would come behind it, if it were a name
      partition_ = 0;
    }
    return true;
  }

 private:
  const TopicImage* next_topic(const MetadataImage& image) const {
    const TopicImage* first = nullptr;
    image.topics().visit_from(topic_, [&first](const TopicImage& topic) {
      first = &topic;
      return false;
    });
    return first;
  }

  std::string topic_;     // the next one is this or the first behind it
  size_t partition_ = 0;  // of that topic
};

}  // namespace posthaste::replication
