// The reserve of disk space: a file in the data folder that is allocated and never written (DATA/.reserve). When an
// allocation for something that was accepted finds the disk full, the reserve gives up as much, and from then on
// clients' records and new topics are refused, while everything that frees space goes on. When there is room again the
// reserve is filled first, with some to spare, then all is accepted again. A start gives up what recovery may need.
// What it holds for each core bounds what that core accepts ahead of its place on disk (SpaceAccount); a quarter is for
// the tables and for starts. Belongs to core 0; the other cores ask by mail and are told by mail.
#pragma once
#include <vector>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "storage/space_account.h"

namespace posthaste::storage {

class EngineHost;

class SpaceReserve {
 public:
  SpaceReserve(EngineHost& host, reactor::Core& core);
  SpaceReserve(const SpaceReserve&) = delete;
  SpaceReserve& operator=(const SpaceReserve&) = delete;

  // Before recovery writes anything, with the folder locked: the whole reserve, if the disk has less than that left.
  reactor::Task<reactor::Result<void>> make_way();
  // After recovery: fills the reserve as far as there is room. Errors but a full disk: the file system cannot reserve.
  reactor::Task<reactor::Result<void>> open();
  // From open() on; what a core starts with.
  SpaceAccount::Credit credit(reactor::CoreId core) const { return {version_, credits_[core], full_}; }

  // Looks after the disk in the background, until close().
  void begin();
  reactor::Task<void> close();

  struct Given {
    uint64_t bytes = 0;
    SpaceAccount::Credit credit;
  };
  // The disk was found full by a core that needs `bytes` for what it has accepted, at most its debt: that much of its
  // credit becomes free space (0: none is left). Core 0, by mail.
  reactor::Task<Given> give_up(reactor::CoreId core, uint64_t bytes);
  // The same for a table that did not fit. False: none is left.
  reactor::Task<bool> give_up_for_table(uint64_t bytes);

 private:
  static reactor::Task<void> run(SpaceReserve& self);
  static reactor::Task<void> tell(SpaceReserve& self, reactor::CoreId core);
  void tell_all();
  reactor::Task<reactor::Result<reactor::SpaceStat>> measure();
  reactor::Task<reactor::Result<void>> look();
  reactor::Task<reactor::Result<void>> grow(uint64_t bytes);
  reactor::Task<void> shrink(uint64_t bytes);
  void set_full(bool full, uint64_t available_bytes);
  void share_out(uint64_t bytes);
  uint64_t core_share(uint64_t of_bytes) const;
  uint64_t spare_bytes() const;

  EngineHost& host_;
  reactor::Core& core_;
  reactor::Semaphore one_at_a_time_;
  reactor::Event wake_;
  reactor::TaskScope scope_;
  reactor::File file_;
  uint64_t target_ = 0;
  uint64_t size_ = 0;
  std::vector<uint64_t> credits_;  // by core
  uint64_t table_credit_ = 0;
  uint64_t version_ = 1;
  bool full_ = false;
  bool gave_way_ = false;  // to recovery
  bool durable_ = false;   // as large as it is
  bool closing_ = false;
};

}  // namespace posthaste::storage
