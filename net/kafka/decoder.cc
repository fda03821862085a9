// The reads that do not depend on a message; see decoder.h.
#include "net/kafka/decoder.h"

namespace posthaste::net::kafka {

using reactor::Errc;

void Decoder::fail(Errc error) {
  if (failed_) return;
  failed_ = true;
  error_ = error;
  at_ = end_;
}

Bytes Decoder::take(size_t count) {
  if (remaining() < count) {
    fail(Errc::kTruncated);
    return {};
  }
  const Bytes bytes(at_, count);
  at_ += count;
  return bytes;
}

uint32_t Decoder::read_unsigned_varint() {
  constexpr int kBitsPerByte = 7;
  constexpr int kLastShift = 28;
  constexpr uint8_t kLastByteMax = 0x0f;
  uint32_t value = 0;
  for (int shift = 0; shift <= kLastShift; shift += kBitsPerByte) {
    const auto byte = read_scalar<uint8_t>();
    if (shift == kLastShift && byte > kLastByteMax) break;
    value |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  fail(Errc::kCorrupt);
  return 0;
}

int64_t Decoder::read_length() {
  const int64_t length =
      flexible_ ? static_cast<int64_t>(read_unsigned_varint()) - 1 : static_cast<int64_t>(read_scalar<int32_t>());
  if (length < kNull) fail(Errc::kCorrupt);
  return failed_ ? 0 : length;
}

int64_t Decoder::read_string_length() {
  const int64_t length =
      flexible_ ? static_cast<int64_t>(read_unsigned_varint()) - 1 : static_cast<int64_t>(read_scalar<int16_t>());
  if (length < kNull || length > static_cast<int64_t>(kStringLimit)) fail(Errc::kCorrupt);
  return failed_ ? 0 : length;
}

bool Decoder::reserve(int64_t count, size_t minimum_size, size_t memory_size) {
  if (failed_) return false;
  // Both factors are small (a length fits 32 bits), so that the products cannot overflow.
  const auto elements = static_cast<size_t>(count);
  if (elements * minimum_size > remaining()) {
    fail(Errc::kTruncated);
    return false;
  }
  if (elements * memory_size > allocation_left_) {
    fail(Errc::kLimit);
    return false;
  }
  allocation_left_ -= elements * memory_size;
  return true;
}

void Decoder::read(NullableString& value, bool nullable) {
  const int64_t length = read_string_length();
  if (length == kNull) {
    if (!nullable) fail(Errc::kCorrupt);
    value.reset();
    return;
  }
  const Bytes bytes = take(static_cast<size_t>(length));
  value.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void Decoder::read(std::optional<std::string>& value, bool nullable) {
  // Records may hold longer text than messages: what bounds it is the record.
  const int64_t length =
      flexible_ ? static_cast<int64_t>(read_unsigned_varint()) - 1 : static_cast<int64_t>(read_scalar<int16_t>());
  if (failed_) return;
  if (length == kNull) {
    if (!nullable) fail(Errc::kCorrupt);
    return value.reset();
  }
  if (length < kNull) return fail(Errc::kCorrupt);
  const Bytes bytes = take(static_cast<size_t>(length));
  value.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void Decoder::read(std::string& value, bool) {
  std::optional<std::string> text;
  read(text, false);
  value = std::move(text).value_or(std::string());
}

void Decoder::read(OwnedBytes& value, bool) {
  Bytes bytes;
  read(bytes, false);
  value.data.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void Decoder::read(std::string_view& value, bool) {
  NullableString text;
  read(text, false);
  value = text.value_or(std::string_view());
}

void Decoder::read(std::optional<Bytes>& value, bool nullable) {
  const int64_t length = read_length();
  if (length == kNull) {
    if (!nullable) fail(Errc::kCorrupt);
    value.reset();
    return;
  }
  value = take(static_cast<size_t>(length));
}

void Decoder::read(Bytes& value, bool) {
  std::optional<Bytes> bytes;
  read(bytes, false);
  value = bytes.value_or(Bytes());
}

void Decoder::read(Records& value, bool nullable) {
  std::optional<Bytes> bytes;
  read(bytes, nullable);
  value = Records{.whole = bytes.value_or(Bytes()), .is_null = !bytes.has_value()};
}

void Decoder::read(Uuid& value, bool) {
  const Bytes bytes = take(value.bytes.size());
  if (ok()) std::memcpy(value.bytes.data(), bytes.data(), bytes.size());
}

}  // namespace posthaste::net::kafka
