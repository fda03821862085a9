#include "reactor/uring/file_table.h"

#include <unistd.h>

namespace posthaste::reactor::uring {

FileTable::FileTable(Ring& ring, uint32_t fixed_slots) : ring_(ring) {
  if (fixed_slots == 0 || io_uring_register_files_sparse(ring.raw(), fixed_slots) < 0) return;
  for (uint32_t slot = fixed_slots; slot-- > 0;) free_fixed_.push_back(static_cast<int32_t>(slot));
}

FileTable::~FileTable() {
  for (const OpenFile& file : files_) {
    if (file.fd >= 0) ::close(file.fd);
  }
}

FileId FileTable::add(int fd, bool direct) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(files_.size()));
    files_.emplace_back();
    CHECK(files_.size() <= size_t{1} << kSlotBits, "more open files than a FileId can name");
  }
  const uint32_t slot = free_.back();
  free_.pop_back();
  OpenFile& file = files_[slot];
  file.fd = fd;
  file.direct = direct;
  if (direct && !free_fixed_.empty()) {
    const int32_t fixed = free_fixed_.back();
    if (io_uring_register_files_update(ring_.raw(), static_cast<unsigned>(fixed), &fd, 1) == 1) {
      free_fixed_.pop_back();
      file.fixed_slot = fixed;
    }
  }
  return FileId{static_cast<int32_t>(slot | static_cast<uint32_t>(file.generation) << kSlotBits)};
}

OpenFile& FileTable::at(FileId id) {
  const auto value = static_cast<uint32_t>(id.value);
  const uint32_t slot = value & ((1U << kSlotBits) - 1);
  CHECK(id.valid() && slot < files_.size() && files_[slot].fd >= 0 && files_[slot].generation == value >> kSlotBits,
        "file {} is not open", id.value);
  return files_[slot];
}

int FileTable::remove(FileId id) {
  OpenFile& file = at(id);
  const int fd = std::exchange(file.fd, -1);
  if (file.fixed_slot >= 0) {
    const int none = -1;
    io_uring_register_files_update(ring_.raw(), static_cast<unsigned>(file.fixed_slot), &none, 1);
    free_fixed_.push_back(std::exchange(file.fixed_slot, -1));
  }
  file.direct = false;
  file.generation = static_cast<uint16_t>((file.generation + 1U) & kGenerationMask);
  free_.push_back(static_cast<uint32_t>(id.value) & ((1U << kSlotBits) - 1));
  return fd;
}

}  // namespace posthaste::reactor::uring
