#include "tests/storage_crash/lost_files.h"

#include <fmt/format.h>

#include <algorithm>

namespace posthaste::storage_crash {

using reactor::kBlockBytes;
using reactor::simulated::Disk;

namespace {

bool is_journal(const std::string& path) { return path.ends_with(".wal"); }
bool is_table(const std::string& path) { return path.ends_with(".snap"); }

void zero(std::vector<std::byte>& bytes, size_t from, size_t to) {
  std::fill(bytes.begin() + static_cast<ptrdiff_t>(std::min(from, bytes.size())),
            bytes.begin() + static_cast<ptrdiff_t>(std::min(to, bytes.size())), std::byte{0});
}

// The files of `from` that `wanted` picks, in place of those of `to`.
Files put_back(const Files& to, const Files& from, bool (*wanted)(const std::string&)) {
  Files files = to;
  std::erase_if(files, [wanted](const auto& file) { return wanted(file.first); });
  for (const auto& [path, bytes] : from) {
    if (wanted(path)) files[path] = bytes;
  }
  return files;
}

void lose_one(const Files& now, const Files& earlier, const std::string& path, std::vector<LostFiles>& into) {
  const size_t size = now.at(path).size();
  const auto add = [&](std::string_view what, auto&& change) {
    LostFiles lost{fmt::format("{} {}", path, what), now};
    change(lost.files.at(path));
    if (lost.files.at(path) != now.at(path)) into.push_back(std::move(lost));
  };
  into.push_back({path + " deleted", now});
  into.back().files.erase(path);
  add("emptied", [](auto& bytes) { bytes.clear(); });
  add("cut in half", [&](auto& bytes) { bytes.resize(size / 2); });
  add("zeroed", [&](auto& bytes) { zero(bytes, 0, size); });
  add("without its first block", [&](auto& bytes) { zero(bytes, 0, kBlockBytes); });
  add("without its first two blocks", [&](auto& bytes) { zero(bytes, 0, 2 * kBlockBytes); });
  add("without its second half", [&](auto& bytes) { zero(bytes, size / 2, size); });
  add("without all but its header", [&](auto& bytes) { zero(bytes, kBlockBytes, size); });
  if (const auto old = earlier.find(path); old != earlier.end()) {
    add("put back from an earlier copy", [&](auto& bytes) { bytes = old->second; });
  }
}

}  // namespace

Files files_of(const Disk& disk) {
  Files files;
  for (const std::string& path : disk.all_files()) files[path] = *disk.read_file(path);
  std::vector<std::string> folders{"/data"};
  while (!folders.empty()) {
    const std::string folder = folders.back();
    folders.pop_back();
    const auto listed = disk.list(folder);
    if (!listed) continue;
    files[folder + "/"];
    for (const auto& entry : *listed) {
      if (entry.is_directory) folders.push_back(fmt::format("{}/{}", folder, entry.name));
    }
  }
  return files;
}

Disk disk_of(const Files& files) {
  Disk disk;
  for (const auto& [path, bytes] : files) {
    path.ends_with('/') ? disk.make_directories(path.substr(0, path.size() - 1)) : disk.write_file(path, bytes);
  }
  return disk;
}

std::vector<LostFiles> lose_files(const Files& now, const Files& earlier, std::mt19937_64& random) {
  std::vector<LostFiles> all;
  std::vector<std::string> journals;
  for (const auto& [path, bytes] : now) {
    if (is_journal(path)) journals.push_back(path);
    if (is_journal(path) || is_table(path)) lose_one(now, earlier, path, all);
  }
  for (const std::string& one : journals) {
    const std::string& other = journals[random() % journals.size()];
    if (one == other) continue;
    LostFiles swapped{fmt::format("{} and {} exchanged", one, other), now};
    std::swap(swapped.files.at(one), swapped.files.at(other));
    all.push_back(std::move(swapped));
    LostFiles copied{fmt::format("{} copied over {}", one, other), now};
    copied.files.at(other) = now.at(one);
    all.push_back(std::move(copied));
  }
  all.push_back({"all files of the journal deleted", put_back(now, {}, is_journal)});
  all.push_back({"the journal deleted",
                 put_back(now, {}, [](const std::string& path) { return path.starts_with("/data/journal/"); })});
  all.push_back({"the tables deleted", put_back(now, {}, is_table)});
  all.push_back({"the tables put back from an earlier copy", put_back(now, earlier, is_table)});
  all.push_back({"the journal put back from an earlier copy", put_back(now, earlier, is_journal)});
  return all;
}

}  // namespace posthaste::storage_crash
