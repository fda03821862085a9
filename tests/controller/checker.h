// The judge of the controller's model world. It is shown each state of the metadata, what each replica holds and what
// was acknowledged, and knows the rules of docs/controller.md, not the code. The first thing that is wrong stays.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "replication/metadata/asked_elections.h"
#include "replication/metadata/image.h"
#include "replication/metadata/log_reports.h"
#include "replication/metadata/reassignments.h"

namespace posthaste::controller_model {

using replication::contains;
using replication::MetadataImage;
using replication::PartitionImage;
using replication::Uuid;
using Partition = std::pair<Uuid, int32_t>;

// One record of a partition's log. Values are drawn once, so that two equal records are the same one.
struct Entry {
  int32_t epoch = 0;
  uint64_t value = 0;
  friend bool operator==(const Entry&, const Entry&) = default;
};

struct ReplicaLog {
  std::vector<Entry> entries;
  size_t durable = 0;
};

// Of one broker, or null when it has no log of the partition.
class Replicas {
 public:
  virtual ~Replicas() = default;
  virtual const ReplicaLog* log(int32_t broker, const Partition& partition) const = 0;
  // It has not registered since it lost power or got another disk: it does not act on what the metadata say of it.
  virtual bool is_distrusted(int32_t broker) const = 0;
  // What the controller has been told of its log, if anything.
  virtual std::optional<replication::ReplicaPosition> reported(int32_t broker, const Partition& partition) const = 0;
  // Some disk of this world forgets what it has made durable.
  virtual bool is_lying() const = 0;
};

// Why the metadata changed; some rules hold for some causes only.
enum class Cause : uint8_t { kOther, kIsrChange, kUncleanAsked, kReassigned };

class Checker {
 public:
  explicit Checker(const Replicas& replicas) : replicas_(replicas) {}

  const std::optional<std::string>& violated() const { return violated_; }
  void fail(std::string what) {
    if (!violated_) violated_ = std::move(what);
  }

  // The metadata went from one state to the next by one batch.
  void changed(const MetadataImage& before, const MetadataImage& after, Cause cause);
  // Leaders were asked for, and this was answered: of all partitions, or (`is_all`) of those that needed it.
  void elections_asked(const MetadataImage& before, const MetadataImage& after, net::kafka::ElectionType type,
                       const std::vector<replication::ElectionResult>& results, bool is_all);
  // Replicas were moved, and this was answered.
  void reassigned(const MetadataImage& before, const MetadataImage& after,
                  const std::vector<replication::ReassignRequest::Topic>& asked,
                  const std::vector<replication::ReassignResult>& results);
  // A broker has thrown its log away: in its view, of leader epoch `view_epoch`, it is no replica.
  void thrown_away(int32_t broker, const Partition& partition, int32_t view_epoch);
  // The broker, which shuts down, may go as far as its partitions are concerned.
  void drained(const MetadataImage& image, int32_t broker);
  // The partitions of a topic from this one on were placed on the brokers of the image.
  void placed(const MetadataImage& image, const replication::TopicImage& topic, size_t first);
  // A leader of `epoch` has acknowledged the first `count` records of its log.
  void acknowledged(const MetadataImage& image, const Partition& partition, int32_t epoch, const ReplicaLog& log,
                    size_t count);
  // Nobody who counts has lost anything: R1 to R3.
  void check_logs(const MetadataImage& image);

  uint64_t moved() const { return moved_; }
  uint64_t unclean() const { return unclean_; }
  uint64_t from_elr() const { return from_elr_; }
  uint64_t from_unverified() const { return from_unverified_; }
  uint64_t acknowledged_count() const { return acknowledged_; }

 private:
  struct History {
    std::vector<Entry> acknowledged;
    int32_t forgiven_below = 0;          // leaders of earlier epochs promise nothing any more
    int32_t forgiven_to = -1;            // who began that epoch
    std::map<int32_t, int32_t> leaders;  // by epoch
  };

  void check_state(const MetadataImage& image, const std::string& name, const PartitionImage& partition);
  void check_step(const MetadataImage& after_image, const Partition& partition, const std::string& name,
                  const PartitionImage& before, const PartitionImage& after, Cause cause);
  void check_election(const MetadataImage& image, const Partition& partition, const std::string& name,
                      const PartitionImage& before, const PartitionImage& after, Cause cause);
  void check_answer(const MetadataImage& image, const std::string& name, net::kafka::ElectionType type,
                    net::kafka::ErrorCode answer, const PartitionImage& before, const PartitionImage& after);
  void check_places(const MetadataImage& image, const std::string& name, const PartitionImage& before,
                    const PartitionImage& after, Cause cause);
  void check_move(const std::string& name, const std::optional<std::vector<int32_t>>& target,
                  net::kafka::ErrorCode answer, const PartitionImage& before, const PartitionImage& after);
  void forgive(const Partition& partition, const PartitionImage& after);
  bool holds(int32_t broker, const Partition& partition, const std::vector<Entry>& entries) const;

  const Replicas& replicas_;
  std::optional<std::string> violated_;
  std::map<Partition, History> histories_;
  uint64_t moved_ = 0;
  uint64_t unclean_ = 0;
  uint64_t from_elr_ = 0;
  uint64_t from_unverified_ = 0;
  uint64_t acknowledged_ = 0;
};

// min.insync.replicas as a broker with this image sees it, at most the number of replicas. By itself, not by the code
// that is tested.
int32_t min_isr_of(const MetadataImage& image, const replication::TopicImage& topic, const PartitionImage& partition);

}  // namespace posthaste::controller_model
