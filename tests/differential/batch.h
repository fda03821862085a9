// Record batches as hostile and as ordinary producers write them. What a request carries is a recipe; the bytes are
// made for each broker, for they hold that broker's producer id and a checksum over it.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/bindings.h"

namespace posthaste::differential {

// One thing wrong with a batch; the checksum fits unless it is what is wrong.
enum class Flaw : uint8_t {
  kNone,
  kNoBytes,            // an empty set of records
  kNull,               // no set of records
  kChecksum,           // does not fit
  kMagic0,             // a message set of the oldest format
  kMagic3,             // a format that does not exist
  kLengthShort,        // the length field says less than is there
  kLengthLong,         // more than is there
  kLengthNegative,     //
  kCut,                // bytes end early
  kTrailingBytes,      // bytes behind the batch
  kTwoBatches,         //
  kCountTooLarge,      // more records are stated than follow
  kCountTooSmall,      //
  kCountNegative,      //
  kCountZero,          // and no records
  kLastDeltaTooLarge,  // the last offset delta leaves a gap
  kLastDeltaNegative,  //
  kControl,            // claims to be a marker of a transaction
  kTransactional,      // without or with a producer id, outside of any transaction
  kLogAppendTime,      // claims the broker's clock
  kUnknownCodec,       // codec 7
  kNotGzip,            // says gzip and is not
  kMaxTimestampLow,    // the largest time is below the records'
  kFarFuture,          // times far ahead
  kRecordLength,       // a record's own length is wrong
  kBaseOffset,         // does not begin at 0: ignored
  kProducerNoSequence  // a producer id and sequence -1
};
std::string_view to_string(Flaw flaw);
inline constexpr auto kLastFlaw = Flaw::kProducerNoSequence;

struct BatchRecipe {
  int records = 1;
  int64_t first_time = 0;  // ms
  int64_t time_step = 0;
  bool with_keys = true;
  int value_bytes = 10;
  std::optional<int> producer;  // the step that got the producer id
  int16_t producer_epoch = 0;
  int32_t base_sequence = 0;
  Flaw flaw = Flaw::kNone;
};

std::vector<std::byte> make_batch(const BatchRecipe& recipe, const Bindings& bindings);
std::string printed(const BatchRecipe& recipe);

}  // namespace posthaste::differential
