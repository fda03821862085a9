// Writes one message, or only counts its bytes, from the same `fields` statement that Decoder walks. Only message .cc
// files include this. Records go out as splices: their bytes are neither read nor copied.
#pragma once
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "net/kafka/codec.h"
#include "reactor/check.h"

namespace posthaste::net::kafka {

// Two uses: Encoder(version, flexible) counts; Encoder(version, flexible, target) writes. Counting comes first, so that
// the target is known to have room; a target that has not is our bug. Owned by one core for the time of one encode.
class Encoder {
 public:
  Encoder(int16_t version, bool flexible) : version_(version), flexible_(flexible) {}
  Encoder(int16_t version, bool flexible, Target& target) : target_(&target), version_(version), flexible_(flexible) {}

  EncodedSize size() const { return size_; }

  // One field of a structure, called by its `fields`.
  template <class T>
  void operator()(const T& value, Field field = {}) {
    if (pass_ == Pass::kUntagged && field.exists_in(version_)) write(value, field.nullable_in(version_));
  }
  // One tagged field; left out when it is empty (zero, null), or equals `absent` where that is its default.
  template <class T>
  void tagged(uint32_t tag, const T& value, Field field) {
    if (field.exists_in(version_) && !is_empty(value)) on_present_tag(tag, value, field);
  }
  template <class T>
  void tagged(uint32_t tag, const T& value, Field field, const std::type_identity_t<T>& absent) {
    if (field.exists_in(version_) && !(value == absent)) on_present_tag(tag, value, field);
  }

  template <class T>
  void write_structure(const T& value) {
    const Pass outer_pass = std::exchange(pass_, Pass::kUntagged);
    const uint32_t outer_count = std::exchange(present_tags_, 0);
    const int64_t outer_tag = std::exchange(last_tag_, kNoTag);
    T::fields(value, *this);
    if (flexible_) {
      write_unsigned_varint(present_tags_);
      pass_ = Pass::kTagged;
      if (present_tags_ > 0) T::fields(value, *this);
    }
    pass_ = outer_pass;
    present_tags_ = outer_count;
    last_tag_ = outer_tag;
  }

  template <Scalar T>
  void write_scalar(T value) {
    if constexpr (std::is_same_v<T, bool>) {
      write_scalar<uint8_t>(value ? 1 : 0);
    } else if constexpr (std::is_enum_v<T>) {
      write_scalar(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_same_v<T, double>) {
      write_scalar(std::bit_cast<uint64_t>(value));
    } else {
      size_.total += sizeof(T);
      if (target_ == nullptr) return;
      if (target_->owned.size() - target_->position < sizeof(T)) [[unlikely]]
        fail_no_room();
      value = std::byteswap(value);
      std::memcpy(target_->owned.data() + target_->position, &value, sizeof(T));
      target_->position += sizeof(T);
    }
  }
  void write_unsigned_varint(uint32_t value);
  // A nullable string with an int16 length in every version: client_id in request headers.
  void write_plain_string(NullableString value);

 private:
  enum class Pass : uint8_t { kUntagged, kTagged };
  static constexpr int64_t kNoTag = -1;

  void write(const Scalar auto& value, bool) { write_scalar(value); }
  void write(std::string_view value, bool);
  void write(const NullableString& value, bool nullable);
  void write(Bytes value, bool);
  void write(const std::optional<Bytes>& value, bool nullable);
  void write(const std::string& value, bool);
  void write(const std::optional<std::string>& value, bool nullable);
  void write(const OwnedBytes& value, bool) { write(std::as_bytes(std::span(value.data)), false); }
  void write(const Records& value, bool nullable);
  void write(const Uuid& value, bool) { put(value.bytes.data(), value.bytes.size()); }

  template <class T>
  void write(const T& value, bool) {
    write_structure(value);
  }
  template <Scalar T>
  void write(const std::optional<T>& value, bool) {
    CHECK(value, "a number that may be absent is stated outside the tagged fields");
    write_scalar(*value);
  }
  template <class T>
  void write(const std::optional<T>& value, bool nullable) {
    if (nullable) write_scalar<int8_t>(value ? 1 : -1);
    if (value || !nullable) write_structure(value.value_or(T{}));
  }
  template <class T, class Allocator>
  void write(const std::vector<T, Allocator>& values, bool) {
    write_length(values.size());
    for (const T& value : values) write(value, false);
  }
  template <class T, class Allocator>
  void write(const std::optional<std::vector<T, Allocator>>& values, bool nullable) {
    if (values) return write(*values, nullable);
    nullable ? write_null_length() : write_length(0);
  }

  // First pass: counts the tag. Second pass: writes it, its size and its content; tags must ascend (KIP-482).
  template <class T>
  void on_present_tag(uint32_t tag, const T& value, Field field) {
    if (pass_ == Pass::kUntagged) {
      ++present_tags_;
      return;
    }
    CHECK(tag > last_tag_, "tag {} is stated after tag {}", tag, last_tag_);
    last_tag_ = tag;
    const bool nullable = field.nullable_in(version_);
    Encoder counter(version_, flexible_);
    counter.write(value, nullable);
    write_unsigned_varint(tag);
    write_unsigned_varint(static_cast<uint32_t>(counter.size().total));
    const Pass pass = std::exchange(pass_, Pass::kUntagged);
    write(value, nullable);
    pass_ = pass;
  }

  static bool is_empty(const Scalar auto& value) { return value == std::remove_cvref_t<decltype(value)>{}; }
  static bool is_empty(const Uuid& value) { return value.is_zero(); }
  static bool is_empty(const NullableString& value) { return !value.has_value(); }
  template <class T, class Allocator>
  static bool is_empty(const std::vector<T, Allocator>& values) {
    return values.empty();
  }
  template <class T>
  static bool is_empty(const T& value) {
    return value == T{};
  }

  [[noreturn]] static void fail_no_room();
  void put(const void* bytes, size_t count);
  void put_external(Bytes bytes);
  void write_length(size_t count);
  void write_null_length();
  void write_string_length(size_t count);

  Target* target_ = nullptr;
  EncodedSize size_;
  uint32_t present_tags_ = 0;
  int64_t last_tag_ = kNoTag;
  int16_t version_;
  bool flexible_;
  Pass pass_ = Pass::kUntagged;
};

}  // namespace posthaste::net::kafka
