#include "tests/differential/step.h"

#include "storage/bytes/endian.h"

namespace posthaste::differential {

std::vector<std::byte> Step::damaged(std::vector<std::byte> frame) const {
  constexpr size_t kApiAt = 4;
  constexpr size_t kVersionAt = 6;
  if (damage.version) storage::store_be<int16_t>(frame.data() + kVersionAt, *damage.version);
  if (damage.api) storage::store_be<int16_t>(frame.data() + kApiAt, *damage.api);
  if (damage.cut > 0) frame.resize(std::max(frame.size() - std::min(damage.cut, frame.size()), size_t{12}));
  frame.resize(frame.size() + damage.add, std::byte{0xFF});
  const auto length = static_cast<int32_t>(frame.size() - kafka::kFrameLengthSize);
  storage::store_be<int32_t>(frame.data(), damage.length.value_or(length));
  return frame;
}

}  // namespace posthaste::differential
