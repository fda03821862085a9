// Metadata snapshots as bytes: names of files, what was written comes back in bounded pieces, and any byte that is not
// as written is found.
#include "replication/metadata/snapshot_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace posthaste::replication {
namespace {

using reactor::Errc;
using reactor::Result;
using storage::Bytes;

constexpr SnapshotId kId{.offset = 12345, .epoch = 7};

std::vector<MetadataRecord> some_records(size_t count) {
  std::vector<MetadataRecord> records;
  for (size_t i = 0; i < count; ++i) {
    records.emplace_back(ConfigRecord{kBrokerResource, "", fmt::format("key-{}", i), std::string(100, 'x')});
  }
  return records;
}

std::vector<Bytes> frames_of(const SnapshotId& id, const std::vector<MetadataRecord>& records) {
  SnapshotEncoder encoder(id);
  std::vector<Bytes> frames = {encoder.begin()};
  for (std::span<const MetadataRecord> rest(records); !rest.empty();) frames.push_back(encoder.piece(rest));
  frames.push_back(encoder.finish());
  return frames;
}

Bytes joined(const std::vector<Bytes>& frames) {
  Bytes all;
  for (const Bytes& frame : frames) all.insert(all.end(), frame.begin(), frame.end());
  return all;
}

// As a reader of a file goes through it.
Result<std::vector<MetadataRecord>> read(const SnapshotId& id, storage::ByteView bytes) {
  SnapshotDecoder decoder(id);
  std::vector<MetadataRecord> records;
  const auto keep = [&](const MetadataRecord& record) -> Result<void> {
    records.push_back(record);
    return {};
  };
  while (!decoder.finished()) {
    const size_t size =
        TRY(SnapshotDecoder::frame_bytes(bytes.first(std::min(bytes.size(), SnapshotDecoder::kFrameHead))));
    if (size > bytes.size()) return reactor::failure(Errc::kTruncated);
    TRY(decoder.take(bytes.first(size), keep));
    bytes = bytes.subspan(size);
  }
  if (!bytes.empty()) return reactor::failure(Errc::kCorrupt);
  return records;
}

TEST(SnapshotFormat, NamesOfFiles) {
  EXPECT_EQ(snapshot_file(kId), "00000000000000012345-0000000007.snapshot");
  EXPECT_EQ(snapshot_of_file("00000000000000012345-0000000007.snapshot"), kId);
  for (const char* name :
       {"", "00000000000000012345-0000000007.snapshot.new", "0000000000000001234x-0000000007.snapshot",
        "00000000000000012345.0000000007.snapshot", "00000000000000000000.snapshot",
        "-0000000000000012345-0000000007.snapshot", "00000000000000012345-9999999999.snapshot"}) {
    EXPECT_FALSE(snapshot_of_file(name).has_value()) << name;
  }
  EXPECT_LT((SnapshotId{.offset = 5, .epoch = 9}), (SnapshotId{.offset = 6, .epoch = 0}));
}

TEST(SnapshotFormat, ThereAndBackInPieces) {
  for (const size_t count : {0U, 1U, 10'000U}) {
    const std::vector<MetadataRecord> records = some_records(count);
    const std::vector<Bytes> frames = frames_of(kId, records);
    EXPECT_EQ(frames.size(), count == 10'000 ? 7U : count + 2);
    for (const Bytes& frame : frames) EXPECT_LT(frame.size(), kSnapshotPieceBytes + 1000);
    EXPECT_EQ(read(kId, joined(frames)), records);
  }
}

TEST(SnapshotFormat, AnyChangedByteIsFound) {
  const Bytes whole = joined(frames_of(kId, some_records(3)));
  ASSERT_TRUE(read(kId, whole).has_value());
  for (size_t at = 0; at < whole.size(); ++at) {
    Bytes bad = whole;
    bad[at] ^= std::byte{0x10};
    EXPECT_FALSE(read(kId, bad).has_value()) << at;
    EXPECT_FALSE(read(kId, storage::ByteView(whole).first(at)).has_value()) << "cut at " << at;
  }
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(read(kId, longer).has_value());
}

TEST(SnapshotFormat, PiecesOfAnotherOrderOrSnapshotAreFound) {
  const std::vector<Bytes> frames = frames_of(kId, some_records(10'000));
  const auto changed = [&](const auto& change) {
    std::vector<Bytes> other = frames;
    change(other);
    return read(kId, joined(other)).has_value();
  };
  EXPECT_TRUE(changed([](std::vector<Bytes>&) {}));
  EXPECT_FALSE(changed([](std::vector<Bytes>& other) { std::swap(other[1], other[2]); }));
  EXPECT_FALSE(changed([](std::vector<Bytes>& other) { other.erase(other.begin() + 1); }));
  EXPECT_FALSE(changed([](std::vector<Bytes>& other) { other.erase(other.end() - 2); }));
  EXPECT_FALSE(changed([](std::vector<Bytes>& other) { other.erase(other.begin()); }));
  EXPECT_FALSE(changed([](std::vector<Bytes>& other) { other.insert(other.begin() + 2, other[1]); }));
  // A piece of the snapshot before, and one of the same place with other contents.
  const std::vector<Bytes> older = frames_of({.offset = 12'000, .epoch = 7}, some_records(10'000));
  EXPECT_FALSE(changed([&](std::vector<Bytes>& other) { other[1] = older[1]; }));
  std::vector<MetadataRecord> twin = some_records(10'000);
  std::get<ConfigRecord>(twin[0]).value = std::string(100, 'y');
  EXPECT_FALSE(changed([&](std::vector<Bytes>& other) { other[1] = frames_of(kId, twin)[1]; }));
  // A file under another's name.
  EXPECT_FALSE(read({.offset = 12'000, .epoch = 7}, joined(frames)).has_value());
}

// What a newer program wrote is whole and must not be taken for rot.
TEST(SnapshotFormat, ANewerVersionIsUnsupported) {
  std::vector<Bytes> frames = frames_of(kId, some_records(3));
  Bytes& header = frames[0];
  header[4] = std::byte{2};
  storage::store_le<uint64_t>(header.data() + header.size() - 8,
                              storage::xxh3_64(storage::ByteView(header).first(header.size() - 8)));
  EXPECT_EQ(read(kId, joined(frames)).error(), Errc::kUnsupported);
}

}  // namespace
}  // namespace posthaste::replication
