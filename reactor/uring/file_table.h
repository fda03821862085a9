// The open files of one backend: FileId -> file descriptor. A FileId carries the generation of its slot, so one that
// was closed is noticed even if the slot has a new owner.
//
// Sockets keep plain descriptors on purpose: up to Linux 6.12 a fixed file that is removed is released only after every
// request that was under way on any fixed file has ended, and an idle connection's receive may never end. Files opened
// for direct I/O (journals, segments) get a fixed slot: their requests are short.
#pragma once
#include <cstdint>
#include <vector>

#include "reactor/backend.h"
#include "reactor/uring/ring.h"

namespace posthaste::reactor::uring {

struct OpenFile {
  int fd = -1;
  int32_t fixed_slot = -1;  // in the ring's table, or -1
  uint16_t generation = 0;
  bool direct = false;
};

class FileTable {
 public:
  // At most `fixed_slots` files get a fixed slot; the others work without.
  FileTable(Ring& ring, uint32_t fixed_slots);
  FileTable(const FileTable&) = delete;
  FileTable& operator=(const FileTable&) = delete;
  // Closes what is still open.
  ~FileTable();

  FileId add(int fd, bool direct);
  // An id that is not open is a bug of the caller.
  OpenFile& at(FileId id);
  // Forgets `id`; the descriptor is the caller's to close or keep.
  int remove(FileId id);
  size_t open_count() const { return files_.size() - free_.size(); }

 private:
  static constexpr uint32_t kSlotBits = 20;
  static constexpr uint32_t kGenerationMask = 0x7ff;

  Ring& ring_;
  std::vector<OpenFile> files_;
  std::vector<uint32_t> free_;
  std::vector<int32_t> free_fixed_;
};

}  // namespace posthaste::reactor::uring
