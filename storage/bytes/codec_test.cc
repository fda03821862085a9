// Byte order, XXH3 against published values and any split, and the frame around our own structures.
#include "storage/bytes/codec.h"

#include <gtest/gtest.h>

#include <array>
#include <new>
#include <random>

namespace posthaste::storage {
namespace {

using reactor::Errc;

TEST(Endian, ByteOrderIsWhatTheNameSays) {
  std::byte buffer[9] = {};
  store_be<uint32_t>(buffer + 1, 0x01020304);
  EXPECT_EQ(buffer[1], std::byte{1});
  EXPECT_EQ(buffer[4], std::byte{4});
  EXPECT_EQ(load_be<uint32_t>(buffer + 1), 0x01020304U);
  EXPECT_EQ(load_le<uint32_t>(buffer + 1), 0x04030201U);
  store_le<int64_t>(buffer + 1, -2);
  EXPECT_EQ(buffer[1], std::byte{0xfe});
  EXPECT_EQ(load_le<int64_t>(buffer + 1), -2);
  store_be<int16_t>(buffer, -300);
  EXPECT_EQ(load_be<int16_t>(buffer), -300);
  store_le<int8_t>(buffer, -7);
  EXPECT_EQ(load_be<int8_t>(buffer), -7);
}

TEST(Xxh3, KnownValuesAndAnySplit) {
  // The values of the reference implementation: of nothing, and of enough bytes that the widest registers are used.
  EXPECT_EQ(xxh3_64({}), 0x2d06800538d394c2U);
  EXPECT_EQ(xxh3_128({}), (Hash128{0x6001c324468d497fU, 0x99aa06d3014798d8U}));
  Bytes ascending(1000);
  for (size_t i = 0; i < ascending.size(); ++i) ascending[i] = static_cast<std::byte>(i);
  EXPECT_EQ(xxh3_64(ascending, 42), 0x1ba5b309df6f67d3U);
  EXPECT_EQ(xxh3_128(ascending), (Hash128{0xd33dd80b46f60e50U, 0x076f7e02b7120d2aU}));
  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    Bytes bytes(random() % 3000);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    const uint64_t seed = random() % 3;
    Xxh3Stream stream(seed);
    for (size_t done = 0; done < bytes.size();) {
      const size_t size = std::min(bytes.size() - done, 1 + random() % 700);
      stream.update(ByteView(bytes).subspan(done, size));
      done += size;
    }
    ASSERT_EQ(stream.digest_64(), xxh3_64(bytes, seed));
    ASSERT_EQ(stream.digest_128(), xxh3_128(bytes, seed));
  }
  EXPECT_NE(xxh3_64(bytes_of("a"), 1), xxh3_64(bytes_of("a"), 2));
  std::byte stored[16];
  store_hash128(stored, {1, 2});
  EXPECT_EQ(load_hash128(stored), (Hash128{1, 2}));
  EXPECT_EQ(stored[0], std::byte{1});
}

// Streams live on the stack: what an earlier one with the same seed left there, in part overwritten, must not matter.
TEST(Xxh3, AStreamForgetsWhatLayInItsMemory) {
  constexpr uint64_t kSeed = 42;
  const Bytes bytes(1000, std::byte{7});
  const Hash128 wanted = xxh3_128(bytes, kSeed);
  alignas(Xxh3Stream) std::array<std::byte, sizeof(Xxh3Stream)> memory{};
  for (std::byte& changed : memory) {
    new (memory.data()) Xxh3Stream(kSeed);
    changed ^= std::byte{0xff};
    auto* stream = new (memory.data()) Xxh3Stream(kSeed);
    stream->update(bytes);
    ASSERT_EQ(stream->digest_128(), wanted) << &changed - memory.data();
  }
}

TEST(LittleReader, AShortageIsRememberedAndReadsNothing) {
  Bytes bytes;
  LittleWriter writer(bytes);
  writer.put<uint16_t>(0x0102);
  writer.put<int64_t>(-5);
  writer.put_bytes(bytes_of("xyz"));
  LittleReader reader(bytes);
  EXPECT_EQ(reader.take<uint16_t>(), 0x0102);
  EXPECT_EQ(reader.take<int64_t>(), -5);
  EXPECT_EQ(reader.remaining(), 3U);
  EXPECT_FALSE(reader.failed());
  EXPECT_EQ(reader.take<uint32_t>(), 0U);
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.take<uint8_t>(), 0U) << "nothing more after a shortage, even if it would fit";
  LittleReader again(bytes);
  again.take<uint16_t>();
  again.take<int64_t>();
  EXPECT_EQ(text_of(again.take_bytes(3)), "xyz");
  EXPECT_FALSE(again.failed());
  EXPECT_TRUE(again.take_bytes(1).empty());
  EXPECT_TRUE(again.failed());
}

TEST(Frame, OpensWhatItMadeAndNothingElse) {
  const Bytes frame = make_frame(0x11223344, 3, bytes_of("payload"));
  Bytes padded = frame;
  padded.resize(4096);
  const auto opened = open_frame(padded, 0x11223344, 3);
  ASSERT_TRUE(opened);
  EXPECT_EQ(text_of(opened->payload), "payload");
  EXPECT_EQ(opened->version, 3);
  EXPECT_EQ(opened->total_bytes, frame.size());

  EXPECT_EQ(open_frame(frame, 0x11223345, 3).error(), Errc::kCorrupt);
  EXPECT_EQ(open_frame(frame, 0x11223344, 2).error(), Errc::kUnsupported);
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_EQ(open_frame(ByteView(frame).first(size), 0x11223344, 3).error(), Errc::kTruncated);
  }
  for (size_t at = 0; at < frame.size(); ++at) {
    Bytes rotten = frame;
    rotten[at] ^= std::byte{1};
    EXPECT_FALSE(open_frame(rotten, 0x11223344, 3)) << at;
  }
  EXPECT_TRUE(open_frame(make_frame(1, 1, {}), 1, 1)) << "an empty payload is a payload";
}

}  // namespace
}  // namespace posthaste::storage
