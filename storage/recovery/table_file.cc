#include "storage/recovery/table_file.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "storage/bytes/codec.h"
#include "storage/journal/journal_format.h"

namespace posthaste::storage {

void TableEntries::add(const TableEntry& entry) {
  if (pieces_.empty() || pieces_.back().size() >= kPieceBytes) {
    // The first one is often the only one, and small.
    const bool is_first = pieces_.empty();
    pieces_.emplace_back();
    if (!is_first) pieces_.back().reserve(kPieceBytes + kPieceBytes / 16);
  }
  const size_t before = pieces_.back().size();
  encode_table_entry(entry, pieces_.back());
  bytes_ += pieces_.back().size() - before;
  ++count_;
}

void TableEntries::add(TableEntries more) {
  std::ranges::move(more.pieces_, std::back_inserter(pieces_));
  bytes_ += more.bytes_;
  count_ += more.count_;
}

std::vector<Bytes> TableEntries::take_pieces() {
  bytes_ = count_ = 0;
  return std::exchange(pieces_, {});
}

TableFile::TableFile(const TableSnapshot& snapshot, uint64_t count, uint64_t entry_bytes)
    : bytes_to_come_(entry_bytes), hash_(std::make_unique<Xxh3Stream>()) {
  const Bytes begin = encode_table_begin(snapshot, count);
  const uint64_t frame_bytes = kFrameOverheadBytes + begin.size() + entry_bytes;
  CHECK(frame_bytes <= UINT32_MAX, "a table of {} bytes", frame_bytes);
  Bytes header;
  header.reserve(kFrameHeaderBytes);
  put_frame_header(kTableMagic, kTableVersion, static_cast<uint32_t>(frame_bytes), header);
  put(header);
  put(begin);
}

void TableFile::add(ByteView entries) {
  CHECK(entries.size() <= bytes_to_come_, "{} bytes of entries more than were told", entries.size() - bytes_to_come_);
  bytes_to_come_ -= entries.size();
  put(entries);
}

void TableFile::put(ByteView bytes) {
  hash_->update(bytes);
  while (!bytes.empty()) {
    if (chunks_.empty() || chunks_.back().size() == kChunkBytes) {
      chunks_.emplace_back();
      chunks_.back().reserve(std::min<size_t>(kChunkBytes, align_up(bytes.size() + bytes_to_come_ + kBlock)));
    }
    Bytes& chunk = chunks_.back();
    const ByteView part = bytes.first(std::min(bytes.size(), kChunkBytes - chunk.size()));
    chunk.insert(chunk.end(), part.begin(), part.end());
    bytes_ += part.size();
    bytes = bytes.subspan(part.size());
  }
}

void TableFile::finish() {
  CHECK(hash_ != nullptr && bytes_to_come_ == 0, "{} bytes of entries are missing", bytes_to_come_);
  Bytes checksum;
  LittleWriter(checksum).put<uint64_t>(hash_->digest_64());
  put(checksum);
  hash_.reset();
  Bytes& last = chunks_.back();
  bytes_ += align_up(last.size()) - last.size();
  last.resize(align_up(last.size()));
}

bool TableFile::drop_chunk() {
  if (chunks_.empty()) return false;
  chunks_.pop_back();
  return true;
}

}  // namespace posthaste::storage
