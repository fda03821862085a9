// Kafka's primitive types for records that this room itself writes and reads back: the values of __consumer_offsets and
// of the metadata log. Requests and responses have their own codec (net/kafka); this one works on small owned strings.
// The reader treats its bytes as hostile: every length is checked against what remains before it is used.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/kafka/types.h"
#include "reactor/result.h"

namespace posthaste::broker {

using net::kafka::Uuid;

// Appends big-endian primitives to an owned string. Never fails. Any core.
class ByteWriter {
 public:
  void int8(int8_t value);
  void int16(int16_t value);
  void int32(int32_t value);
  void int64(int64_t value);
  void boolean(bool value) { int8(value ? 1 : 0); }
  void uuid(const Uuid& value);
  void unsigned_varint(uint32_t value);
  // int16 length and bytes; CHECKs that the text fits.
  void string(std::string_view value);
  // As string(), with length -1 for nothing.
  void nullable_string(const std::optional<std::string>& value);
  // int32 length and bytes.
  void bytes(std::string_view value);
  // Varint length + 1 and bytes, as in flexible versions.
  void compact_string(std::string_view value);
  void compact_nullable_string(const std::optional<std::string>& value);
  void raw(std::string_view value) { out_.append(value); }

  size_t size() const { return out_.size(); }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads the same from bytes it does not own. Each call fails with kTruncated when too few bytes remain and kCorrupt
// when a length or varint is impossible. Any core; the views it returns live as long as the input.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  reactor::Result<int8_t> int8();
  reactor::Result<int16_t> int16();
  reactor::Result<int32_t> int32();
  reactor::Result<int64_t> int64();
  reactor::Result<uint16_t> uint16();
  reactor::Result<bool> boolean();
  reactor::Result<Uuid> uuid();
  reactor::Result<uint32_t> unsigned_varint();
  reactor::Result<std::string> string();
  reactor::Result<std::optional<std::string>> nullable_string();
  reactor::Result<std::string> bytes();
  reactor::Result<std::string> compact_string();
  reactor::Result<std::optional<std::string>> compact_nullable_string();
  reactor::Result<std::string> compact_bytes();
  // int32 count (not null); refused when even `least_bytes` per element would not fit into what remains.
  reactor::Result<size_t> array_count(size_t least_bytes);
  // Varint count + 1 (not null); same refusal.
  reactor::Result<size_t> compact_array_count(size_t least_bytes);
  reactor::Result<std::string_view> raw(size_t size);
  // Skips a tagged-field section.
  reactor::Result<void> skip_tags();

  size_t remaining() const { return rest_.size(); }

 private:
  reactor::Result<uint64_t> big_endian(size_t size);

  std::string_view rest_;
};

}  // namespace posthaste::broker
