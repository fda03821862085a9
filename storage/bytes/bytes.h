// The names this room gives to raw bytes, and conversions at its edges. It owns no memory: the code that made a view
// keeps the bytes alive.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace posthaste::storage {

using ByteView = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;
using Bytes = std::vector<std::byte>;
// Kafka distinguishes a null key or value from an empty one.
using NullableBytes = std::optional<ByteView>;

// The bytes of a text, without a copy.
inline ByteView bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

// The bytes read as text, without a copy and without looking at the encoding.
inline std::string_view text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace posthaste::storage
