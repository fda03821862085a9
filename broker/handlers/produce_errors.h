// The error texts of a Produce (KIP-467): a sentence for the batch, and the records that are wrong, where that can be
// said. Only refused batches come here, so it may look at every record. Pure functions, any core.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "net/kafka/errors.h"
#include "reactor/time.h"
#include "storage/batch/record_batch.h"

namespace posthaste::broker {

struct RefusedBatch {
  struct Record {
    int32_t batch_index = 0;
    std::string message;
  };
  std::string message;
  std::vector<Record> records;  // none: the batch as a whole, or it is compressed and its records are not looked at
};

// At most this many wrong records are listed: an answer must not be larger than its request.
inline constexpr size_t kRefusedRecordsListed = 100;

// Why `batch` was refused with `error` under these rules at about this time.
RefusedBatch explain_refusal(net::kafka::ErrorCode error, storage::ByteView batch, const storage::BatchRules& rules,
                             reactor::WallMillis now);

}  // namespace posthaste::broker
