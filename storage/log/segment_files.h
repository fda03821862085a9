// Opens, creates, sizes, reads and removes segment files, and keeps the number of open ones within a limit (the least
// recently used go). File-system work goes in its own I/O class. Owned by one core.
#pragma once
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "reactor/file.h"
#include "reactor/sync.h"
#include "storage/bytes/bytes.h"
#include "storage/log/log_types.h"

namespace posthaste::storage {

class Engine;
class Partition;
class Segment;

// What an operator does about a file that may not be used.
inline constexpr std::string_view kPermissionRemedy =
    "make the data folder readable and writable for the user that the broker runs as (chown -R USER FOLDER)";
// The same as the end of a log line; empty for other errors.
std::string remedy_field(reactor::Errc error);

class SegmentFiles {
 public:
  SegmentFiles(Engine& engine, uint32_t open_max);

  // Keeps a segment's file open while it lives.
  class Pin {
   public:
    Pin() = default;
    explicit Pin(Segment& segment);
    Pin(Pin&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
    Pin& operator=(Pin other) noexcept {
      std::swap(segment_, other.segment_);
      return *this;
    }
    ~Pin();

   private:
    Segment* segment_ = nullptr;
  };

  // The file, made durable with its directory if it is not there yet, and with room for `bytes`. What the segment owes
  // comes out of the reserve if the disk is full. kNoSpace and others: nothing is lost, try again later. A segment that
  // was removed meanwhile may have no file.
  reactor::Task<reactor::Result<Pin>> for_write(Partition& partition, std::shared_ptr<Segment> segment, uint64_t bytes);
  // Reads whole blocks; short at the end of the file.
  reactor::Task<reactor::Result<uint64_t>> read(Partition& partition, Segment& segment, uint64_t position,
                                                MutableBytes into, reactor::IoClass io_class);
  // A small file beside a segment, whole.
  reactor::Task<reactor::Result<Bytes>> read_beside(std::string path);
  // Unlinks what removed segments left behind, at once: before a name is used again.
  reactor::Task<reactor::Result<void>> remove_doomed(Partition& partition, size_t files_max = SIZE_MAX);
  // The same in the background: a file at a time on this core, and after each the disk is left to others for some
  // times as long; not on a full disk, nor at the stop. Ends at an error: who uses the name next meets it.
  reactor::Task<void> remove_doomed_slowly(Partition& partition);
  // Unlinks files of segments below the log's first one, which a crash kept from being removed. Best effort. Nothing
  // can come to stand under their names again: the log start never goes back.
  reactor::Task<void> sweep(Partition& partition);
  // Moves the directory aside and removes it with our files; what else it holds stays in it.
  reactor::Task<reactor::Result<void>> remove_directory(Partition& partition);
  // Closes the segment's file if nothing uses it.
  reactor::Task<void> close(Segment& segment);
  // Cuts a sealed segment's file to its size and writes the index beside it. Best effort: both are remade if missing.
  reactor::Task<void> tidy(Partition& partition, std::shared_ptr<Segment> segment);

 private:
  reactor::Task<reactor::Result<Pin>> make_place(Partition& partition, Segment& segment, uint64_t bytes);
  reactor::Task<reactor::Result<void>> open(Partition& partition, Segment& segment, uint16_t flags);
  reactor::Task<reactor::Result<void>> open_or_replace(Partition& partition, Segment& segment);
  reactor::Task<reactor::Result<void>> create_directory(Partition& partition);
  reactor::Task<void> shrink();

  Engine& engine_;
  uint32_t open_max_;
  reactor::Semaphore removal_turn_;
  std::list<std::weak_ptr<Segment>> open_;  // least recently opened first
};

// Removes the segment files of a folder, and the folder if nothing else is in it. False: something that is not ours
// stays there. No folder there is success.
reactor::Task<reactor::Result<bool>> remove_folder(reactor::Core& core, std::string path);

}  // namespace posthaste::storage
