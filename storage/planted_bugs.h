// The bugs that can be planted in storage/ (reactor/planted.h), and the simulator that must find each.
#pragma once
#include "reactor/planted.h"

namespace posthaste::storage {

inline constexpr reactor::PlantedBugs kBugs(std::to_array<reactor::PlantedBug>({
    {"ack-before-journal-write", reactor::kStorageCrash,
     "records are acknowledged when their journal write is submitted, not when it is complete"},
    {"no-full-page-prefix", reactor::kStorageCrash,
     "a journal record leaves out the flushed bytes of the block that it begins in"},
    {"journal-recycled-early", reactor::kStorageCrash,
     "a journal file is used again while a table still needs its end"},
    {"low-water-from-memory", reactor::kStorageCrash,
     "journal files go by what is flushed now, not by what the durable table says"},
    {"generation-ignored", reactor::kStorageCrash,
     "recovery replays data records of a generation that a truncation ended"},
    {"no-flush-before-truncate", reactor::kStorageCrash,
     "a truncation does not wait until what stays is in the segment"},
    {"gap-acked", reactor::kStorageCrash, "records behind a part that no commit holds yet are acknowledged"},
    {"table-of-wrong-moment", reactor::kStorageCrash,
     "a table names the end of the log in memory, not the durable one"},
    {"offset-reused", reactor::kStorageCrash, "after a restart the last offset is given out again"},
    {"read-not-made-durable", reactor::kStorageCrash,
     "recovery acts on what a killed process left in the page cache without making it durable"},
    {"journal-freed-by-newest-table", reactor::kStorageCrash,
     "journal files go by the newest table, though the older one still needs them"},
    {"folder-name-not-waited-for", reactor::kStorageCrash,
     "a new partition takes its folder before the earlier one of that name has left it"},
    {"other-cores-name-not-waited-for", reactor::kStorageCrash,
     "the same where the earlier one belonged to another core"},
    {"write-back-loses-a-byte", reactor::kStorageCrash,
     "write-back loses the last byte of a block that lacks only one to be full"},
    {"split-batch-goes-back", reactor::kStorageCrash,
     "a batch that is split between commits goes behind all others, and write-back stops before it"},
    {"block-built-without-place", reactor::kStorageCrash,
     "another core's part of a commit is made before there is a place for it, and waits for one"},
    {"table-name-not-durable", reactor::kStorageCrash,
     "the other table is written before the name of the one that was just made is durable"},
    {"torn-block-held-for-flushed", reactor::kStorageCrash,
     "a block that was written again with a part of a batch, and is torn, is held for flushed"},
    {"removal-not-durable", reactor::kStorageCrash,
     "a deleted partition counts as gone before the removal of its folder is durable"},
    {"first-offset-unchecked", reactor::kStorageRot,
     "at the start of a segment any larger offset is taken, and nothing else vouches for it"},
    {"missing-journal-empty", reactor::kStorageRot, "a journal whose files are gone is taken for an empty one"},
    {"crc-skipped", reactor::kSimulation, "a batch whose checksum is wrong is stored"},
    {"sequence-gap-accepted", reactor::kSimulation, "a batch whose sequence number leaves a gap is stored"},
}));

}  // namespace posthaste::storage
