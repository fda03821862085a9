// Loads and stores of integers in a stated byte order at any alignment. Kafka's formats are big-endian, ours on disk
// are little-endian. Nothing here checks a length: the caller has done so (codec.h and record_batch.h do).
#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace posthaste::storage {

namespace detail {
// std::byteswap of a signed or unsigned integer of 1 to 8 bytes.
template <std::integral T>
constexpr T swapped(T value) {
  using U = std::make_unsigned_t<T>;
  const U bits = static_cast<U>(value);
  if constexpr (sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(bits));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(bits));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(bits));
}
}  // namespace detail

// Reads sizeof(T) bytes at `from`, big-endian.
template <std::integral T>
T load_be(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? detail::swapped(value) : value;
}

// Reads sizeof(T) bytes at `from`, little-endian.
template <std::integral T>
T load_le(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return std::endian::native == std::endian::little ? value : detail::swapped(value);
}

// Writes sizeof(T) bytes at `to`, big-endian. T is named at the call so that no literal decides a width on disk.
template <std::integral T>
void store_be(std::byte* to, std::type_identity_t<T> value) {
  if constexpr (std::endian::native == std::endian::little) value = detail::swapped(value);
  std::memcpy(to, &value, sizeof value);
}

// Writes sizeof(T) bytes at `to`, little-endian.
template <std::integral T>
void store_le(std::byte* to, std::type_identity_t<T> value) {
  if constexpr (std::endian::native == std::endian::big) value = detail::swapped(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace posthaste::storage
