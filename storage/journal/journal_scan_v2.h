// Reads journals of version 2 and 1, as programs before the paired journal wrote them: one file is filled after the
// other, and addresses count the bytes of files. For the first start after an upgrade; recovery leaves none behind.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "storage/journal/journal_scan.h"

namespace posthaste::storage {

class OldJournalReader final : public JournalReader {
 public:
  using JournalReader::JournalReader;
  reactor::Task<reactor::Result<void>> open() override;
  reactor::Task<reactor::Result<std::optional<Commit>>> next() override;
  void rewind() override;
  uint64_t files() const override { return files_.size(); }
  uint64_t files_read() const override { return file_; }

 private:
  struct ScannedFile {
    std::string path;
    uint64_t start_lsn = 0;
    uint64_t bytes = 0;
    uint64_t end_lsn() const { return start_lsn + bytes - kBlock; }
  };
  reactor::Task<reactor::Result<void>> look_at(std::string path);
  reactor::Task<reactor::Result<void>> load(const std::string& path);
  reactor::Task<reactor::Result<void>> look_behind();
  bool take_commit(Commit& commit);
  void scan_for_rot(const ScannedFile& file, uint64_t from_offset);
  std::optional<uint64_t> start_from_commits() const;

  std::vector<ScannedFile> files_;  // by start_lsn, contiguous from the low water on
  size_t file_ = 0;
  std::string loaded_;
  Bytes bytes_;
  uint64_t offset_ = kBlock;
};

}  // namespace posthaste::storage
