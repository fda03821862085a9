// The files of a journal as such: how they are called, and how one is made. Called by recovery and by the stream, with
// the stream's folder; any core.
#pragma once
#include <string>

#include "reactor/core.h"
#include "reactor/result.h"
#include "reactor/task.h"
#include "storage/journal/journal_format.h"
#include "storage/space/free_space.h"

namespace posthaste::storage {

// FOLDER/03.wal
std::string journal_file_path(const std::string& directory, size_t slot);

// Whether the file of this slot can be taken into use as it is: there, of this size, with a header of its own. What it
// holds otherwise has no meaning then, or had one for an earlier life. Only errors that are not an answer: kIoError,
// ...
reactor::Task<reactor::Result<bool>> journal_file_is_ready(reactor::Core& core, std::string directory, uint16_t slot,
                                                           uint64_t bytes);

// Makes it, or makes it again: zeroes on stable storage, so that a commit changes nothing but data blocks, and a header
// that says that it was never used. Its name is not durable yet. `space`: of a core that serves; null in recovery.
// kNoSpace, kNoMemory, kIoError.
reactor::Task<reactor::Result<void>> make_journal_file(reactor::Core& core, std::string directory, uint16_t slot,
                                                       uint64_t bytes, FreeSpace* space = nullptr);

// Writes the header of the file of slot header.slot, durably.
reactor::Task<reactor::Result<void>> write_journal_header(reactor::Core& core, std::string directory,
                                                          JournalFileHeader header);

}  // namespace posthaste::storage
