#include "reactor/uring/control_group.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

namespace posthaste::reactor::uring {
namespace {

// One file system of control groups as it is mounted here.
struct Mount {
  std::string group;  // the group that is seen at `folder`
  std::string folder;
  bool version_2 = false;
  std::vector<std::string> controllers;  // of version 1
};

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, by);) parts.push_back(part);
  return parts;
}

bool has(const std::vector<std::string>& list, std::string_view what) {
  return std::ranges::find(list, what) != list.end();
}

// Blanks, tabs, line ends and backslashes stand in mountinfo as a backslash and three octal digits.
std::string unescaped(const std::string& text) {
  constexpr size_t kDigits = 3;
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    int value = 0;
    const bool fits = text[at] == '\\' && at + kDigits < text.size();
    const char* digits = text.data() + at + 1;
    if (fits && std::from_chars(digits, digits + kDigits, value, 8).ptr == digits + kDigits) {
      out.push_back(static_cast<char>(value));
      at += kDigits;
    } else {
      out.push_back(text[at]);
    }
  }
  return out;
}

// Fields of a line: id, parent, device, root, mount point, options, any number of tags, "-", type, source, options.
std::vector<Mount> mounts(const std::string& root) {
  std::vector<Mount> found;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    constexpr size_t kFirstTag = 6;
    const std::vector<std::string> fields = split(line, ' ');
    const auto dash =
        fields.size() > kFirstTag ? std::find(fields.begin() + kFirstTag, fields.end(), "-") : fields.end();
    if (fields.end() - dash < 4) continue;
    const bool version_2 = dash[1] == "cgroup2";
    if (!version_2 && dash[1] != "cgroup") continue;
    found.push_back({unescaped(fields[3]), unescaped(fields[4]), version_2, split(dash[3], ',')});
  }
  return found;
}

// The folder of `group` and those of all groups above it, as far as this mount shows them.
std::vector<std::string> folders_of(const Mount& mount, const std::string& group) {
  std::string below;  // of the mount's own group
  const std::string own = mount.group == "/" ? "" : mount.group;
  if (group.starts_with(own + "/")) below = group.substr(own.size());
  // A group outside of what is mounted has "..": then only the mount itself can be seen.
  if (below.find("/..") != std::string::npos) below.clear();
  while (!below.empty() && below.back() == '/') below.pop_back();
  std::vector<std::string> folders;
  for (;;) {
    folders.push_back(mount.folder + below);
    const size_t slash = below.rfind('/');
    if (slash == std::string::npos) return folders;
    below.resize(slash);
  }
}

// The first number of a file; none if it is not there or says "max".
std::optional<int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// The number behind `key` in a file of lines "key number".
std::optional<int64_t> number_of(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  std::string name;
  for (int64_t value = 0; file >> name >> value;) {
    if (name == key) return value;
  }
  return std::nullopt;
}

void limit_memory(GroupLimits& limits, const std::string& root, const std::string& file, std::optional<int64_t> bytes) {
  if (!bytes || *bytes <= 0 || static_cast<uint64_t>(*bytes) >= limits.memory_bytes) return;
  limits.memory_bytes = static_cast<uint64_t>(*bytes);
  limits.memory_set_by = file.substr(root.size());
}

void limit_quota(GroupLimits& limits, std::optional<int64_t> quota, std::optional<int64_t> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return;
  const auto whole = static_cast<uint32_t>(std::clamp<int64_t>(*quota / *period, 1, UINT32_MAX));
  limits.cpus_by_quota = std::min(limits.cpus_by_quota, whole);
}

// "0-3,7"
void limit_set(GroupLimits& limits, const std::string& path) {
  std::ifstream file(path);
  std::string list;
  if (!(file >> list)) return;
  uint32_t count = 0;
  for (const std::string& range : split(list, ',')) {
    uint32_t first = 0;
    const char* end = range.data() + range.size();
    const auto read = std::from_chars(range.data(), end, first);
    if (read.ec != std::errc()) return;
    uint32_t last = first;
    if (read.ptr != end && std::from_chars(read.ptr + 1, end, last).ec != std::errc()) return;
    if (last < first) return;
    count += last - first + 1;
  }
  if (count > 0) limits.cpus_by_set = std::min(limits.cpus_by_set, count);
}

void read_version_1(GroupLimits& limits, const std::string& root, const Mount& mount, const std::string& folder) {
  if (has(mount.controllers, "memory")) {
    const std::string file = root + folder + "/memory.limit_in_bytes";
    limit_memory(limits, root, file, number_in(file));
    // Groups above this mount, too, where they count.
    const std::string statistics = root + folder + "/memory.stat";
    limit_memory(limits, root, statistics, number_of(statistics, "hierarchical_memory_limit"));
  }
  if (has(mount.controllers, "cpu")) {
    limit_quota(limits, number_in(root + folder + "/cpu.cfs_quota_us"),
                number_in(root + folder + "/cpu.cfs_period_us"));
  }
  if (has(mount.controllers, "cpuset")) limit_set(limits, root + folder + "/cpuset.effective_cpus");
}

void read_version_2(GroupLimits& limits, const std::string& root, const std::string& folder) {
  // Above "high" everything is slowed down until it is as good as dead.
  for (const char* name : {"/memory.max", "/memory.high"}) {
    const std::string file = root + folder + name;
    limit_memory(limits, root, file, number_in(file));
  }
  std::ifstream quota_file(root + folder + "/cpu.max");
  int64_t quota = 0;
  int64_t period = 0;
  if (quota_file >> quota >> period) limit_quota(limits, quota, period);
  limit_set(limits, root + folder + "/cpuset.cpus.effective");
}

}  // namespace

GroupLimits read_group_limits(const std::string& root) {
  GroupLimits limits;
  const std::vector<Mount> mounted = mounts(root);
  std::ifstream file(root + "/proc/self/cgroup");
  // "number:controllers:group"; of version 2 "0::group". A group's name may hold colons.
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::vector<std::string> controllers = split(line.substr(first + 1, second - first - 1), ',');
    const std::string group = line.substr(second + 1);
    for (const Mount& mount : mounted) {
      const bool is_same =
          mount.version_2
              ? controllers.empty()
              : std::ranges::any_of(controllers, [&](const auto& one) { return has(mount.controllers, one); });
      if (!is_same) continue;
      for (const std::string& folder : folders_of(mount, group)) {
        mount.version_2 ? read_version_2(limits, root, folder) : read_version_1(limits, root, mount, folder);
      }
    }
  }
  return limits;
}

}  // namespace posthaste::reactor::uring
