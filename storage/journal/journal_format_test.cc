// Journal bytes: what is written is read back, and no flipped bit, stale commit or foreign byte passes.
#include "storage/journal/journal_format.h"

#include <gtest/gtest.h>

namespace posthaste::storage {
namespace {

using reactor::Errc;

StreamId stream_of(uint8_t fill) {
  StreamId stream;
  stream.fill(static_cast<std::byte>(fill));
  return stream;
}

// A commit with one data record and one META record of the own core and one sub-block of another core.
Bytes make_commit(uint64_t lsn, const StreamId& stream) {
  Bytes commit(2 * kBlock);
  const uint32_t header_bytes = commit_header_bytes(2);
  RecordWriter writer(MutableBytes(commit).subspan(header_bytes, 1000), header_bytes, 1000);
  writer.begin_data({.type = RecordType::kDataInline,
                     .uid = 7,
                     .generation = 3,
                     .segment_base = 100,
                     .position = kBlock + 5,
                     .boundary = kBlock + 5 + 11,
                     .boundary_offset = 109,
                     .high_watermark = 100},
                    5, 11, false);
  const MutableBytes space = writer.space_for(16);
  for (size_t i = 0; i < space.size(); ++i) space[i] = static_cast<std::byte>(i);
  writer.end_data();
  EXPECT_TRUE(writer.add_encoded(encode_meta_record(
      {.type = RecordType::kRoll, .uid = 8, .segment_base = 1, .position = 4096, .first_offset = 55})));
  const Bytes create = encode_meta_record(
      {.type = RecordType::kCreate, .uid = 9, .topic_name = "orders", .partition = 4, .core = 1, .first_offset = 12});
  std::ranges::copy(create, commit.begin() + kBlock);
  const ByteView own = ByteView(commit).subspan(header_bytes, writer.used());
  CommitHeader header{.stream = stream,
                      .total_bytes = 2 * kBlock,
                      .header_bytes = header_bytes,
                      .lsn = lsn,
                      .sequence = 9,
                      .durable_lsn = lsn - kBlock,
                      .table_number = 2};
  header.sub_blocks.push_back({static_cast<uint32_t>(own.size()), 0, hash_sub_block(stream, 0, own)});
  header.sub_blocks.push_back({static_cast<uint32_t>(create.size()), 1, hash_sub_block(stream, 1, create)});
  encode_commit_header(header, commit);
  return commit;
}

TEST(JournalFormat, CommitIsReadBack) {
  const StreamId stream = stream_of(1);
  const Bytes commit = make_commit(3 * kBlock, stream);
  const auto header = decode_commit_header(commit, stream, 3 * kBlock);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->sequence, 9U);
  EXPECT_EQ(header->durable_lsn, 2 * kBlock);
  const auto sub_blocks = open_sub_blocks(*header, commit);
  ASSERT_TRUE(sub_blocks.has_value());
  ASSERT_EQ(sub_blocks->size(), 2U);
  RecordCursor own(sub_blocks->front());
  const auto data = own.next();
  ASSERT_TRUE(data && *data);
  EXPECT_EQ((*data)->uid, 7U);
  EXPECT_EQ((*data)->generation, 3U);
  EXPECT_EQ((*data)->position, kBlock + 5);
  EXPECT_EQ((*data)->prefix.size(), 5U);
  EXPECT_EQ((*data)->data.size(), 11U);
  EXPECT_EQ((*data)->data[0], std::byte{5});
  EXPECT_EQ((*data)->boundary_offset, 109);
  EXPECT_EQ((*data)->high_watermark, 100);
  const auto roll = own.next();
  ASSERT_TRUE(roll && *roll);
  EXPECT_EQ((*roll)->type, RecordType::kRoll);
  EXPECT_EQ((*roll)->position, 4096U);
  EXPECT_EQ((*roll)->first_offset, 55);
  const auto end = own.next();
  ASSERT_TRUE(end.has_value());
  EXPECT_FALSE(end->has_value());
  RecordCursor other(sub_blocks->back());
  const auto create = other.next();
  ASSERT_TRUE(create && *create);
  EXPECT_EQ((*create)->topic_name, "orders");
  EXPECT_EQ((*create)->partition, 4);
  EXPECT_EQ((*create)->first_offset, 12);
}

TEST(JournalFormat, NoOtherPlaceStreamOrBitPasses) {
  const StreamId stream = stream_of(1);
  const Bytes commit = make_commit(3 * kBlock, stream);
  EXPECT_FALSE(decode_commit_header(commit, stream_of(2), 3 * kBlock).has_value());
  EXPECT_FALSE(decode_commit_header(commit, stream, 4 * kBlock).has_value());
  const auto whole = decode_commit_header(commit, stream, 3 * kBlock);
  ASSERT_TRUE(whole.has_value());
  const size_t own_end = whole->header_bytes + whole->sub_blocks[0].used_bytes;
  for (size_t at = 0; at < own_end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes rotten = commit;
      rotten[at] ^= static_cast<std::byte>(1 << bit);
      const auto header = decode_commit_header(rotten, stream, 3 * kBlock);
      EXPECT_FALSE(header && open_sub_blocks(*header, rotten)) << "byte " << at << " bit " << bit;
    }
  }
}

