// Notices that the data folder was removed, moved away or replaced under the process: what is written and acknowledged
// after that would be in files that no start finds. The lock file must be the one that this process holds, and no name
// of a journal file may vanish. Belongs to core 0.
#pragma once
#include <set>
#include <string>

#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::storage {

class EngineHost;

class FolderWatch {
 public:
  FolderWatch(EngineHost& host, reactor::Core& core) : host_(host), core_(core), wake_(core), scope_(core) {}
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  // Looks every kInterval until close(); a folder that was lost ends the process (kFolderLost).
  void begin() { scope_.spawn(run(*this)); }
  reactor::Task<void> close();

 private:
  static reactor::Task<void> run(FolderWatch& self);
  reactor::Task<void> look_at_lock();
  reactor::Task<void> look_at_journal(uint16_t stream);

  EngineHost& host_;
  reactor::Core& core_;
  reactor::Event wake_;
  reactor::TaskScope scope_;
  uint64_t lock_identity_ = 0;
  std::set<std::string> journal_files_;  // seen so far, as paths
  bool closing_ = false;
};

}  // namespace posthaste::storage
