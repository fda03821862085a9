// Writes tables: gathers every core's entries on core 0, waits until all that they refer to is durable, writes the slot
// that is not the newest, and informs the streams which journal files are free. Runs when a stream has half of its
// files in use. Belongs to core 0; asks the other cores by mail.
#pragma once
#include <array>
#include <vector>

#include "reactor/sync.h"
#include "storage/engine.h"

namespace posthaste::storage {

class Checkpoint {
 public:
  Checkpoint(EngineHost& host, reactor::Core& core, uint64_t number, size_t newest_slot);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  ~Checkpoint();

  // From any stream's core, by mail or directly on core 0: a table is needed.
  void request() {
    wanted_ = true;
    wake_.notify_all();
  }
  // The loop; ends after stop().
  reactor::Task<void> run();
  void stop() {
    stopping_ = true;
    wake_.notify_all();
  }
  // The loop has ended, or was never started; after stop(). Awaited before this object is destroyed.
  reactor::Task<void> ended();
  // One table, now. Nothing after stop().
  reactor::Task<void> write_now(bool write_back);
  // A core has closed its engine: tables use `part` for it from now on.
  reactor::Task<void> core_closed(reactor::CoreId core, Engine::TablePart part);
  reactor::Task<void> wait_until_closed();
  // The table of a clean stop; after wait_until_closed() and stop().
  reactor::Task<void> write_last();

 private:
  template <class Work>
  auto ask(reactor::CoreId core, Work work);
  reactor::Task<void> gather_and_write(bool write_back);
  reactor::Task<void> write_table(TableSnapshot table, TableEntries entries);
  reactor::Task<void> write_slot(const TableFile& file);
  reactor::Task<reactor::Result<void>> try_slot(size_t slot, const TableFile& file, bool found_full);

  EngineHost& host_;
  reactor::Core& core_;
  uint64_t number_;
  size_t newest_slot_;
  reactor::Semaphore one_at_a_time_;
  reactor::Event wake_;
  bool wanted_ = false;
  bool stopping_ = false;
  bool runs_ = false;
  std::vector<std::optional<Engine::TablePart>> closed_;
  std::vector<uint64_t> growth_;  // by core, of the table under way: what of it is not paid yet
};

// Whether a table's file is made as large as it must be, or larger while there is room.
enum class TableRoom : uint8_t { kExact, kAhead };
// Writes a table's file, durably. The file is made if missing; its directory is not synced. kNoSpace: the file
// holds what it held.
reactor::Task<reactor::Result<void>> write_table_file(reactor::Core& core, std::string path, const TableFile& file,
                                                      TableRoom room);

}  // namespace posthaste::storage
