// What one core takes of the disk without asking the reserve: every core may, until the disk was found full. From then
// on all free space is what the reserve has given up for one purpose, and nothing else may take it: so the reserve
// gives up nothing before each core knows that the disk is full and its allocations under way have ended. A value of
// its core.
#pragma once
#include "reactor/sync.h"
#include "storage/space/space_account.h"

namespace posthaste::storage {

class FreeSpace {
 public:
  FreeSpace(reactor::Core& core, const SpaceAccount& account) : account_(account), left_(core) {}

  bool may_be_taken() const { return !account_.disk_full(); }

  // Something is being allocated, or a name made. The reserve waits for its end: nothing is done meanwhile that waits
  // for anything but the disk.
  class Use {
   public:
    explicit Use(FreeSpace& space) : space_(space) {
      CHECK(space.may_be_taken());
      ++space.uses_;
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      if (--space_.uses_ == 0) space_.left_.notify_all();
    }

   private:
    FreeSpace& space_;
  };

  // After the account knows that the disk is full.
  reactor::Task<void> wait_until_left() {
    while (uses_ > 0) co_await left_.wait();
  }

 private:
  const SpaceAccount& account_;
  uint32_t uses_ = 0;
  reactor::Event left_;
};

}  // namespace posthaste::storage
