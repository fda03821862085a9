// Metadata snapshots as bytes: names of files, what was written comes back in bounded pieces, and any byte that is not
// as written is found.
#include "replication/metadata/snapshot_format.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/bytes/codec.h"

namespace posthaste::replication {
namespace {

using reactor::Errc;
using reactor::Result;
using storage::Bytes;

constexpr SnapshotId kId{.offset = 12345, .epoch = 7};

quorum::VoterSet some_voters() {
  return quorum::VoterSet({{.id = 1, .directory = {.high = 5, .low = 6}}, {.id = 4, .directory = {.low = 9}}});
}

std::vector<MetadataRecord> some_records(size_t count) {
  std::vector<MetadataRecord> records;
  records.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    records.emplace_back(ConfigRecord{kBrokerResource, "", fmt::format("key-{}", i), std::string(100, 'x')});
  }
  return records;
}

std::vector<Bytes> frames_of(const SnapshotId& id, const std::vector<MetadataRecord>& records) {
  SnapshotEncoder encoder(id);
  std::vector<Bytes> frames = {encoder.begin(some_voters())};
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
  header[4] = std::byte{3};
  storage::store_le<uint64_t>(header.data() + header.size() - 8,
                              storage::xxh3_64(storage::ByteView(header).first(header.size() - 8)));
  EXPECT_EQ(read(kId, joined(frames)).error(), Errc::kUnsupported);
}

Result<quorum::VoterSet> voters_in(const Bytes& header) {
  SnapshotDecoder decoder(kId);
  TRY(decoder.take(header, [](const MetadataRecord&) { return Result<void>(); }));
  return decoder.voters();
}

// A header of `version` that says all of `some_voters()`, but for what `change` does to its payload.
Bytes header_with(uint16_t version, const auto& change) {
  const Bytes whole = SnapshotEncoder(kId).begin(some_voters());
  Bytes payload(whole.begin() + storage::kFrameHeaderBytes, whole.end() - 8);
  change(payload);
  return storage::make_frame(storage::load_le<uint32_t>(whole.data()), version, payload);
}

TEST(SnapshotFormat, TheHeaderNamesTheVoters) {
  EXPECT_EQ(voters_in(SnapshotEncoder(kId).begin(some_voters())), some_voters());
  EXPECT_EQ(voters_in(header_with(2, [](Bytes&) {})), some_voters());
  constexpr size_t kVotersAt = 12;
  constexpr size_t kVoterBytes = 20;
  const auto is_corrupt = [](const Bytes& header) {
    const auto voters = voters_in(header);
    return !voters && voters.error() == Errc::kCorrupt;
  };
  EXPECT_TRUE(is_corrupt(header_with(2, [](Bytes& payload) { payload.resize(kVotersAt); })));
  EXPECT_TRUE(is_corrupt(header_with(2, [](Bytes& payload) { payload.pop_back(); })));
  EXPECT_TRUE(is_corrupt(header_with(2, [](Bytes& payload) { payload.push_back(std::byte{0}); })));
  for (const uint32_t count : {0U, 1U, 3U, 10U, UINT32_MAX}) {
    EXPECT_TRUE(is_corrupt(header_with(2, [&](Bytes& payload) {
      storage::store_le<uint32_t>(payload.data() + kVotersAt, count);
    }))) << count;
  }
  const auto with_second_id = [&](int32_t id) {
    return header_with(
        2, [&](Bytes& payload) { storage::store_le<int32_t>(payload.data() + kVotersAt + 4 + kVoterBytes, id); });
  };
  EXPECT_FALSE(is_corrupt(with_second_id(5)));
  EXPECT_TRUE(is_corrupt(with_second_id(1))) << "a node twice";
  EXPECT_TRUE(is_corrupt(with_second_id(-1)));
}

// As programs wrote it that knew no voters.
TEST(SnapshotFormat, AnOlderHeaderNamesNoVoters) {
  const auto older = [](Bytes& payload) { payload.resize(12); };
  EXPECT_EQ(voters_in(header_with(1, older)), quorum::VoterSet());
  EXPECT_EQ(voters_in(header_with(1, [](Bytes&) {})).error(), Errc::kCorrupt);
}

}  // namespace
}  // namespace posthaste::replication
