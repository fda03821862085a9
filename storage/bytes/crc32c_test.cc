// CRC32C against published values and against a slow definition; copies against plain copies; arithmetic against bytes.
#include "storage/bytes/crc32c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace posthaste::storage {
namespace {

// The definition, bit by bit.
uint32_t slow_crc32c(ByteView bytes) {
  uint32_t crc = 0xffffffff;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

Bytes random_bytes(std::mt19937_64& random, size_t size) {
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(Crc32c, PublishedValues) {
  EXPECT_EQ(crc32c(ByteView{}), 0U);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U);
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(Bytes(32, std::byte{0})), 0x8a9136aaU);
  EXPECT_EQ(crc32c(Bytes(32, std::byte{0xff})), 0x62a8ab43U);
}

TEST(Crc32c, AnySizeAndAlignmentAgreesWithTheDefinition) {
  std::mt19937_64 random(1);
  const Bytes bytes = random_bytes(random, 20'000);
  for (int round = 0; round < 300; ++round) {
    const size_t start = random() % 64;
    const size_t size = round < 100 ? static_cast<size_t>(round) : random() % (bytes.size() - start);
    const ByteView part = ByteView(bytes).subspan(start, size);
    ASSERT_EQ(crc32c(part), slow_crc32c(part)) << start << " " << size;
  }
}

TEST(Crc32c, CopyInAnyPiecesIsOneCopyAndOneChecksum) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 200; ++round) {
    const Bytes from = random_bytes(random, random() % 70'000);
    Bytes to(from.size() + 8, std::byte{0xaa});
    Bytes also_to(from.size() + 8, std::byte{0xbb});
    uint32_t crc = 0;
    for (size_t done = 0; done < from.size();) {
      const size_t size = std::min(from.size() - done, 1 + random() % 20'000);
      const ByteView piece = ByteView(from).subspan(done, size);
      crc = random() % 2 == 0
                ? copy_and_crc32c(crc, MutableBytes(to).subspan(done), piece)
                : copy_and_crc32c(crc, MutableBytes(to).subspan(done), MutableBytes(also_to).subspan(done), piece);
      done += size;
    }
    ASSERT_EQ(crc, crc32c(from));
    ASSERT_TRUE(std::equal(from.begin(), from.end(), to.begin()));
    // Nothing behind the end is touched.
    for (size_t i = from.size(); i < to.size(); ++i) ASSERT_EQ(to[i], std::byte{0xaa});
    for (size_t i = from.size(); i < also_to.size(); ++i) ASSERT_EQ(also_to[i], std::byte{0xbb});
  }
}

TEST(Crc32c, SecondDestinationGetsTheSameBytes) {
  std::mt19937_64 random(3);
  const Bytes from = random_bytes(random, 50'001);
  Bytes to(from.size());
  Bytes also_to(from.size());
  EXPECT_EQ(copy_and_crc32c(0, to, also_to, from), crc32c(from));
  EXPECT_EQ(to, from);
  EXPECT_EQ(also_to, from);
}

TEST(Crc32c, CombineIsTheChecksumOfTheWhole) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 200; ++round) {
    const Bytes first = random_bytes(random, random() % 300);
    const Bytes second = random_bytes(random, random() % 5000);
    Bytes whole = first;
    whole.insert(whole.end(), second.begin(), second.end());
    ASSERT_EQ(crc32c_combine(crc32c(first), crc32c(second), second.size()), crc32c(whole));
  }
}

}  // namespace
}  // namespace posthaste::storage
