// Makes a data folder whole after any kind of end, before anything is served from it: newest table, then the journals
// in two passes (META first, so that it is known which records are dead, then DATA into the segments), then two new
// tables that need no journal, and the files that the journal starts with. Every step may be repeated after a crash
// inside it, until the first of these tables is durable. Runs on core 0. It never decides from a segment's content
// where a log ends.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "reactor/core.h"
#include "storage/engine.h"
#include "storage/journal/journal_scan.h"
#include "storage/recovery/table_file.h"

namespace posthaste::storage {

class Recovery {
 public:
  Recovery(EngineHost& host, reactor::Core& core) : host_(host), core_(core), progress_(host.recovery_progress_) {}
  reactor::Task<reactor::Result<RecoveryReport>> run();

 private:
  // One partition while its records are replayed.
  struct Replay {
    TableEntry entry;
    SegmentPosition scan_from;  // batches from here on are not in entry.producers yet
    int64_t scan_offset = 0;
    bool from_table = false;
    bool producers_lost = false;  // truncated below their snapshot
    bool is_broken = false;       // its META records do not fit together
    SegmentPosition raw_end;      // bytes known up to here; may lie inside a batch
    SegmentPosition boundary;     // the last whole batch
    int64_t boundary_offset = 0;
    // Bytes of one segment that are not written yet: [overlay_start, overlay_start + overlay.size()).
    int64_t overlay_base = 0;
    uint64_t overlay_start = 0;
    Bytes overlay;
    std::vector<int64_t> made;  // segment files that this run has created or found
  };
  using Records = std::map<Uid, Replay>;

  reactor::Task<reactor::Result<void>> lock();
  reactor::Task<reactor::Result<void>> read_tables();
  reactor::Task<reactor::Result<bool>> any_journal();
  reactor::Task<reactor::Result<void>> replay_meta(JournalReader& reader);
  reactor::Task<reactor::Result<void>> replay_data(JournalReader& reader);
  void apply_meta(uint64_t lsn, const JournalRecord& record);
  void create(uint64_t lsn, const JournalRecord& record);
  void truncate(Replay& replay, const JournalRecord& record);
  static void reset(Replay& replay, const JournalRecord& record);
  void drop_below_log_start(Replay& replay);
  void start_replay(Replay& replay);
  static void leave_out_flushed_blocks(const TableEntry& entry, JournalRecord& record);
  reactor::Task<reactor::Result<void>> apply_data(Replay& replay, JournalRecord record);
  reactor::Task<reactor::Result<void>> enter_segment(Replay& replay, int64_t base);
  reactor::Task<reactor::Result<void>> begin_overlay(Replay& replay, const JournalRecord& record);
  reactor::Task<reactor::Result<void>> write_overlay(Replay& replay, bool last);
  reactor::Task<reactor::Result<void>> finish(Replay& replay);
  reactor::Task<reactor::Result<void>> find_last_batch(Replay& replay);
  reactor::Task<reactor::Result<void>> scan_batches(Replay& replay);
  reactor::Task<reactor::Result<void>> restore_producers(Replay& replay);
  reactor::Task<reactor::Result<reactor::File>> open_segment(Replay& replay, int64_t base, uint64_t bytes);
  reactor::Task<reactor::Result<Bytes>> read_segment(const Replay& replay, int64_t base, uint64_t from, uint64_t to);
  reactor::Task<reactor::Result<void>> clean_directories();
  std::string name_aside(const std::vector<reactor::DirectoryEntry>& root_entries);
  reactor::Task<reactor::Result<bool>> remove_stale(const std::string& name,
                                                    const std::vector<reactor::DirectoryEntry>& root_entries);
  bool is_known_name(const std::string& name) const;
  bool can_have_folder(const std::string& topic_name, int32_t partition);
  static std::string folder_of(const TableEntry& entry);
  reactor::Task<reactor::Result<void>> replay_journals();
  reactor::Task<reactor::Result<void>> make_journal_directories();
  reactor::Task<reactor::Result<void>> find_journal_files(uint16_t stream);
  reactor::Task<reactor::Result<void>> start_journals();
  static reactor::Task<void> start_journal(Recovery& self, uint16_t stream, reactor::Result<void>& outcome);
  static reactor::Task<void> make_file(Recovery& self, uint16_t stream, uint16_t slot, reactor::Result<void>& outcome);
  void make_table();
  reactor::Task<reactor::Result<void>> write_tables();
  reactor::Task<reactor::Result<void>> write_table();
  void damage(Replay& replay, std::string reason);
  void damage_seen(TableEntry& entry, int64_t offset, std::string reason);
  std::unexpected<reactor::Errc> unusable(const TableEntry& entry, int64_t base, reactor::Errc error);
  reactor::Task<reactor::Result<void>> check_access();
  reactor::Task<reactor::Result<void>> refuse_access(std::string folder, std::string file);
  reactor::Task<reactor::Result<void>> make_partition_folder(TableEntry& entry);
  reactor::Task<reactor::Result<reactor::File>> open_or_replace(Replay& replay, int64_t base);
  std::string directory_of(const TableEntry& entry) const;
  std::string segment_of(const TableEntry& entry, int64_t base, std::string_view extension) const;
  void note(std::string line) { report_.notes.push_back(std::move(line)); }

  EngineHost& host_;
  reactor::Core& core_;
  RecoveryProgress& progress_;
  RecoveryReport report_;
  TableSnapshot table_;
  size_t newest_slot_ = 0;
  uint64_t folders_moved_ = 0;
  uint64_t lsn_ceiling_ = 0;
  uint64_t file_sequence_ceiling_ = 0;
  Records partitions_;
  TableEntries entries_;  // of the new table
};

}  // namespace posthaste::storage
