// The limits that control groups set this process, version 1 and 2: those of the groups that it is in and of every
// group above them, as far as they can be seen from here. Reads files only; for the main thread before a host runs.
#pragma once
#include <cstdint>
#include <string>

namespace posthaste::reactor::uring {

struct GroupLimits {
  uint64_t memory_bytes = UINT64_MAX;  // none: as it is
  std::string memory_set_by;           // the file that says so
  // Whole processors that the smallest quota pays for, at least 1: a thread per core that runs out of its quota stands
  // still until the next period, with all that it owns.
  uint32_t cpus_by_quota = UINT32_MAX;
  uint32_t cpus_by_set = UINT32_MAX;  // of the smallest set of processors
  uint32_t cpus() const { return cpus_by_quota < cpus_by_set ? cpus_by_quota : cpus_by_set; }
};

// `root` stands before every path, for tests. What is missing or unreadable sets no limit.
GroupLimits read_group_limits(const std::string& root = "");

}  // namespace posthaste::reactor::uring
