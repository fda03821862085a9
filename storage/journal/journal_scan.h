// Reads a journal back: its commits in order from a low water mark, then the answer to "is this the end, or was there
// more once?". A torn commit was never acked and is the end. Lost is what was complete once: a later commit proves it,
// or the header of a pair that was taken into use, or a file that the table names and that is not there. Used by
// recovery only; writes nothing.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reactor/file.h"
#include "storage/journal/journal_format.h"

namespace posthaste::storage {

// One stream's journal. The two below differ in how files are used.
class JournalReader {
 public:
  struct Commit {
    uint64_t lsn = 0;
    uint16_t flags = 0;
    std::vector<ByteView> sub_blocks;  // good until the next call of next()
  };

  JournalReader(reactor::Core& core, std::string directory, TableStream stream)
      : core_(core), directory_(std::move(directory)), stream_(std::move(stream)) {}
  virtual ~JournalReader() = default;

  // Finds the files that belong to the stream, and makes them durable as they are. kUnsupported: a newer format.
  virtual reactor::Task<reactor::Result<void>> open() = 0;
  // The next commit, or nothing: then look at rot_lsn().
  virtual reactor::Task<reactor::Result<std::optional<Commit>>> next() = 0;
  virtual void rewind() = 0;
  // Files that hold commits, and those of them that next() has taken all commits from since open() or rewind().
  virtual uint64_t files() const = 0;
  virtual uint64_t files_read() const = 0;

  // After open() or when next() came to its end: the address from which on the journal held what it does not hold now.
  std::optional<uint64_t> rot_lsn() const { return rot_lsn_; }
  // What was found there, for the operator.
  const std::string& rot_text() const { return rot_text_; }
  bool torn() const { return torn_; }
  uint32_t repaired() const { return repaired_; }
  // Everything in these files, readable or not, lies below.
  uint64_t lsn_ceiling() const { return lsn_ceiling_; }

 protected:
  void rotten(uint64_t lsn, std::string text) {
    if (rot_lsn_) return;
    rot_lsn_ = lsn;
    rot_text_ = std::move(text);
  }

  reactor::Core& core_;
  std::string directory_;
  TableStream stream_;
  uint64_t sequence_ = 0;  // of the last commit taken; 0: none yet
  uint64_t end_lsn_ = 0;   // of the last commit taken: the address of the next
  std::optional<uint64_t> rot_lsn_;
  std::string rot_text_;
  bool torn_ = false;
  uint32_t repaired_ = 0;
  uint64_t lsn_ceiling_ = 0;
};

// Journals of version 3: commits lie in the two files of a pair in turn, so that each file says what the other must
// hold, and the table names the files that there are (docs/storage-format.md, "What a journal says of itself").
class PairedJournalReader final : public JournalReader {
 public:
  using JournalReader::JournalReader;
  reactor::Task<reactor::Result<void>> open() override;
  reactor::Task<reactor::Result<std::optional<Commit>>> next() override;
  void rewind() override;
  uint64_t files() const override { return 2 * pairs_.size(); }
  uint64_t files_read() const override { return 2 * pair_; }

 private:
  struct Half {
    std::string path;  // empty: none was found
    uint16_t slot = 0;
  };
  // Two files that were in use at or behind the low water.
  struct Pair {
    uint64_t sequence = 0;
    uint64_t start_lsn = 0;
    uint64_t file_bytes = 0;
    std::array<Half, 2> halves;
  };
  reactor::Task<reactor::Result<void>> look_at(const std::string& name);
  reactor::Task<reactor::Result<void>> look_without_header(const std::string& path, const std::string& name);
  void take_file(const JournalFileHeader& header, const std::string& path, const std::string& name);
  reactor::Task<reactor::Result<void>> check_halves();
  void check_table_files();
  std::string describe(uint16_t slot) const;
  reactor::Task<reactor::Result<void>> load(size_t pair);
  reactor::Task<reactor::Result<bool>> holds_commit(const Half& half, uint64_t sequence);
  bool take_commit(Commit& commit);
  void look_behind();

  std::vector<Pair> pairs_;                // by sequence
  std::vector<uint16_t> whole_;            // slots whose file was found with a header that fits the slot
  std::vector<std::string> missing_text_;  // by slot: what is wrong with the file of that name; empty: nothing is there
  size_t pair_ = 0;
  std::optional<size_t> loaded_;
  std::array<Bytes, 2> bytes_;
  std::array<uint64_t, 2> offset_{};
};

// The reader for a journal that goes with a table of this version.
std::unique_ptr<JournalReader> make_journal_reader(reactor::Core& core, std::string directory, TableStream stream,
                                                   uint16_t table_version);

// Header and first commit block of a journal file; shorter if the file is.
reactor::Task<reactor::Result<Bytes>> read_journal_start(reactor::Core& core, std::string path);

// A file of this header was taken into use after the table of `stream` had been replaced by that of a later life:
// addresses grow for ever, across lives too.
bool is_of_later_life(const JournalFileHeader& header, const TableStream& stream);

// What a process that SIGKILL ended has left in the page cache is there to be read, and a power loss may still take it
// away. Recovery acts on what it reads, so that must be on the disk first. kNotFound.
reactor::Task<reactor::Result<void>> make_durable(reactor::Core& core, std::string path);

// The whole of a file, through the page cache. kNotFound.
reactor::Task<reactor::Result<Bytes>> read_file(reactor::Core& core, std::string path);

}  // namespace posthaste::storage
