// Reads one message from a contiguous buffer of untrusted bytes. Walks the same `fields` statement as Encoder. Only
// message .cc files include this. It copies no string, bytes or records that are views; it allocates one vector per
// array, and what a std::string or OwnedBytes holds.
#pragma once
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "net/kafka/codec.h"

namespace posthaste::net::kafka {

// Bytes that any value of T takes at least. Guards array counts before memory is reserved.
template <class T>
constexpr size_t minimum_wire_size() {
  if constexpr (Scalar<T>) return sizeof(T);
  if constexpr (std::is_same_v<T, Uuid>) return sizeof(Uuid);
  return 1;
}

// Errors stick: after the first one every read returns zero or empty and moves nothing, so that messages need no check
// per field. Owned by one core for the time of one decode.
class Decoder {
 public:
  Decoder(Bytes bytes, int16_t version, bool flexible, size_t allocation_limit)
      : at_(bytes.data()),
        end_(bytes.data() + bytes.size()),
        allocation_left_(allocation_limit),
        version_(version),
        flexible_(flexible) {}

  // From now on a tag that the version does not know is kUnsupported: it may change what the structure means.
  void refuse_unknown_tags() { unknown_tags_refused_ = true; }

  bool ok() const { return !failed_; }
  reactor::Errc error() const { return error_; }
  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  Bytes rest() const { return {at_, remaining()}; }

  // One field of a structure, called by its `fields`.
  template <class T>
  void operator()(T& value, Field field = {}) {
    if (wanted_tag_ == kUntagged && field.exists_in(version_)) read(value, field.nullable_in(version_));
  }
  // One tagged field. `absent`, its default, matters on encode only.
  template <class T>
  void tagged(uint32_t tag, T& value, Field field) {
    if (wanted_tag_ != tag || !field.exists_in(version_)) return;
    wanted_tag_known_ = true;
    read(value, field.nullable_in(version_));
  }
  template <class T>
  void tagged(uint32_t tag, T& value, Field field, [[maybe_unused]] const std::type_identity_t<T>& absent) {
    tagged(tag, value, field);
  }

  // A structure: its untagged fields, then in flexible versions its tagged ones.
  template <class T>
  void read_structure(T& value) {
    const int64_t outer_tag = std::exchange(wanted_tag_, kUntagged);
    T::fields(value, *this);
    if (flexible_) read_tagged_fields(value);
    wanted_tag_ = outer_tag;
  }

  template <Scalar T>
  T read_scalar() {
    if constexpr (std::is_same_v<T, bool>) {
      return read_scalar<uint8_t>() != 0;
    } else if constexpr (std::is_enum_v<T>) {
      return static_cast<T>(read_scalar<std::underlying_type_t<T>>());
    } else if constexpr (std::is_same_v<T, double>) {
      return std::bit_cast<double>(read_scalar<uint64_t>());
    } else {
      T value{};
      if (remaining() < sizeof(T)) {
        fail(reactor::Errc::kTruncated);
        return value;
      }
      std::memcpy(&value, at_, sizeof(T));
      at_ += sizeof(T);
      return std::byteswap(value);
    }
  }

  // At most five bytes and 32 bits, else kCorrupt.
  uint32_t read_unsigned_varint();
  // `count` bytes, or none and kTruncated.
  Bytes take(size_t count);
  void fail(reactor::Errc error);

 private:
  static constexpr int64_t kNull = -1;
  static constexpr int64_t kUntagged = -1;

  void read(Scalar auto& value, bool) { value = read_scalar<std::remove_reference_t<decltype(value)>>(); }
  void read(std::string_view& value, bool);
  void read(NullableString& value, bool nullable);
  void read(Bytes& value, bool);
  void read(std::optional<Bytes>& value, bool nullable);
  void read(std::string& value, bool);
  void read(std::optional<std::string>& value, bool nullable);
  void read(OwnedBytes& value, bool);
  void read(Records& value, bool nullable);
  void read(Uuid& value, bool);

  template <class T>
  void read(T& value, bool) {
    read_structure(value);
  }
  // A number that may be absent is a tagged field: that it is there is the statement.
  template <Scalar T>
  void read(std::optional<T>& value, bool) {
    value = read_scalar<T>();
  }
  // A structure that may be null: a byte before it, below 0 for null.
  template <class T>
  void read(std::optional<T>& value, bool nullable) {
    if (nullable && read_scalar<int8_t>() < 0) return value.reset();
    read_structure(value.emplace());
  }
  template <class T, class Allocator>
  void read(std::vector<T, Allocator>& values, bool) {
    const int64_t count = read_length();
    if (count == kNull) return fail(reactor::Errc::kCorrupt);
    read_elements(values, count);
  }
  template <class T, class Allocator>
  void read(std::optional<std::vector<T, Allocator>>& values, bool nullable) {
    const int64_t count = read_length();
    if (count == kNull) {
      if (!nullable) fail(reactor::Errc::kCorrupt);
      values.reset();
      return;
    }
    read_elements(values.emplace(), count);
  }
  template <class T, class Allocator>
  void read_elements(std::vector<T, Allocator>& values, int64_t count) {
    if (!reserve(count, minimum_wire_size<T>(), sizeof(T))) return;
    values.resize(static_cast<size_t>(count));
    for (T& value : values) {
      read(value, false);
      if (failed_) return;
    }
  }
  template <class T>
  void read_tagged_fields(T& value) {
    uint32_t count = read_unsigned_varint();
    while (count-- > 0 && ok()) {
      const uint32_t tag = read_unsigned_varint();
      const Bytes content = take(read_unsigned_varint());
      if (failed_) return;
      read_tagged_field(value, tag, content);
    }
  }
  // A tag this version does not know is skipped or refused; a known one must fill its stated size exactly.
  template <class T>
  void read_tagged_field(T& value, uint32_t tag, Bytes content) {
    const std::byte* const after = std::exchange(end_, content.data() + content.size());
    at_ = content.data();
    wanted_tag_ = tag;
    wanted_tag_known_ = false;
    T::fields(value, *this);
    if (wanted_tag_known_ && at_ != end_) fail(reactor::Errc::kCorrupt);
    if (!wanted_tag_known_ && unknown_tags_refused_) fail(reactor::Errc::kUnsupported);
    at_ = failed_ ? after : end_;
    end_ = after;
    wanted_tag_ = kUntagged;
  }

  // Length of an array, bytes or records (kNull for null), of a string; anything below -1 is kCorrupt.
  int64_t read_length();
  int64_t read_string_length();
  // Whether `count` elements can be in what remains and fit the allocation limit.
  bool reserve(int64_t count, size_t minimum_size, size_t memory_size);

  const std::byte* at_;
  const std::byte* end_;
  size_t allocation_left_;
  int64_t wanted_tag_ = kUntagged;
  reactor::Errc error_{};
  int16_t version_;
  bool flexible_;
  bool failed_ = false;
  bool wanted_tag_known_ = false;
  bool unknown_tags_refused_ = false;
};

}  // namespace posthaste::net::kafka
