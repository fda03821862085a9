// The reserve of disk space: a file in the data folder that is allocated and never written (DATA/.reserve). When an
// allocation for something that was accepted finds the disk full, the reserve gives up as much, and from then on
// clients' records and new topics are refused, while everything that frees space continues. From then on nothing is
// allocated, either, that the reserve has not given up first for exactly that (free_space.h): the sum of all debts
// stays below what the reserve holds. When there is room again the reserve is filled first, with some to spare, then
// all is accepted again. A start gives up what recovery may need. What it holds for each core bounds what that core
// accepts ahead of its place on disk (SpaceAccount); a quarter is for the tables and for starts. Belongs to core 0; the
// other cores ask by mail and are informed by mail.
#pragma once
#include <vector>

#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "storage/space/space_account.h"

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
  // A core needs `bytes` for what it has accepted, at most its debt, and the disk is full, or was just `found_full` by
  // it: that much of its credit becomes free space (0: none is left), which only that core takes. Nothing is given up
  // before all cores know that the disk is full and have no other allocation under way. If there is room (and it was
  // not found otherwise) nothing is given. Core 0, by mail.
  reactor::Task<Given> give_up(reactor::CoreId core, uint64_t bytes, bool found_full);
  // What was given was allocated, or could not be.
  void taken(uint64_t bytes) { given_ -= bytes; }
  // The same for a table. The cores that made it grow pay whole blocks out of their credit, at most `growth` of each,
  // from which that is taken; the rest is what is kept for tables. Returns how much was given.
  reactor::Task<uint64_t> give_up_for_table(uint64_t bytes, std::vector<uint64_t>& growth, bool found_full);
  bool disk_full() const { return full_; }
  // Recovery got all of it: what is free is for what the journal holds.
  bool gave_way() const { return gave_way_; }

 private:
  static reactor::Task<void> run(SpaceReserve& self);
  static reactor::Task<void> tell(SpaceReserve& self, reactor::CoreId core);
  static reactor::Task<void> take_news(EngineHost& host, reactor::CoreId core, SpaceAccount::Credit credit);
  void tell_all();
  reactor::Task<void> become_full();
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
  uint64_t given_ = 0;  // free and spoken for
  uint64_t version_ = 1;
  bool full_ = false;
  bool gave_way_ = false;  // to recovery
  bool durable_ = false;   // as large as it is
  bool closing_ = false;
};

}  // namespace posthaste::storage
