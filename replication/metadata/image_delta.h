// What a change of the metadata image is about: which topics differ, and what was there of those that are gone. A
// broker follows an image by these, so that a change costs it what the change touches. Pure, any core.
#pragma once
#include <string>
#include <vector>

#include "replication/metadata/image.h"

namespace posthaste::replication {

struct ImageDelta {
  struct Removed {
    Uuid id;
    std::string name;
    size_t partitions = 0;
  };
  std::vector<Uuid> changed;  // topics that are new or differ, each once
  std::vector<Removed> removed;
  bool all_changed = false;  // what every topic's settings or leaders depend on differs

  bool empty() const { return changed.empty() && removed.empty() && !all_changed; }
};

// What `records`, which apply, do to `before`.
ImageDelta delta_of(const MetadataImage& before, const std::vector<MetadataRecord>& records);

}  // namespace posthaste::replication
