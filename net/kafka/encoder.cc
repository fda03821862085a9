// The writes that do not depend on a message; see encoder.h.
#include "net/kafka/encoder.h"

namespace posthaste::net::kafka {

void Encoder::fail_no_room() {
  CHECK(false, "the target was not sized with encoded_size()");
  std::unreachable();
}

void Encoder::put(const void* bytes, size_t count) {
  size_.total += count;
  if (target_ == nullptr || count == 0) return;
  if (target_->owned.size() - target_->position < count) fail_no_room();
  std::memcpy(target_->owned.data() + target_->position, bytes, count);
  target_->position += count;
}

void Encoder::put_external(Bytes bytes) {
  if (bytes.empty()) return;
  if (target_ != nullptr && target_->splices == nullptr) return put(bytes.data(), bytes.size());
  size_.total += bytes.size();
  size_.external += bytes.size();
  if (target_ != nullptr) target_->splices->push_back({.position = target_->position, .bytes = bytes});
}

void Encoder::write_unsigned_varint(uint32_t value) {
  constexpr uint32_t kPayloadMask = 0x7f;
  constexpr uint32_t kContinues = 0x80;
  while (value > kPayloadMask) {
    write_scalar(static_cast<uint8_t>((value & kPayloadMask) | kContinues));
    value >>= 7;
  }
  write_scalar(static_cast<uint8_t>(value));
}

void Encoder::write_length(size_t count) {
  CHECK(count < INT32_MAX, "{} elements or bytes do not fit a length on the wire", count);
  if (flexible_) return write_unsigned_varint(static_cast<uint32_t>(count) + 1);
  write_scalar(static_cast<int32_t>(count));
}

void Encoder::write_null_length() {
  if (flexible_) return write_unsigned_varint(0);
  write_scalar<int32_t>(-1);
}

void Encoder::write_string_length(size_t count) {
  if (flexible_) return write_unsigned_varint(static_cast<uint32_t>(count) + 1);
  write_scalar(static_cast<int16_t>(count));
}

void Encoder::write(std::string_view value, bool) {
  const std::string_view fitting = value.substr(0, kStringLimit);
  write_string_length(fitting.size());
  put(fitting.data(), fitting.size());
}

void Encoder::write(const NullableString& value, bool nullable) {
  if (value || !nullable) return write(value.value_or(std::string_view()), nullable);
  if (flexible_) return write_unsigned_varint(0);
  write_scalar<int16_t>(-1);
}

void Encoder::write(const std::string& value, bool) {
  CHECK(flexible_ || value.size() <= kStringLimit, "{} bytes do not fit a string of a record", value.size());
  CHECK(value.size() < INT32_MAX, "{} bytes do not fit a length", value.size());
  write_string_length(value.size());
  put(value.data(), value.size());
}

void Encoder::write(const std::optional<std::string>& value, bool nullable) {
  if (value) return write(*value, nullable);
  write(NullableString(), nullable);
}

void Encoder::write_plain_string(NullableString value) {
  if (!value) return write_scalar<int16_t>(-1);
  const std::string_view fitting = value->substr(0, kStringLimit);
  write_scalar(static_cast<int16_t>(fitting.size()));
  put(fitting.data(), fitting.size());
}

void Encoder::write(Bytes value, bool) {
  write_length(value.size());
  put(value.data(), value.size());
}

void Encoder::write(const std::optional<Bytes>& value, bool nullable) {
  if (value || !nullable) return write(value.value_or(Bytes()), nullable);
  write_null_length();
}

void Encoder::write(const Records& value, bool nullable) {
  if (value.is_null && nullable) return write_null_length();
  write_length(value.size());
  if (value.pieces.empty()) return put_external(value.whole);
  for (const Bytes piece : value.pieces) put_external(piece);
}

}  // namespace posthaste::net::kafka
