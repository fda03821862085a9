// Unpacks what a producer compressed, piece by piece, where the broker must look at records: batches are stored as they
// came, so nothing is ever packed here. Plain memory of the heap, bounded: a piece, and the window of the codec.
#pragma once
#include <memory>

#include "reactor/result.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"

namespace posthaste::broker {

class Decompressor {
 public:
  virtual ~Decompressor() = default;
  // The next bytes, valid until the next call; none at the end. kCorrupt: the packed bytes are not what they claim, end
  // early, or ask for more memory than the codec is given.
  virtual reactor::Result<storage::ByteView> next() = 0;
};

// Most bytes of one piece, but of snappy without Xerial's frames, which only unpacks as a whole.
inline constexpr size_t kUnpackedPieceBytesMax = size_t{64} << 10;
inline constexpr size_t kSnappyBlockBytesMax = size_t{32} << 20;

// For gzip, snappy (Xerial's frames, or one block), lz4 (frames) and zstd; `packed` must outlive it. For no compression
// it hands out the bytes as they are.
std::unique_ptr<Decompressor> make_decompressor(storage::Compression codec, storage::ByteView packed);

}  // namespace posthaste::broker
