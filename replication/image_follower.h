// Who makes a broker what the committed image says (broker/partitions/applier.h), as the controller sees it: it hands
// over each change that is committed, in order, and waits for those that its callers wait for. Core 0 only.
#pragma once
#include <map>
#include <memory>

#include "reactor/result.h"
#include "reactor/task.h"
#include "replication/metadata/image.h"
#include "replication/metadata/image_delta.h"

namespace posthaste::replication {

class ImageFollower {
 public:
  // By topic: why partitions of it could not be made.
  using NotMade = std::map<Uuid, reactor::Errc>;
  // A change on its way; for applied().
  struct Change {
    Change() = default;
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    virtual ~Change() = default;
  };
  using ChangePointer = std::shared_ptr<Change>;

  ImageFollower() = default;
  ImageFollower(const ImageFollower&) = delete;
  ImageFollower& operator=(const ImageFollower&) = delete;
  virtual ~ImageFollower() = default;

  // At the start, once, before all else: makes the broker agree with `image` (a crash may lie between the two). What
  // cannot be made keeps nothing else from being served.
  virtual reactor::Task<void> start(const MetadataImage& image,
                                    std::shared_ptr<const config::ConfigMap> topic_defaults) = 0;
  // Takes over `image`, which `delta` led to, and begins to apply it. Null: nothing here follows from it. Never waits.
  virtual ChangePointer follow(const MetadataImage& image, ImageDelta delta,
                               std::shared_ptr<const config::ConfigMap> topic_defaults) = 0;
  // Returns when the change is durable and usable on all cores of this broker. Null: at once.
  virtual reactor::Task<NotMade> applied(ChangePointer change) = 0;
  // Tries again to make what could not be made.
  virtual reactor::Task<void> retry() = 0;
};

}  // namespace posthaste::replication
