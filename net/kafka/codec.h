// What callers need to turn a message into bytes and back: three function templates that every message's .cc file
// instantiates, so that including a message costs its struct and nothing else. The work is in codec_implementation.h;
// frames and headers are in frame.h.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "net/kafka/api_table.h"
#include "net/kafka/types.h"
#include "reactor/recycled.h"
#include "reactor/result.h"

namespace posthaste::net::kafka {

// Memory that the arrays of one decoded message may take. A count is also checked against the bytes that remain, so a
// frame can claim at most some twenty times its own size; this bounds what a large hostile frame can do with that. 16
// MiB holds a Produce request of 250,000 partitions. A client that decodes Metadata of a large cluster passes more.
inline constexpr size_t kDecodeAllocationLimit = 16UL << 20;

// Longest string on the wire in either format, as in Kafka: an int16 holds its length in the older one.
inline constexpr size_t kStringLimit = INT16_MAX;

// Bytes that an encoded message takes. `external` of them belong to Records and go out by reference.
struct EncodedSize {
  size_t total = 0;
  size_t external = 0;

  constexpr size_t owned() const { return total - external; }
};

// Bytes of someone else that belong before byte `position` of the owned ones. They must stay valid until the send ends.
struct Splice {
  size_t position = 0;
  Bytes bytes;
};

// Where an encoded message goes: `owned` from `position` on, which encode advances. Without `splices` records are
// copied into `owned` too (for tests, disks and small requests).
struct Target {
  std::span<std::byte> owned;
  size_t position = 0;
  reactor::RecycledVector<Splice>* splices = nullptr;
};

// A request or response whose API is in the table. Its `fields` states each field once: decode and encode walk that.
template <class M>
concept ApiMessage = requires {
  { M::kKey } -> std::convertible_to<ApiKey>;
};

// Versions of a message that is no API (it has kRules instead of kKey): first and last that the codec knows, first that
// is flexible.
struct VersionRules {
  int16_t codec_min = 0;
  int16_t codec_max = 0;
  int16_t first_flexible = INT16_MAX;
};

// The message whose body starts at `body`, as `version`. Strings, bytes and records are views of `body`. Bytes after
// the message are ignored, as Kafka does. Any core. Fails: kUnsupported (version outside the codec's range),
// kTruncated, kCorrupt (structure is wrong, null where none may be), kLimit (allocation_limit).
template <class M>
reactor::Result<M> decode(Bytes body, int16_t version, size_t allocation_limit = kDecodeAllocationLimit);

// Size of `message` as `version`, so that memory may be reserved before it is encoded. CHECKs that the codec knows the
// version. Any core; cannot fail.
template <class M>
EncodedSize encoded_size(const M& message, int16_t version);

// Writes `message` as `version`; CHECKs that `target` has room for encoded_size(). What a version cannot express is
// left out: fields that it lacks, null where it has none (written as empty), a string's bytes beyond kStringLimit. Text
// that the structure owns (std::string, in records) is never shortened: a length that does not fit is a CHECK. Any
// core.
template <class M>
void encode(const M& message, int16_t version, Target& target);

}  // namespace posthaste::net::kafka
