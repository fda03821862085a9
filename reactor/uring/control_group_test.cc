// Limits of control groups, read from files as they lie on hosts and in containers, version 1 and 2.
#include "reactor/uring/control_group.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace posthaste::reactor::uring {
namespace {

class ControlGroup : public ::testing::Test {
 protected:
  ControlGroup() : root_(std::filesystem::temp_directory_path() / unique_name()) {}
  ~ControlGroup() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path at(root_.string() + path);
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at) << text;
  }
  GroupLimits read() const { return read_group_limits(root_.string()); }

 private:
  static std::string unique_name() {
    return std::string("posthaste-control-group-") + ::testing::UnitTest::GetInstance()->current_test_info()->name() +
           std::to_string(::getpid());
  }
  std::filesystem::path root_;
};

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST_F(ControlGroup, WithoutAnyThereIsNoLimit) {
  EXPECT_EQ(read().memory_bytes, UINT64_MAX);
  EXPECT_EQ(read().cpus(), UINT32_MAX);
}

TEST_F(ControlGroup, ALimitOfTheOwnGroupOfVersion2IsSeen) {
  write("/proc/self/mountinfo", "25 1 0:21 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  write("/proc/self/cgroup", "0::/system.slice/posthaste.service\n");
  write("/sys/fs/cgroup/system.slice/memory.max", "max\n");
  write("/sys/fs/cgroup/system.slice/posthaste.service/memory.max", "314572800\n");
  write("/sys/fs/cgroup/system.slice/posthaste.service/cpu.max", "250000 100000\n");
  EXPECT_EQ(read().memory_bytes, 300 * kMiB);
  EXPECT_EQ(read().memory_set_by, "/sys/fs/cgroup/system.slice/posthaste.service/memory.max");
  EXPECT_EQ(read().cpus_by_quota, 2U);
}

TEST_F(ControlGroup, TheSmallestOfAllLevelsCounts) {
  write("/proc/self/mountinfo", "25 1 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  write("/proc/self/cgroup", "0::/a/b/c\n");
  write("/sys/fs/cgroup/a/memory.max", "104857600\n");
  write("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  write("/sys/fs/cgroup/a/b/memory.high", "209715200\n");
  write("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
  write("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
  EXPECT_EQ(read().memory_bytes, 100 * kMiB);
  EXPECT_EQ(read().cpus_by_quota, 1U) << "less than one processor is one";
}

TEST_F(ControlGroup, HighCountsAsALimit) {
  write("/proc/self/mountinfo", "25 1 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  write("/proc/self/cgroup", "0::/a\n");
  write("/sys/fs/cgroup/a/memory.max", "max\n");
  write("/sys/fs/cgroup/a/memory.high", "209715200\n");
  EXPECT_EQ(read().memory_bytes, 200 * kMiB);
}

TEST_F(ControlGroup, Version1HasATreeForEachController) {
  write("/proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  write("/proc/self/cgroup", "4:memory:/m/x\n3:cpuset:/s\n1:cpu,cpuacct:/c\n9:name=systemd:/\n0::/\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "314572800\n");
  write("/sys/fs/cgroup/memory/m/x/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "400000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
  write("/sys/fs/cgroup/cpuset/s/cpuset.effective_cpus", "0-2,7\n");
  EXPECT_EQ(read().memory_bytes, 300 * kMiB);
  EXPECT_EQ(read().cpus_by_quota, 4U);
  EXPECT_EQ(read().cpus_by_set, 4U);
}

TEST_F(ControlGroup, AnUnlimitedQuotaOfVersion1IsNone) {
  write("/proc/self/mountinfo", "32 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n");
  write("/proc/self/cgroup", "1:cpu:/\n");
  write("/cpu/cpu.cfs_quota_us", "-1\n");
  write("/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(read().cpus_by_quota, UINT32_MAX);
}

// The group is named as the host sees it, the mount shows it as the top.
TEST_F(ControlGroup, AContainerWithTheHostsNamesFindsItsGroup) {
  write("/proc/self/mountinfo", "35 31 0:32 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  write("/proc/self/cgroup", "4:memory:/docker/1f/inner\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "314572800\n");
  write("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "9223372036854771712\n");
  write("/sys/fs/cgroup/memory/memory.stat", "cache 7\nhierarchical_memory_limit 209715200\nrss 1\n");
  EXPECT_EQ(read().memory_bytes, 200 * kMiB) << "a group above the mount sets it";
}

TEST_F(ControlGroup, AGroupOutsideOfTheMountLeavesTheMountItself) {
  write("/proc/self/mountinfo", "25 1 0:21 /../other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  write("/proc/self/cgroup", "0::/../../elsewhere\n");
  write("/sys/fs/cgroup/memory.max", "314572800\n");
  EXPECT_EQ(read().memory_bytes, 300 * kMiB);
}

TEST_F(ControlGroup, NamesWithBlanksAndNonsenseInFiles) {
  write("/proc/self/mountinfo",
        "25 1 0:21 / /sys/fs/my\\040groups rw - cgroup2 cgroup2 rw\nnonsense\n1 2 3 4 5 6 -\n\n");
  write("/proc/self/cgroup", "0::/a:b\nnonsense\n");
  write("/sys/fs/my groups/a:b/memory.max", "314572800\n");
  write("/sys/fs/my groups/memory.max", "many\n");
  write("/sys/fs/my groups/cpuset.cpus.effective", "3-1,x\n");
  EXPECT_EQ(read().memory_bytes, 300 * kMiB);
  EXPECT_EQ(read().cpus_by_set, UINT32_MAX);
}

}  // namespace
}  // namespace posthaste::reactor::uring
