// Little-endian writer and bounds-checked reader for our own small structures, and the frame that all of them share:
//
//   u32 magic | u16 version | u16 zero | u32 total bytes | u32 zero | payload | u64 xxh3 of everything before it
//
// The frame knows its own length, so a file may be padded to a whole block behind it. It does not know any payload.
#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "reactor/result.h"
#include "storage/bytes/bytes.h"
#include "storage/bytes/endian.h"
#include "storage/bytes/xxh3.h"

namespace posthaste::storage {

// Appends to a byte vector. For cold paths: it grows the vector.
class LittleWriter {
 public:
  explicit LittleWriter(Bytes& out) : out_(&out) {}

  template <std::integral T>
  void put(std::type_identity_t<T> value) {
    std::byte buffer[sizeof(T)];
    store_le<T>(buffer, value);
    out_->insert(out_->end(), buffer, buffer + sizeof(T));
  }
  void put_bytes(ByteView bytes) { out_->insert(out_->end(), bytes.begin(), bytes.end()); }

 private:
  Bytes* out_;
};

// Reads from a view; never past its end. After the first shortage every read gives 0 and failed() stays true, so that a
// decoder may read a group of fields and test once, before it uses any of them.
class LittleReader {
 public:
  explicit LittleReader(ByteView bytes) : rest_(bytes) {}

  template <std::integral T>
  T take() {
    if (rest_.size() < sizeof(T)) {
      fail();
      return T{};
    }
    const T value = load_le<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  ByteView take_bytes(size_t size) {
    if (rest_.size() < size) {
      fail();
      return {};
    }
    const ByteView bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }
  size_t remaining() const { return rest_.size(); }
  bool failed() const { return failed_; }

 private:
  void fail() {
    failed_ = true;
    rest_ = {};
  }
  ByteView rest_;
  bool failed_ = false;
};

inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kFrameOverheadBytes = kFrameHeaderBytes + 8;

// What a frame that passed its checks holds. `payload` points into the bytes that were given.
struct OpenedFrame {
  uint16_t version = 0;
  ByteView payload;
  size_t total_bytes = 0;  // header, payload and checksum; padding may follow
};

// What a frame of `frame_bytes` in all begins with; its payload and the XXH3 of all that is before it follow.
inline void put_frame_header(uint32_t magic, uint16_t version, uint32_t frame_bytes, Bytes& out) {
  LittleWriter writer(out);
  writer.put<uint32_t>(magic);
  writer.put<uint16_t>(version);
  writer.put<uint16_t>(0);
  writer.put<uint32_t>(frame_bytes);
  writer.put<uint32_t>(0);
}

// Wraps a payload. `magic` names the kind of structure, `version` its layout.
inline Bytes make_frame(uint32_t magic, uint16_t version, ByteView payload) {
  const auto frame_bytes = static_cast<uint32_t>(payload.size() + kFrameOverheadBytes);
  Bytes out;
  out.reserve(frame_bytes);
  put_frame_header(magic, version, frame_bytes, out);
  LittleWriter writer(out);
  writer.put_bytes(payload);
  writer.put<uint64_t>(xxh3_64(out));
  return out;
}

// Checks length, checksum, then meaning. kTruncated: fewer bytes than it says; kCorrupt: wrong magic, impossible length
// or checksum; kUnsupported: whole, but of a version newer than `newest_version` (made by a later Posthaste).
inline reactor::Result<OpenedFrame> open_frame(ByteView bytes, uint32_t magic, uint16_t newest_version) {
  using reactor::Errc;
  if (bytes.size() < kFrameOverheadBytes) return reactor::failure(Errc::kTruncated);
  if (load_le<uint32_t>(bytes.data()) != magic) return reactor::failure(Errc::kCorrupt);
  const size_t total = load_le<uint32_t>(bytes.data() + 8);
  if (total < kFrameOverheadBytes) return reactor::failure(Errc::kCorrupt);
  if (total > bytes.size()) return reactor::failure(Errc::kTruncated);
  if (load_le<uint64_t>(bytes.data() + total - 8) != xxh3_64(bytes.first(total - 8))) {
    return reactor::failure(Errc::kCorrupt);
  }
  const uint16_t version = load_le<uint16_t>(bytes.data() + 4);
  if (version > newest_version || version == 0) return reactor::failure(Errc::kUnsupported);
  return OpenedFrame{version, bytes.subspan(kFrameHeaderBytes, total - kFrameOverheadBytes), total};
}

}  // namespace posthaste::storage
