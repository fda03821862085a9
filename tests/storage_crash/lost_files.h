// What happens to a store's folder while no broker runs: whole files of its journal and its tables deleted, emptied,
// cut, wiped in part, exchanged, or put back from an earlier copy. Values only; no disk.
#pragma once
#include <map>
#include <random>
#include <string>
#include <vector>

#include "reactor/simulated/disk.h"

namespace posthaste::storage_crash {

// By path. Folders end with a slash and have no bytes.
using Files = std::map<std::string, std::vector<std::byte>>;

Files files_of(const reactor::simulated::Disk& disk);
reactor::simulated::Disk disk_of(const Files& files);

struct LostFiles {
  std::string what;
  Files files;
};

// Each kind of damage to each journal file and table of `now`. `earlier` is the same folder as an earlier life left it.
std::vector<LostFiles> lose_files(const Files& now, const Files& earlier, std::mt19937_64& random);

}  // namespace posthaste::storage_crash
