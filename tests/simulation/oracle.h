// What must be true, kept without trust in the broker: every acknowledged record, every record that a
// consumer has seen, every committed offset and who owned which partition. The models report to it as things happen; it
// remembers the first violation. One object for the whole simulated world, which runs in one thread.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace posthaste::simulation {

struct PartitionName {
  std::string topic;
  int32_t index = 0;
  friend auto operator<=>(const PartitionName&, const PartitionName&) = default;
};

class Oracle {
 public:
  // Acknowledged by the broker with this offset. `payload` is unique in the whole run.
  void acked(const PartitionName& partition, int64_t offset, const std::string& payload);
  // A consumer has got the record. What was seen once must stay at this offset, and appear at no other.
  void seen(const PartitionName& partition, int64_t offset, const std::string& payload);
  // The broker says the log ends here (high watermark): not below what was acknowledged or seen.
  void log_end(const PartitionName& partition, int64_t end, int64_t known_before);
  // One past the last offset that was acked or seen so far: to be taken before the question is sent, since more may be
  // acked while its answer is on the way.
  int64_t known_end(const PartitionName& partition) const;
  // A whole read of the partition from 0 to its end is over: everything acknowledged must have been seen by it.
  void read_whole(const PartitionName& partition, const std::map<int64_t, std::string>& records);

  // Group membership: `member` was given `partition` in `generation`. One owner per generation and partition.
  void assigned(const std::string& group, int32_t generation, const std::string& member,
                const PartitionName& partition);
  // A member has finished joining this generation.
  void joined(const std::string& group, int32_t generation);
  // A commit left its member; `newest_generation()` at that moment tells whether it may succeed.
  int32_t newest_generation(const std::string& group) const;
  void commit_acked(const std::string& group, int32_t generation, int32_t newest_when_sent,
                    const PartitionName& partition, int64_t offset);
  // What a fetch of committed offsets returned (-1: none). `floor` is committed_floor() when the request left.
  void committed(const std::string& group, const PartitionName& partition, int64_t offset, int64_t floor);
  int64_t committed_floor(const std::string& group, const PartitionName& partition) const;

  void violation(std::string what);
  const std::optional<std::string>& violated() const { return violation_; }
  uint64_t acked_records() const { return acked_records_; }
  uint64_t seen_records() const { return seen_records_; }
  uint64_t commits() const { return commits_; }
  const std::set<PartitionName>& partitions() const { return partitions_; }

 private:
  struct Log {
    std::map<int64_t, std::string> acked;
    std::map<int64_t, std::string> seen;
    std::map<std::string, int64_t> offset_of;
  };
  struct Group {
    int32_t newest_generation = -1;
    std::map<std::pair<int32_t, PartitionName>, std::string> owners;
    std::map<PartitionName, int64_t> committed;
  };
  void place(Log& log, const PartitionName& partition, int64_t offset, const std::string& payload, const char* how);

  std::map<PartitionName, Log> logs_;
  std::map<std::string, Group> groups_;
  std::set<PartitionName> partitions_;
  std::optional<std::string> violation_;
  uint64_t acked_records_ = 0;
  uint64_t seen_records_ = 0;
  uint64_t commits_ = 0;
};

}  // namespace posthaste::simulation
