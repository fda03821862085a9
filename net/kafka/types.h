// The value types that wire messages are made of, and Field, the one statement of where a field exists. It does not
// read or write bytes (codec_implementation.h) and does not know a message.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include "reactor/recycled.h"

namespace posthaste::net::kafka {

// A view of bytes that someone else owns: the frame on decode, the caller's memory on encode.
using Bytes = std::span<const std::byte>;

// An array of a message that is decoded or made for every request. Elsewhere a std::vector does.
template <class T>
using Array = reactor::RecycledVector<T>;

// Nullable text. A field that cannot be null in any version is a plain std::string_view.
using NullableString = std::optional<std::string_view>;

// Bytes that the structure itself owns, on the wire as Bytes. Beside std::string for text it is for records that
// outlive what they were read from: such text is never shortened (codec.h).
struct OwnedBytes {
  std::string data;

  friend bool operator==(const OwnedBytes&, const OwnedBytes&) = default;
};

// 16 bytes, printed by Kafka as URL-safe base64 without padding. All zero means "no id".
struct Uuid {
  std::array<std::byte, 16> bytes{};

  constexpr bool is_zero() const { return *this == Uuid{}; }
  friend constexpr bool operator==(const Uuid&, const Uuid&) = default;
  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;
};

// Kafka's text form, 22 characters ("4L6g3nShT-eMCtK--X86sw"), and back; nothing if `text` is not exactly such a form.
std::string to_string(const Uuid& uuid);
std::optional<Uuid> parse_uuid(std::string_view text);

// The record batches of one partition. Opaque here and never copied: after decode `whole` lies in the frame; on encode
// the bytes are `pieces` one after another if there are any, else `whole`, and they go out by reference (see Sink).
struct Records {
  Bytes whole;
  std::span<const Bytes> pieces;
  bool is_null = false;

  // Total bytes over all pieces.
  constexpr size_t size() const {
    if (pieces.empty()) return whole.size();
    size_t total = 0;
    for (const Bytes piece : pieces) total += piece.size();
    return total;
  }
};

// In which versions of its message a field exists and in which of them it may be null. A message's `fields` hands one
// to the visitor with each field: field(self.x, since(3)), or field.tagged(0, self.y, since(3)) for one that lies in
// the tagged section (KIP-482) in all its versions and is left out when it has its default value.
struct Field {
  static constexpr int16_t kLatest = INT16_MAX;

  int16_t first = 0;
  int16_t last = kLatest;
  int16_t null_first = kLatest;  // kLatest: never null
  int16_t null_last = kLatest;

  constexpr bool exists_in(int16_t version) const { return first <= version && version <= last; }
  constexpr bool nullable_in(int16_t version) const { return null_first <= version && version <= null_last; }

  constexpr Field nullable(int16_t from = 0, int16_t to = kLatest) const {
    Field field = *this;
    field.null_first = from;
    field.null_last = to;
    return field;
  }
};

constexpr Field since(int16_t first) { return Field{.first = first}; }
constexpr Field between(int16_t first, int16_t last) { return Field{.first = first, .last = last}; }

// What goes over the wire as a number of fixed size: big-endian, two's complement.
template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

// The operations that the caller may perform are not known: Kafka's value for authorized-operations fields that were
// not asked for.
inline constexpr int32_t kOperationsNotAsked = INT32_MIN;

}  // namespace posthaste::net::kafka