// The bytes of a segment from `position` on, as whole blocks in memory would hold them.
std::byte byte_at(uint64_t position) { return static_cast<std::byte>(position * 7 + position / 251); }

TEST(JournalFormat, WholeBlocksAreReferredToAndReadBack) {
  constexpr size_t kPhase = 144;
  for (const uint64_t position : {uint64_t{0}, uint64_t{5}, uint64_t{3 * kBlock}, uint64_t{2 * kBlock + 4095}}) {
    for (const size_t prefix : {size_t{0}, static_cast<size_t>(position % kBlock)}) {
      for (const size_t size : {size_t{3}, 2 * kBlock, 3 * kBlock + 17}) {
        std::vector<std::byte> tail(8 * kBlock);
        for (size_t i = 0; i < tail.size(); ++i) tail[i] = byte_at(align_down(position) + i);
        std::vector<std::byte> staging(8 * kBlock);
        RecordWriter writer(MutableBytes(staging).subspan(kPhase), kPhase, 8 * kBlock - kPhase);
        ASSERT_TRUE(writer.add_encoded(encode_meta_record({.type = RecordType::kLogStart, .first_offset = 1})));
        const JournalRecord fields{.type = RecordType::kDataInline, .uid = 7, .position = position};
        writer.begin_data(fields, prefix, size, true);
        for (uint64_t at = position - prefix; at < position + size;) {
          const MutableBytes rest = MutableBytes(tail).subspan(at - align_down(position), position + size - at);
          if (at % kBlock == 0 && rest.size() >= kBlock) {
            writer.refer(rest.first(align_down(rest.size())));
            at += align_down(rest.size());
          } else {
            const MutableBytes copied = writer.space_for(std::min(rest.size(), kBlock - at % kBlock));
            std::copy_n(rest.begin(), copied.size(), copied.begin());
            at += copied.size();
          }
        }
        writer.end_data();
        ASSERT_TRUE(writer.add_encoded(encode_meta_record({.type = RecordType::kLogStart, .first_offset = 2})));
        const auto pieces = writer.finish();
        Bytes whole;
        for (const reactor::Slice& piece : pieces) {
          EXPECT_EQ((whole.size() + (whole.empty() ? 0 : kPhase)) % kBlock, 0U);
          whole.insert(whole.end(), piece.data, piece.data + piece.size);
        }
        EXPECT_EQ((kPhase + whole.size()) % kBlock, 0U);
        EXPECT_EQ(hash_sub_block(stream_of(1), 3, pieces, writer.used()),
                  hash_sub_block(stream_of(1), 3, ByteView(whole).first(writer.used())));
        RecordCursor cursor(ByteView(whole).first(writer.used()));
        ASSERT_EQ((**cursor.next()).first_offset, 1);
        const auto data = cursor.next();
        ASSERT_TRUE(data && *data);
        ASSERT_EQ((*data)->prefix.size(), prefix);
        ASSERT_EQ((*data)->data.size(), size);
        for (size_t i = 0; i < prefix; ++i) ASSERT_EQ((*data)->prefix[i], byte_at(position - prefix + i));
        for (size_t i = 0; i < size; ++i) ASSERT_EQ((*data)->data[i], byte_at(position + i));
        ASSERT_EQ((**cursor.next()).first_offset, 2);
      }
    }
  }
}

