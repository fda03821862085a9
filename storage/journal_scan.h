// Reads a journal back: its commits in order from a low water mark, then the answer to "is this the end, or rot?".
// A torn commit was never acked and is the end. Rot is a commit that was complete once: one behind it says so (its
// durable_lsn lies beyond, or more than one sequence number separates them). Used by recovery only; writes nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reactor/file.h"
#include "storage/journal_format.h"

namespace posthaste::storage {

class JournalReader {
 public:
  struct Commit {
    uint64_t lsn = 0;
    uint16_t flags = 0;
    std::vector<ByteView> sub_blocks;  // good until the next call of next()
  };

  JournalReader(reactor::Core& core, std::string directory, const TableStream& stream)
      : core_(core), directory_(std::move(directory)), stream_(stream) {}

  // Finds the files that belong to the stream, and makes them durable as they are. kUnsupported: a newer format.
  reactor::Task<reactor::Result<void>> open();
  // The next commit, or nothing: then look at rot_lsn().
  reactor::Task<reactor::Result<std::optional<Commit>>> next();
  void rewind();

  // After next() came to its end: the address of a commit that was complete once and is not readable now.
  std::optional<uint64_t> rot_lsn() const { return rot_lsn_; }
  bool torn() const { return torn_; }
  uint32_t repaired() const { return repaired_; }
  // Everything in these files, readable or not, lies below.
  uint64_t lsn_ceiling() const { return lsn_ceiling_; }

 private:
  struct ScannedFile {
    std::string path;
    uint64_t start_lsn = 0;
    uint64_t bytes = 0;
    uint64_t end_lsn() const { return start_lsn + bytes - kBlock; }
  };
  reactor::Task<reactor::Result<void>> load(const std::string& path);
  reactor::Task<reactor::Result<void>> look_behind();
  bool take_commit(Commit& commit);
  void scan_for_rot(const ScannedFile& file, uint64_t from_offset);
  std::optional<uint64_t> start_from_commits() const;

  reactor::Core& core_;
  std::string directory_;
  TableStream stream_;
  std::vector<ScannedFile> files_;  // by start_lsn, contiguous from the low water on
  size_t file_ = 0;
  std::string loaded_;
  Bytes bytes_;
  uint64_t offset_ = kBlock;
  uint64_t sequence_ = 0;  // of the last commit taken; 0: none yet
  uint64_t end_lsn_ = 0;
  std::optional<uint64_t> rot_lsn_;
  bool torn_ = false;
  uint32_t repaired_ = 0;
  uint64_t lsn_ceiling_ = 0;
};

// What a process that SIGKILL ended has left in the page cache is there to be read, and a power loss may still take it
// away. Recovery acts on what it reads, so that must be on the disk first. kNotFound.
reactor::Task<reactor::Result<void>> make_durable(reactor::Core& core, std::string path);

// The whole of a file, through the page cache. kNotFound.
reactor::Task<reactor::Result<Bytes>> read_file(reactor::Core& core, std::string path);

}  // namespace posthaste::storage
