// Bugs planted on purpose, to show that the simulators find what they are there for (docs/reliability.md). Each stands
// where such a bug would be, as `if (planted(Bug::kX))`. In every build but the preset `planted`, planted() is a
// constant and nothing of this remains. Not for use in unit tests: a test that needs a fault injects it
// (simulated/disk.h).
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace posthaste::reactor {

enum class Bug : uint8_t {
  kNone,
  kAckBeforeJournalWrite,
  kNoFullPagePrefix,
  kJournalRecycledEarly,
  kLowWaterFromMemory,
  kGenerationIgnored,
  kNoFlushBeforeTruncate,
  kGapAcked,
  kTableOfWrongMoment,
  kOffsetReused,
  kReadNotMadeDurable,
  kCrcSkipped,
  kPartitionHandedTwice,
  kCommittedOffsetLost,
  kCommitGenerationUnchecked,
  kDuplicateAckedAtOnce,
  kSequenceGapAccepted,
  kAnswerOutOfOrder,
  kFetchWakeLost,
  kReplySlotReused,
  kLeaseFreedEarly,
  kMemoryNotReturned,
  kWrongCore,
  kClassOrder,
  kTombstoneLost,
  kJournalFreedByNewestTable,
  kFolderNameNotWaitedFor,
  kOtherCoresNameNotWaitedFor,
  kWriteBackLosesAByte,
  kSplitBatchGoesBack,
  kBlockBuiltWithoutPlace,
  kAcceptorGoneEarly,
  kFirstOffsetUnchecked,
  kMissingJournalEmpty,
  kTableNameNotDurable,
  kTornBlockHeldForFlushed,
  kRemovalNotDurable,
  kFrameKeptWaiting,
  kLaterPartitionsStarve,
};

// `program` finds it: posthaste-sim or posthaste-storage-crash, or the latter with --rot.
struct PlantedBug {
  Bug bug;
  std::string_view name;
  std::string_view program;
  std::string_view what;
};

inline constexpr std::string_view kStorageCrash = "posthaste-storage-crash";
inline constexpr std::string_view kStorageRot = "posthaste-storage-crash --rot";
inline constexpr std::string_view kSimulation = "posthaste-sim";

// Those that a simulator must find: all but kNone.
inline constexpr auto kPlantedBugs = std::to_array<PlantedBug>({
    {Bug::kAckBeforeJournalWrite, "ack-before-journal-write", kStorageCrash,
     "records are acknowledged when their journal write is submitted, not when it is complete"},
    {Bug::kNoFullPagePrefix, "no-full-page-prefix", kStorageCrash,
     "a journal record leaves out the flushed bytes of the block that it begins in"},
    {Bug::kJournalRecycledEarly, "journal-recycled-early", kStorageCrash,
     "a journal file is used again while a table still needs its end"},
    {Bug::kLowWaterFromMemory, "low-water-from-memory", kStorageCrash,
     "journal files go by what is flushed now, not by what the durable table says"},
    {Bug::kGenerationIgnored, "generation-ignored", kStorageCrash,
     "recovery replays data records of a generation that a truncation ended"},
    {Bug::kNoFlushBeforeTruncate, "no-flush-before-truncate", kStorageCrash,
     "a truncation does not wait until what stays is in the segment"},
    {Bug::kGapAcked, "gap-acked", kStorageCrash, "records behind a part that no commit holds yet are acknowledged"},
    {Bug::kTableOfWrongMoment, "table-of-wrong-moment", kStorageCrash,
     "a table names the end of the log in memory, not the durable one"},
    {Bug::kOffsetReused, "offset-reused", kStorageCrash, "after a restart the last offset is given out again"},
    {Bug::kReadNotMadeDurable, "read-not-made-durable", kStorageCrash,
     "recovery acts on what a killed process left in the page cache without making it durable"},
    {Bug::kJournalFreedByNewestTable, "journal-freed-by-newest-table", kStorageCrash,
     "journal files go by the newest table, though the older one still needs them"},
    {Bug::kFolderNameNotWaitedFor, "folder-name-not-waited-for", kStorageCrash,
     "a new partition takes its folder before the earlier one of that name has left it"},
    {Bug::kOtherCoresNameNotWaitedFor, "other-cores-name-not-waited-for", kStorageCrash,
     "the same where the earlier one belonged to another core"},
    {Bug::kWriteBackLosesAByte, "write-back-loses-a-byte", kStorageCrash,
     "write-back loses the last byte of a block that lacks only one to be full"},
    {Bug::kSplitBatchGoesBack, "split-batch-goes-back", kStorageCrash,
     "a batch that is split between commits goes behind all others, and write-back stops before it"},
    {Bug::kBlockBuiltWithoutPlace, "block-built-without-place", kStorageCrash,
     "another core's part of a commit is made before there is a place for it, and waits for one"},
    {Bug::kTableNameNotDurable, "table-name-not-durable", kStorageCrash,
     "the other table is written before the name of the one that was just made is durable"},
    {Bug::kTornBlockHeldForFlushed, "torn-block-held-for-flushed", kStorageCrash,
     "a block that was written again with a part of a batch, and is torn, is held for flushed"},
    {Bug::kRemovalNotDurable, "removal-not-durable", kStorageCrash,
     "a deleted partition counts as gone before the removal of its folder is durable"},
    {Bug::kFirstOffsetUnchecked, "first-offset-unchecked", kStorageRot,
     "at the start of a segment any larger offset is taken, and nothing else vouches for it"},
    {Bug::kMissingJournalEmpty, "missing-journal-empty", kStorageRot,
     "a journal whose files are gone is taken for an empty one"},
    {Bug::kCrcSkipped, "crc-skipped", kSimulation, "a batch whose checksum is wrong is stored"},
    {Bug::kPartitionHandedTwice, "partition-handed-twice", kSimulation,
     "two members of a group get the same partitions"},
    {Bug::kCommittedOffsetLost, "committed-offset-lost", kSimulation, "of a commit's offsets the last is not stored"},
    {Bug::kCommitGenerationUnchecked, "commit-generation-unchecked", kSimulation,
     "a commit of an earlier generation is accepted"},
    {Bug::kDuplicateAckedAtOnce, "duplicate-acked-at-once", kSimulation,
     "a repeated batch is acknowledged before the first one is durable"},
    {Bug::kSequenceGapAccepted, "sequence-gap-accepted", kSimulation,
     "a batch whose sequence number leaves a gap is stored"},
    {Bug::kAnswerOutOfOrder, "answer-out-of-order", kSimulation,
     "of two answers that are ready the later one is sent first"},
    {Bug::kFetchWakeLost, "fetch-wake-lost", kSimulation,
     "what is appended while a fetch begins to wait does not wake it"},
    {Bug::kReplySlotReused, "reply-slot-reused", kSimulation,
     "a reply between cores takes the slot of one that is not read yet"},
    {Bug::kLeaseFreedEarly, "lease-freed-early", kSimulation,
     "memory that an answer is sent from is given back before it is sent"},
    {Bug::kMemoryNotReturned, "memory-not-returned", kSimulation, "the buffer of a request is never given back"},
    {Bug::kWrongCore, "wrong-core", kSimulation, "records are appended by the core that received them"},
    {Bug::kClassOrder, "class-order", kSimulation,
     "a change of topics is told to the cores by calls of the class that it was asked with"},
    {Bug::kTombstoneLost, "tombstone-lost", kSimulation,
     "of the offsets that a request deletes the last one's tombstone is not written"},
    {Bug::kAcceptorGoneEarly, "acceptor-gone-early", kSimulation,
     "the acceptor goes while the word of a connection's end is on its way to it"},
    {Bug::kFrameKeptWaiting, "frame-kept-waiting", kSimulation,
     "a request that waits for others or for time keeps the memory of its frame"},
    {Bug::kLaterPartitionsStarve, "later-partitions-starve", kSimulation,
     "one count says which core a fetch session begins with and with which of its partitions"},
});

#ifdef POSTHASTE_PLANTED_BUGS
inline constexpr bool kHasPlantedBugs = true;
inline Bug planted_bug = Bug::kNone;  // set once, before anything runs
inline bool planted(Bug bug) { return bug == planted_bug; }
#else
inline constexpr bool kHasPlantedBugs = false;
constexpr bool planted(Bug) { return false; }
#endif

}  // namespace posthaste::reactor
