// Internal records (those of __consumer_offsets and of the metadata log) as bytes and back: each is one structure that
// states its `fields`, and kRules in place of an API's row, as a message does. Two things differ from a message. What
// names the record's type and version stands before it, in a form of each log; and a record is all of its bytes, so
// what is left over is damage. Only the .cc files of records include this.
#pragma once
#include <string>
#include <string_view>

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {

// What a tagged field that this program does not know does to a record: Kafka's rule for data that may be lost, and the
// rule of a log in which each record must be understood.
enum class UnknownTags : uint8_t { kSkip, kRefuse };

// Memory for the arrays of one record. A group of 250,000 members takes as much.
inline constexpr size_t kRecordAllocationLimit = 64UL << 20;

// The record that `bytes` are. Any core. Fails: kUnsupported (a version above those it has, an unknown tag that is
// refused), kTruncated, kCorrupt (also: bytes behind it), kLimit.
template <class R>
reactor::Result<R> decode_record(Bytes bytes, int16_t version, UnknownTags unknown) {
  if (version < R::kRules.codec_min) return reactor::failure(reactor::Errc::kCorrupt);
  if (version > R::kRules.codec_max) return reactor::failure(reactor::Errc::kUnsupported);
  Decoder decoder(bytes, version, version >= R::kRules.first_flexible, kRecordAllocationLimit);
  if (unknown == UnknownTags::kRefuse) decoder.refuse_unknown_tags();
  R record;
  decoder.read_structure(record);
  if (!decoder.ok()) return reactor::failure(decoder.error());
  if (decoder.remaining() != 0) return reactor::failure(reactor::Errc::kCorrupt);
  return record;
}

// `record` as `version`, behind what `prefix(Encoder&)` writes. CHECKs that the version is one of the record's. Any
// core; cannot fail.
template <class R, std::invocable<Encoder&> Prefix>
std::string encode_record(const R& record, int16_t version, const Prefix& prefix) {
  Encoder counter(version, false);
  prefix(counter);
  std::string out(counter.size().total + encoded_size(record, version).total, '\0');
  Target target{.owned = std::as_writable_bytes(std::span(out))};
  Encoder head(version, false, target);
  prefix(head);
  encode(record, version, target);
  CHECK(target.position == out.size(), "{} bytes of a record of {}", target.position, out.size());
  return out;
}

// An int16 in front: the type of a key, the version of a value.
template <class R>
std::string encode_record(const R& record, int16_t version, int16_t prefix) {
  return encode_record(record, version, [prefix](Encoder& head) { head.write_scalar(prefix); });
}

inline Bytes text_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace posthaste::net::kafka
