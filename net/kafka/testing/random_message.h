// Fills any wire message with arbitrary values and prints any message's values, both by walking its `fields`. For
// fuzzing and for the comparison with Kafka's library: not for the product.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "net/kafka/codec.h"

namespace posthaste::net::kafka {

// Gives each field that exists in `version` a value drawn from `Draw`, a callable uint64_t(uint64_t limit) -> below
// limit. What the values point to lives as long as the filler.
template <class Draw>
class RandomFiller {
 public:
  RandomFiller(Draw& draw, int16_t version) : draw_(draw), version_(version) {}

  template <class T>
  void operator()(T& value, Field field = {}) {
    if (field.exists_in(version_)) fill(value, field.nullable_in(version_));
  }
  // Often left at its default, so that left-out tags are seen too.
  template <class T>
  void tagged(uint32_t, T& value, Field field) {
    if (field.exists_in(version_) && draw_(2) == 0) fill(value, field.nullable_in(version_));
  }
  template <class T>
  void tagged(uint32_t tag, T& value, Field field, [[maybe_unused]] const std::type_identity_t<T>& absent) {
    value = absent;
    tagged(tag, value, field);
  }

 private:
  static constexpr uint64_t kElementsMax = 3;

  template <Scalar T>
  void fill(T& value, bool) {
    if constexpr (std::is_same_v<T, bool>) {
      value = draw_(2) == 1;
    } else if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> number{};
      fill(number, false);
      value = static_cast<T>(number);
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<T>(draw_(1000)) / 8;
    } else {
      constexpr T kEdges[] = {T{0}, T{1}, static_cast<T>(-1), std::numeric_limits<T>::min(),
                              std::numeric_limits<T>::max()};
      const uint64_t kind = draw_(8);
      value = kind < std::size(kEdges) ? kEdges[kind] : static_cast<T>(draw_(UINT64_MAX));
    }
  }
  void fill(Uuid& value, bool) {
    const bool zero = draw_(4) == 0;
    for (std::byte& byte : value.bytes) byte = zero ? std::byte{0} : static_cast<std::byte>(draw_(256));
  }
  void fill(std::string_view& value, bool) { value = text(); }
  void fill(NullableString& value, bool nullable) {
    value.reset();
    if (!nullable || draw_(3) != 0) value = text();
  }
  void fill(std::string& value, bool) { value = text(); }
  void fill(std::optional<std::string>& value, bool nullable) {
    value.reset();
    if (!nullable || draw_(3) != 0) value = text();
  }
  void fill(OwnedBytes& value, bool) {
    const Bytes bytes = blob();
    value.data.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void fill(Bytes& value, bool) { value = blob(); }
  void fill(std::optional<Bytes>& value, bool nullable) {
    value.reset();
    if (!nullable || draw_(3) != 0) value = blob();
  }
  void fill(Records& value, bool nullable) {
    value = {};
    value.is_null = nullable && draw_(3) == 0;
    if (!value.is_null) value.whole = blob();
  }
  template <class T, class Allocator>
  void fill(std::vector<T, Allocator>& values, bool) {
    values.clear();
    values.resize(draw_(depth_ > 2 ? 2 : kElementsMax + 1));
    ++depth_;
    for (T& value : values) fill(value, false);
    --depth_;
  }
  template <class T, class Allocator>
  void fill(std::optional<std::vector<T, Allocator>>& values, bool nullable) {
    values.reset();
    if (!nullable || draw_(3) != 0) fill(values.emplace(), false);
  }
  template <Scalar T>
  void fill(std::optional<T>& value, bool) {
    fill(value.emplace(), false);
  }
  template <class T>
  void fill(std::optional<T>& value, bool nullable) {
    value.reset();
    if (!nullable || draw_(3) != 0) fill(value.emplace(), false);
  }
  template <class T>
    requires(!Scalar<T>)
  void fill(T& value, bool) {
    T::fields(value, *this);
  }

  // Valid UTF-8 of one to three bytes a character; now and then long enough for a length of two bytes.
  std::string_view text() {
    static constexpr std::string_view kPieces[] = {"a", "Z", "0", "-", "topic", "\xC3\xA9", "\xE2\x82\xAC", " "};
    std::string& made = texts_.emplace_back();
    const uint64_t pieces = draw_(16) == 0 ? 130 + draw_(200) : draw_(8);
    for (uint64_t i = 0; i < pieces; ++i) made += kPieces[draw_(std::size(kPieces))];
    return made;
  }
  Bytes blob() {
    std::string& made = texts_.emplace_back();
    const uint64_t size = draw_(16) == 0 ? 120 + draw_(300) : draw_(12);
    for (uint64_t i = 0; i < size; ++i) made.push_back(static_cast<char>(static_cast<uint8_t>(draw_(256))));
    return std::as_bytes(std::span(made));
  }

  Draw& draw_;
  int16_t version_;
  int depth_ = 0;
  std::deque<std::string> texts_;
};

// The values of a message as `version`, in the order of the wire, tagged fields last and at their default when they
// were left out. tests/wire/RandomMessages.java prints Kafka's own objects in the same form: numbers in decimal, text
// and bytes in hex after "x", null as N, arrays [ ... ], structures { ... }, one blank behind each.
class ValuePrinter {
 public:
  explicit ValuePrinter(int16_t version) : version_(version) {}

  template <class T>
  void operator()(const T& value, Field field = {}) {
    if (!tags_ && field.exists_in(version_)) print(value);
  }
  template <class T>
  void tagged(uint32_t, const T& value, Field field) {
    if (tags_ && field.exists_in(version_)) print(value);
  }
  template <class T>
  void tagged(uint32_t tag, const T& value, Field field, const std::type_identity_t<T>&) {
    tagged(tag, value, field);
  }
  template <class T>
  void print_structure(const T& value) {
    const bool outer = std::exchange(tags_, false);
    out_ += "{ ";
    T::fields(value, *this);
    tags_ = true;
    T::fields(value, *this);
    out_ += "} ";
    tags_ = outer;
  }
  std::string take() { return std::move(out_); }

 private:
  template <Scalar T>
  void print(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      print(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_same_v<T, bool>) {
      out_ += value ? "1 " : "0 ";
    } else {
      out_ += fmt::format("{} ", +value);
    }
  }
  void print(const Uuid& value) { print_hex(value.bytes); }
  void print(const std::string_view& value) { print_hex(std::as_bytes(std::span(value))); }
  void print(const Bytes& value) { print_hex(value); }
  void print(const std::string& value) { print_hex(std::as_bytes(std::span(value))); }
  void print(const OwnedBytes& value) { print_hex(std::as_bytes(std::span(value.data))); }
  void print(const Records& value) { value.is_null ? print_null() : print_hex(value.whole); }
  template <class T>
  void print(const std::optional<T>& value) {
    value ? print(*value) : print_null();
  }
  template <class T, class Allocator>
  void print(const std::vector<T, Allocator>& values) {
    out_ += "[ ";
    for (const T& value : values) print(value);
    out_ += "] ";
  }
  template <class T>
    requires(!Scalar<T>)
  void print(const T& value) {
    print_structure(value);
  }
  void print_null() { out_ += "N "; }
  void print_hex(Bytes bytes) {
    out_ += 'x';
    for (const std::byte byte : bytes) out_ += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
    out_ += ' ';
  }

  int16_t version_;
  bool tags_ = false;
  std::string out_;
};

template <class M>
std::string printed(const M& message, int16_t version) {
  ValuePrinter printer(version);
  printer.print_structure(message);
  return printer.take();
}

}  // namespace posthaste::net::kafka
