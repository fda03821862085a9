#include "broker/decompressor.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "reactor/check.h"
#include "storage/bytes/endian.h"

namespace posthaste::broker {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using storage::Bytes;
using storage::ByteView;

class Plain final : public Decompressor {
 public:
  explicit Plain(ByteView bytes) : rest_(bytes) {}
  Result<ByteView> next() override { return std::exchange(rest_, {}); }

 private:
  ByteView rest_;
};

class Gzip final : public Decompressor {
 public:
  explicit Gzip(ByteView packed) : piece_(kUnpackedPieceBytesMax) {
    constexpr int kGzipWrapper = 16;
    CHECK(packed.size() <= std::numeric_limits<uInt>::max());
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data()));
    stream_.avail_in = static_cast<uInt>(packed.size());
    usable_ = inflateInit2(&stream_, MAX_WBITS + kGzipWrapper) == Z_OK;
  }
  ~Gzip() override {
    if (usable_) inflateEnd(&stream_);
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  Result<ByteView> next() override {
    if (ended_) return ByteView();
    if (!usable_) return failure(Errc::kCorrupt);
    stream_.next_out = reinterpret_cast<Bytef*>(piece_.data());
    stream_.avail_out = static_cast<uInt>(piece_.size());
    const int outcome = inflate(&stream_, Z_NO_FLUSH);
    ended_ = outcome == Z_STREAM_END;
    const size_t made = piece_.size() - stream_.avail_out;
    if (!ended_ && (outcome != Z_OK || made == 0)) return failure(Errc::kCorrupt);
    return ByteView(piece_).first(made);
  }

 private:
  z_stream stream_{};
  Bytes piece_;
  bool usable_ = false;
  bool ended_ = false;
};

class Zstd final : public Decompressor {
 public:
  explicit Zstd(ByteView packed)
      : context_(ZSTD_createDCtx()), in_{packed.data(), packed.size(), 0}, piece_(kUnpackedPieceBytesMax) {}
  ~Zstd() override { ZSTD_freeDCtx(context_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  Result<ByteView> next() override {
    if (ended_) return ByteView();
    if (context_ == nullptr) return failure(Errc::kCorrupt);
    ZSTD_outBuffer out{piece_.data(), piece_.size(), 0};
    const size_t left = ZSTD_decompressStream(context_, &out, &in_);
    if (ZSTD_isError(left) != 0) return failure(Errc::kCorrupt);
    ended_ = left == 0;
    if (!ended_ && out.pos == 0) return failure(Errc::kCorrupt);
    return ByteView(piece_).first(out.pos);
  }

 private:
  ZSTD_DCtx* context_;
  ZSTD_inBuffer in_;
  Bytes piece_;
  bool ended_ = false;
};

class Lz4 final : public Decompressor {
 public:
  explicit Lz4(ByteView packed) : rest_(packed), piece_(kUnpackedPieceBytesMax) {
    usable_ = LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)) == 0;
  }
  ~Lz4() override { LZ4F_freeDecompressionContext(context_); }
  Lz4(const Lz4&) = delete;
  Lz4& operator=(const Lz4&) = delete;

  Result<ByteView> next() override {
    while (!ended_) {
      size_t made = piece_.size();
      size_t taken = rest_.size();
      const size_t left =
          usable_ ? LZ4F_decompress(context_, piece_.data(), &made, rest_.data(), &taken, nullptr) : size_t{1};
      if (!usable_ || LZ4F_isError(left) != 0 || (left != 0 && made == 0 && taken == 0)) {
        return failure(Errc::kCorrupt);
      }
      rest_ = rest_.subspan(taken);
      ended_ = left == 0;
      if (made > 0) return ByteView(piece_).first(made);
    }
    return ByteView();
  }

 private:
  LZ4F_dctx* context_ = nullptr;
  ByteView rest_;
  Bytes piece_;
  bool usable_ = false;
  bool ended_ = false;
};

// Java's snappy writes frames of its own (Xerial): a header of 16 bytes, then blocks behind their lengths. Others write
// one block.
class Snappy final : public Decompressor {
 public:
  explicit Snappy(ByteView packed) : rest_(packed) {
    constexpr auto kMagic = std::to_array<uint8_t>({0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0});
    constexpr size_t kHeaderBytes = 16;
    framed_ =
        packed.size() >= kHeaderBytes && std::ranges::equal(packed.first(kMagic.size()), kMagic, {},
                                                            [](std::byte b) { return std::to_integer<uint8_t>(b); });
    if (framed_) rest_ = packed.subspan(kHeaderBytes);
  }

  Result<ByteView> next() override {
    if (rest_.empty()) return ByteView();
    if (!framed_) return unpack(std::exchange(rest_, {}));
    constexpr size_t kLengthBytes = 4;
    if (rest_.size() < kLengthBytes) return failure(Errc::kCorrupt);
    const auto bytes = storage::load_be<uint32_t>(rest_.data());
    rest_ = rest_.subspan(kLengthBytes);
    if (bytes > rest_.size()) return failure(Errc::kCorrupt);
    const ByteView block = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return unpack(block);
  }

 private:
  Result<ByteView> unpack(ByteView block) {
    const auto* text = reinterpret_cast<const char*>(block.data());
    size_t bytes = 0;
    if (!snappy::GetUncompressedLength(text, block.size(), &bytes) || bytes == 0 || bytes > kSnappyBlockBytesMax) {
      return failure(Errc::kCorrupt);
    }
    piece_.resize(bytes);
    if (!snappy::RawUncompress(text, block.size(), reinterpret_cast<char*>(piece_.data()))) {
      return failure(Errc::kCorrupt);
    }
    return ByteView(piece_);
  }

  ByteView rest_;
  Bytes piece_;
  bool framed_ = false;
};

}  // namespace

std::unique_ptr<Decompressor> make_decompressor(storage::Compression codec, ByteView packed) {
  switch (codec) {
    case storage::Compression::kNone:
      break;
    case storage::Compression::kGzip:
      return std::make_unique<Gzip>(packed);
    case storage::Compression::kSnappy:
      return std::make_unique<Snappy>(packed);
    case storage::Compression::kLz4:
      return std::make_unique<Lz4>(packed);
    case storage::Compression::kZstd:
      return std::make_unique<Zstd>(packed);
  }
  return std::make_unique<Plain>(packed);
}

}  // namespace posthaste::broker
