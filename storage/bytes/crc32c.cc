#include "storage/bytes/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "reactor/check.h"

namespace posthaste::storage {
namespace {

// Copy this much, then checksum what was just read: source and both destinations fit a 32 KiB first-level cache, so
// memory is read once. Measured against one loop of crc32 instructions in three lanes that stores as it goes: the same
// where memory is the limit, half the speed where it is not, because ISA-L folds with carry-less multiplication as wide
// as the machine has.
constexpr size_t kCopyBlockBytes = 8192;

// ISA-L takes and gives the register as it is: both inversions of CRC32C are ours. Its length is an int.
uint32_t register_after(uint32_t crc_register, ByteView bytes) {
  constexpr size_t kMostBytes = size_t{1} << 30;
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kMostBytes);
    // The library's parameter lacks const; it only reads.
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    crc_register = crc32_iscsi(data, static_cast<int>(size), crc_register);
    bytes = bytes.subspan(size);
  }
  return crc_register;
}

// Polynomials over GF(2) modulo the Castagnoli polynomial, reflected: bit 31 is x^0.
constexpr uint32_t kPolynomial = 0x82f63b78;
constexpr uint32_t kOne = 0x80000000;

constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

// x^(8 * 2^k) for each bit k of a byte count.
constexpr std::array<uint32_t, 64> kPowers = [] {
  std::array<uint32_t, 64> powers{};
  powers[0] = kOne >> 8;
  for (size_t k = 1; k < powers.size(); ++k) powers[k] = multiply(powers[k - 1], powers[k - 1]);
  return powers;
}();

}  // namespace

uint32_t crc32c(uint32_t crc, ByteView bytes) { return ~register_after(~crc, bytes); }

uint32_t copy_and_crc32c(uint32_t crc, MutableBytes to, ByteView from) {
  CHECK(to.size() >= from.size());
  uint32_t crc_register = ~crc;
  for (size_t done = 0; done < from.size(); done += kCopyBlockBytes) {
    const ByteView block = from.subspan(done, std::min(kCopyBlockBytes, from.size() - done));
    std::memcpy(to.data() + done, block.data(), block.size());
    crc_register = register_after(crc_register, block);
  }
  return ~crc_register;
}

uint32_t copy_and_crc32c(uint32_t crc, MutableBytes to, MutableBytes also_to, ByteView from) {
  CHECK(to.size() >= from.size() && also_to.size() >= from.size());
  uint32_t crc_register = ~crc;
  for (size_t done = 0; done < from.size(); done += kCopyBlockBytes) {
    const ByteView block = from.subspan(done, std::min(kCopyBlockBytes, from.size() - done));
    std::memcpy(to.data() + done, block.data(), block.size());
    std::memcpy(also_to.data() + done, block.data(), block.size());
    crc_register = register_after(crc_register, block);
  }
  return ~crc_register;
}

uint32_t crc32c_shift(uint32_t difference, uint64_t following_bytes) {
  for (size_t k = 0; following_bytes != 0; ++k, following_bytes >>= 1) {
    if ((following_bytes & 1) != 0) difference = multiply(difference, kPowers[k]);
  }
  return difference;
}

}  // namespace posthaste::storage
