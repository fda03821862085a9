// How old the active segment of a partition may get before the next append opens a new one.
#pragma once
#include <cstdint>

#include "storage/log/log_types.h"

namespace posthaste::storage {

// Milliseconds since the first append to the segment; negative: any age. segment.ms, less a part below
// segment.jitter.ms that is another one for each segment of each partition, so that partitions that were made together
// do not roll together. The part follows from the names alone: it is the same after a restart, and nothing keeps it.
int64_t roll_age_ms(const LogConfig& config, Uid uid, int64_t base_offset);

}  // namespace posthaste::storage
