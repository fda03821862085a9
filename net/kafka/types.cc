// Text form of ids; see types.h.
#include "net/kafka/types.h"

#include <algorithm>

namespace posthaste::net::kafka {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr size_t kBitsPerCharacter = 6;
constexpr size_t kBitsPerByte = 8;
constexpr size_t kUuidTextSize = 22;  // 128 bits in sixes, rounded up

}  // namespace

std::string to_string(const Uuid& uuid) {
  std::string text;
  uint32_t bits = 0;
  size_t held = 0;
  for (const std::byte byte : uuid.bytes) {
    bits = bits << kBitsPerByte | std::to_integer<uint32_t>(byte);
    for (held += kBitsPerByte; held >= kBitsPerCharacter; held -= kBitsPerCharacter) {
      text.push_back(kAlphabet[bits >> (held - kBitsPerCharacter) & 0x3f]);
    }
  }
  text.push_back(kAlphabet[bits << (kBitsPerCharacter - held) & 0x3f]);
  return text;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != kUuidTextSize) return std::nullopt;
  Uuid uuid;
  uint32_t bits = 0;
  size_t held = 0;
  size_t filled = 0;
  for (const char character : text) {
    const size_t value = kAlphabet.find(character);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << kBitsPerCharacter | static_cast<uint32_t>(value);
    held += kBitsPerCharacter;
    if (held < kBitsPerByte) continue;
    held -= kBitsPerByte;
    uuid.bytes.at(filled++) = static_cast<std::byte>(bits >> held & 0xff);
  }
  // Four bits are left over; anything but zero would be a second spelling of the same id.
  if ((bits & 0x0f) != 0) return std::nullopt;
  return uuid;
}

}  // namespace posthaste::net::kafka
