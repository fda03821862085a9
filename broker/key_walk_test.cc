// Records without a key are found in batches of every codec, whole, cut and bombs.
#include "broker/key_walk.h"

#include <gtest/gtest.h>
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "storage/batch/record_batch_builder.h"
#include "storage/bytes/endian.h"
#include "storage/bytes/varint.h"

namespace posthaste::broker {
namespace {

using storage::Bytes;
using storage::ByteView;
using storage::Compression;
using storage::RecordBatchView;

constexpr Compression kCodecs[] = {Compression::kNone, Compression::kGzip, Compression::kSnappy, Compression::kLz4,
                                   Compression::kZstd};

Bytes gzip(ByteView plain) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&stream, plain.size()));
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes snappy_block(ByteView plain) {
  std::string out;
  snappy::Compress(reinterpret_cast<const char*>(plain.data()), plain.size(), &out);
  const auto bytes = std::as_bytes(std::span(out));
  return {bytes.begin(), bytes.end()};
}

// As Java's snappy frames it: blocks of 32 KiB behind their lengths.
Bytes xerial(ByteView plain) {
  Bytes out(16);
  constexpr unsigned char kMagic[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
  for (size_t i = 0; i < std::size(kMagic); ++i) out[i] = static_cast<std::byte>(kMagic[i]);
  while (!plain.empty()) {
    const ByteView piece = plain.first(std::min<size_t>(plain.size(), 32 << 10));
    plain = plain.subspan(piece.size());
    const Bytes block = snappy_block(piece);
    const size_t at = out.size();
    out.resize(at + 4);
    storage::store_be<uint32_t>(out.data() + at, static_cast<uint32_t>(block.size()));
    out.insert(out.end(), block.begin(), block.end());
  }
  return out;
}

Bytes packed(Compression codec, ByteView plain) {
  switch (codec) {
    case Compression::kNone:
      break;
    case Compression::kGzip:
      return gzip(plain);
    case Compression::kSnappy:
      return xerial(plain);
    case Compression::kLz4: {
      Bytes out(LZ4F_compressFrameBound(plain.size(), nullptr));
      out.resize(LZ4F_compressFrame(out.data(), out.size(), plain.data(), plain.size(), nullptr));
      return out;
    }
    case Compression::kZstd: {
      Bytes out(ZSTD_compressBound(plain.size()));
      out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
      return out;
    }
  }
  return {plain.begin(), plain.end()};
}

// The header of `plain` with other records behind it.
Bytes with_records(const Bytes& plain, Compression codec, const Bytes& records) {
  Bytes batch(plain.begin(), plain.begin() + storage::kBatchHeaderBytes);
  batch.insert(batch.end(), records.begin(), records.end());
  storage::store_be<int32_t>(batch.data() + 8, static_cast<int32_t>(batch.size() - storage::kBatchLengthFieldEnd));
  storage::store_be<int16_t>(batch.data() + 21, static_cast<int16_t>(codec));
  return batch;
}

Bytes repacked(const Bytes& plain, Compression codec) {
  return with_records(plain, codec, packed(codec, ByteView(plain).subspan(storage::kBatchHeaderBytes)));
}

// Each letter a record: k with a key, e with an empty one, n with none, L with a key and a large value.
Bytes batch_of(std::string_view records) {
  storage::RecordBatchBuilder builder;
  const Bytes large(300'000, std::byte{'v'});
  for (const char record : records) {
    storage::RecordToWrite one{.timestamp = 1'000, .value = storage::bytes_of("value")};
    if (record == 'k' || record == 'L') one.key = storage::bytes_of("key");
    if (record == 'e') one.key = ByteView();
    if (record == 'L') one.value = large;
    builder.add(one);
  }
  return builder.finish();
}

struct Walked {
  std::vector<int32_t> without_key;
  bool is_unreadable = false;
  friend bool operator==(const Walked&, const Walked&) = default;
};

Walked walk(const Bytes& bytes) {
  const auto batch = RecordBatchView::parse(bytes);
  EXPECT_TRUE(batch.has_value());
  KeyWalk keys(*batch);
  while (keys.step()) continue;
  return {keys.without_key(), keys.is_unreadable()};
}

TEST(KeyWalk, FindsWhoHasNoKeyInEveryCodec) {
  for (const Compression codec : kCodecs) {
    EXPECT_EQ(walk(repacked(batch_of("k"), codec)), (Walked{})) << static_cast<int>(codec);
    EXPECT_EQ(walk(repacked(batch_of("n"), codec)), (Walked{{0}}));
    EXPECT_EQ(walk(repacked(batch_of("kenkn"), codec)), (Walked{{2, 4}})) << "an empty key is a key";
    EXPECT_EQ(walk(repacked(batch_of("LLLLLLnL"), codec)), (Walked{{6}})) << "over many pieces";
    EXPECT_EQ(walk(repacked(batch_of(std::string(500, 'n')), codec)).without_key.size(), KeyWalk::kListedMax);
  }
  const Bytes plain = batch_of("knL");
  const Bytes block = snappy_block(ByteView(plain).subspan(storage::kBatchHeaderBytes));
  EXPECT_EQ(walk(with_records(plain, Compression::kSnappy, block)), (Walked{{1}})) << "snappy without frames";
}

TEST(KeyWalk, WhatCannotBeReadIsSaid) {
  for (const Compression codec : kCodecs) {
    const Bytes whole = repacked(batch_of("kkLk"), codec);
    const Bytes records(whole.begin() + storage::kBatchHeaderBytes, whole.end());
    for (const size_t keep : {size_t{0}, size_t{1}, size_t{5}, records.size() / 4, records.size() / 2}) {
      const Bytes cut(records.begin(), records.begin() + static_cast<ptrdiff_t>(keep));
      EXPECT_TRUE(walk(with_records(whole, codec, cut)).is_unreadable) << static_cast<int>(codec) << " " << keep;
    }
    Bytes damaged = whole;
    for (size_t i = storage::kBatchHeaderBytes; i < damaged.size(); i += 3) damaged[i] ^= std::byte{0xa5};
    EXPECT_TRUE(walk(damaged).is_unreadable) << static_cast<int>(codec);
  }
}

// A megabyte can hold gigabytes; no core may unpack them.
TEST(KeyWalk, ABombIsLeftAlone) {
  const Bytes header = batch_of("k");
  const Bytes zeros(KeyWalk::kUnpackedBytesMax + (1 << 20), std::byte{0});
  Bytes records;
  // One record that claims to be as long as all that follows.
  storage::append_varint(records, static_cast<int64_t>(zeros.size()));
  const size_t length_bytes = records.size();
  records.insert(records.end(), zeros.begin(), zeros.end());
  EXPECT_GT(length_bytes, 3U);
  EXPECT_TRUE(walk(with_records(header, Compression::kZstd, packed(Compression::kZstd, records))).is_unreadable);
  EXPECT_TRUE(walk(with_records(header, Compression::kSnappy, snappy_block(records))).is_unreadable);
}

}  // namespace
}  // namespace posthaste::broker
