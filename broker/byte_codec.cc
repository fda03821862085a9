#include "broker/byte_codec.h"

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

template <class T>
void append_big_endian(std::string& out, T value) {
  for (size_t i = sizeof(T); i-- > 0;) out.push_back(static_cast<char>((value >> (8 * i)) & 0xFF));
}

constexpr size_t kLongestString = 0x7FFF;  // the int16 length of Kafka's non-compact strings

}  // namespace

void ByteWriter::int8(int8_t value) { out_.push_back(static_cast<char>(value)); }
void ByteWriter::int16(int16_t value) { append_big_endian(out_, static_cast<uint16_t>(value)); }
void ByteWriter::int32(int32_t value) { append_big_endian(out_, static_cast<uint32_t>(value)); }
void ByteWriter::int64(int64_t value) { append_big_endian(out_, static_cast<uint64_t>(value)); }

void ByteWriter::uuid(const Uuid& value) {
  for (const std::byte byte : value.bytes) out_.push_back(static_cast<char>(byte));
}

void ByteWriter::unsigned_varint(uint32_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  out_.push_back(static_cast<char>(value));
}

void ByteWriter::string(std::string_view value) {
  CHECK(value.size() <= kLongestString, "{} bytes do not fit a Kafka string", value.size());
  int16(static_cast<int16_t>(value.size()));
  raw(value);
}

void ByteWriter::nullable_string(const std::optional<std::string>& value) {
  if (value) {
    string(*value);
  } else {
    int16(-1);
  }
}

void ByteWriter::bytes(std::string_view value) {
  CHECK(value.size() <= INT32_MAX, "{} bytes do not fit Kafka bytes", value.size());
  int32(static_cast<int32_t>(value.size()));
  raw(value);
}

void ByteWriter::compact_string(std::string_view value) {
  CHECK(value.size() < INT32_MAX, "{} bytes do not fit a compact string", value.size());
  unsigned_varint(static_cast<uint32_t>(value.size()) + 1);
  raw(value);
}

void ByteWriter::compact_nullable_string(const std::optional<std::string>& value) {
  if (value) {
    compact_string(*value);
  } else {
    unsigned_varint(0);
  }
}

Result<std::string_view> ByteReader::raw(size_t size) {
  if (size > rest_.size()) return failure(Errc::kTruncated);
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

Result<uint64_t> ByteReader::big_endian(size_t size) {
  const std::string_view taken = TRY(raw(size));
  uint64_t value = 0;
  for (const char byte : taken) value = (value << 8) | static_cast<uint8_t>(byte);
  return value;
}

Result<int8_t> ByteReader::int8() { return static_cast<int8_t>(TRY(big_endian(1))); }
Result<int16_t> ByteReader::int16() { return static_cast<int16_t>(TRY(big_endian(2))); }
Result<int32_t> ByteReader::int32() { return static_cast<int32_t>(TRY(big_endian(4))); }
Result<int64_t> ByteReader::int64() { return static_cast<int64_t>(TRY(big_endian(8))); }
Result<uint16_t> ByteReader::uint16() { return static_cast<uint16_t>(TRY(big_endian(2))); }
Result<bool> ByteReader::boolean() { return TRY(big_endian(1)) != 0; }

Result<Uuid> ByteReader::uuid() {
  const std::string_view taken = TRY(raw(16));
  Uuid value;
  std::ranges::transform(taken, value.bytes.begin(), [](char byte) { return static_cast<std::byte>(byte); });
  return value;
}

Result<uint32_t> ByteReader::unsigned_varint() {
  uint32_t value = 0;
  for (unsigned shift = 0; shift < 32; shift += 7) {
    const auto byte = static_cast<uint8_t>(TRY(int8()));
    if (shift == 28 && byte > 0x0F) return failure(Errc::kCorrupt);  // would not fit 32 bits
    value |= static_cast<uint32_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return failure(Errc::kCorrupt);
}

Result<std::string> ByteReader::string() {
  const int16_t size = TRY(int16());
  if (size < 0) return failure(Errc::kCorrupt);
  return std::string(TRY(raw(static_cast<size_t>(size))));
}

Result<std::optional<std::string>> ByteReader::nullable_string() {
  const int16_t size = TRY(int16());
  if (size == -1) return std::nullopt;
  if (size < 0) return failure(Errc::kCorrupt);
  return std::string(TRY(raw(static_cast<size_t>(size))));
}

Result<std::string> ByteReader::bytes() {
  const int32_t size = TRY(int32());
  if (size < 0) return failure(Errc::kCorrupt);
  return std::string(TRY(raw(static_cast<size_t>(size))));
}

Result<std::string> ByteReader::compact_string() {
  const uint32_t size = TRY(unsigned_varint());
  if (size == 0) return failure(Errc::kCorrupt);
  return std::string(TRY(raw(size - 1)));
}

Result<std::string> ByteReader::compact_bytes() { return compact_string(); }

Result<std::optional<std::string>> ByteReader::compact_nullable_string() {
  const uint32_t size = TRY(unsigned_varint());
  if (size == 0) return std::nullopt;
  return std::string(TRY(raw(size - 1)));
}

Result<size_t> ByteReader::array_count(size_t least_bytes) {
  const int32_t count = TRY(int32());
  if (count < 0) return failure(Errc::kCorrupt);
  if (static_cast<size_t>(count) * least_bytes > rest_.size()) return failure(Errc::kTruncated);
  return static_cast<size_t>(count);
}

Result<size_t> ByteReader::compact_array_count(size_t least_bytes) {
  const uint32_t count = TRY(unsigned_varint());
  if (count == 0) return failure(Errc::kCorrupt);
  if (static_cast<size_t>(count - 1) * least_bytes > rest_.size()) return failure(Errc::kTruncated);
  return static_cast<size_t>(count - 1);
}

Result<void> ByteReader::skip_tags() {
  const uint32_t count = TRY(unsigned_varint());
  for (uint32_t i = 0; i < count; ++i) {
    TRY(unsigned_varint());
    const uint32_t size = TRY(unsigned_varint());
    TRY(raw(size));
  }
  return {};
}

}  // namespace posthaste::broker
