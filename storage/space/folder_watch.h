// Notices that the data folder was removed, moved away or replaced under the process: what is written and acknowledged
// after that would be in files that no start finds. The names of the lock, of the journals' folders and of the journal
// files must still lead to the same files. Belongs to core 0. A look allocates nothing.
#pragma once
#include <string>
#include <vector>

#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::storage {

class EngineHost;

class FolderWatch {
 public:
  // With the folder locked and its journals' folders there.
  FolderWatch(const EngineHost& host, reactor::Core& core);
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Looks at regular intervals until close(); a folder that was lost ends the process (kFolderLost).
  void begin() { scope_.spawn(run(*this)); }
  reactor::Task<void> close();

 private:
  struct Watched {
    std::string path;
    uint64_t identity = 0;  // 0: not there yet
  };
  static reactor::Task<void> run(FolderWatch& self);
  static void check(Watched& watched, const reactor::Result<uint64_t>& done, const reactor::FileStat& found);

  reactor::Core& core_;
  reactor::Event wake_;
  reactor::TaskScope scope_;
  std::vector<Watched> folders_;  // and the lock
  std::vector<Watched> files_;    // of the journals
  size_t next_file_ = 0;
  bool closing_ = false;
};

}  // namespace posthaste::storage