TEST(JournalFormat, ASubBlockRefersToAsMuchAsItsListHolds) {
  std::vector<std::byte> block(kBlock);
  std::vector<std::byte> staging(64 * kBlock);
  RecordWriter writer(MutableBytes(staging), 0, 256 * kBlock);
  size_t references = 0;
  size_t records = 0;
  // The first takes some of the list, the second all of the rest, and a third has nothing left.
  for (const size_t most : {size_t{7}, size_t{1000}, size_t{1000}}) {
    const size_t count = std::min(most, writer.references_max());
    if (count == 0) break;
    const size_t bytes = count * kBlock + 5;
    ASSERT_LE(bytes, writer.aligned_payload_max(0));
    writer.begin_data({.type = RecordType::kDataInline, .uid = 7}, 0, bytes, true);
    for (size_t i = 0; i < count; ++i) writer.refer(block);
    std::ranges::fill(writer.space_for(5), std::byte{1});
    writer.end_data();
    references += count;
    ++records;
  }
  EXPECT_EQ(records, 2U);
  EXPECT_EQ(writer.aligned_payload_max(0), 0U);
  ASSERT_TRUE(writer.add_encoded(encode_meta_record({.type = RecordType::kLogStart, .first_offset = 1})));
  const auto pieces = writer.finish();
  EXPECT_EQ(pieces.size(), RecordWriter::kPiecesMax);
  EXPECT_EQ(references + records + 1, pieces.size()) << "something copied before each record's blocks and behind all";
}

TEST(JournalFormat, ShortBytesAreRefused) {
  const StreamId stream = stream_of(1);
  const Bytes commit = make_commit(3 * kBlock, stream);
  for (size_t size = 0; size < commit.size(); size += 97) {
    const auto header = decode_commit_header(ByteView(commit).first(size), stream, 3 * kBlock);
    EXPECT_FALSE(header.has_value()) << size;
  }
}

TEST(JournalFormat, FileHeader) {
  Bytes block(kBlock);
  encode_file_header({.slot = 3, .stream = stream_of(5), .sequence = 17, .start_lsn = 40960, .file_bytes = 8 << 20},
                     block);
  const auto header = decode_file_header(block);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->sequence, 17U);
  EXPECT_EQ(header->start_lsn, 40960U);
  EXPECT_EQ(header->stream, stream_of(5));
  for (size_t at = 0; at < 80; ++at) {
    Bytes rotten = block;
    rotten[at] ^= std::byte{4};
    EXPECT_FALSE(decode_file_header(rotten).has_value()) << at;
  }
}

TEST(JournalFormat, HostileRecordsDoNotPass) {
  Bytes record = encode_meta_record({.type = RecordType::kLogStart, .uid = 1, .first_offset = 5});
  record[0] = std::byte{200};
  EXPECT_EQ(RecordCursor(record).next().error(), Errc::kUnsupported);
  record[0] = static_cast<std::byte>(RecordType::kDataInline);
  EXPECT_EQ(RecordCursor(record).next().error(), Errc::kCorrupt);
  record[4] = std::byte{0xff};
  EXPECT_EQ(RecordCursor(record).next().error(), Errc::kCorrupt);
  EXPECT_EQ(RecordCursor(ByteView(record).first(10)).next().error(), Errc::kCorrupt);
}

}  // namespace
}  // namespace posthaste::storage
