// A table's file as it is made: its bytes come and go in pieces, for of 200,000 partitions there are 40 MB, and a core
// that copied, hashed or freed them at once would serve nobody meanwhile. No I/O; the layout is what decode_table()
// reads.
#pragma once
#include <memory>
#include <vector>

#include "storage/bytes/xxh3.h"
#include "storage/recovery/table.h"

namespace posthaste::storage {

// Encoded entries. None is moved again when more of them come.
class TableEntries {
 public:
  void add(const TableEntry& entry);
  // Those of another, behind these.
  void add(TableEntries more);
  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }
  const std::vector<Bytes>& pieces() const { return pieces_; }
  // Leaves none.
  std::vector<Bytes> take_pieces();

 private:
  // What is encoded, or copied and hashed, without a pause: a tenth of a millisecond.
  static constexpr size_t kPieceBytes = size_t{256} << 10;

  std::vector<Bytes> pieces_;  // each a little more than kPieceBytes, or of one large entry
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
};

class TableFile {
 public:
  // Of `count` entries, together of `entry_bytes`; snapshot.entries is not looked at. CHECK: it has less than 4 GiB.
  TableFile(const TableSnapshot& snapshot, uint64_t count, uint64_t entry_bytes);
  // All of the entries, in order, in any pieces; then finish() (CHECK: that were all bytes).
  void add(ByteView entries);
  void finish();

  // Of the file, which ends with a whole block.
  uint64_t bytes() const { return bytes_; }
  // In order; each of whole blocks. After finish().
  const std::vector<Bytes>& chunks() const { return chunks_; }
  // Frees the last chunk. False: there is none.
  bool drop_chunk();

 private:
  static constexpr size_t kChunkBytes = size_t{1} << 20;

  void put(ByteView bytes);

  std::vector<Bytes> chunks_;
  uint64_t bytes_ = 0;
  uint64_t bytes_to_come_ = 0;
  std::unique_ptr<Xxh3Stream> hash_;  // until it is finished; too aligned for a coroutine's frame
};

}  // namespace posthaste::storage
