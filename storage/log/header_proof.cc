#include "storage/log/header_proof.h"

#include "storage/bytes/codec.h"

namespace posthaste::storage {
namespace {
constexpr uint32_t kProofMagic = 0x50485350;  // "PSHP"
constexpr uint16_t kProofVersion = 1;
constexpr size_t kFrameTotalAt = 8;
}  // namespace

void append_proof(Bytes& producers, const HeaderProof& proof) {
  Bytes payload;
  LittleWriter writer(payload);
  writer.put<int64_t>(proof.segment_base);
  writer.put<uint64_t>(proof.position);
  writer.put<uint64_t>(proof.hash);
  const Bytes frame = make_frame(kProofMagic, kProofVersion, payload);
  producers.insert(producers.end(), frame.begin(), frame.end());
}

ByteView without_proof(ByteView producers) {
  if (producers.size() < kFrameTotalAt + sizeof(uint32_t)) return producers;
  return producers.first(std::min<size_t>(producers.size(), load_le<uint32_t>(producers.data() + kFrameTotalAt)));
}

std::optional<HeaderProof> proof_behind(ByteView producers) {
  if (producers.size() < kFrameTotalAt + sizeof(uint32_t)) return std::nullopt;
  const auto total = load_le<uint32_t>(producers.data() + kFrameTotalAt);
  if (total >= producers.size()) return std::nullopt;
  const auto frame = open_frame(producers.subspan(total), kProofMagic, kProofVersion);
  if (!frame) return std::nullopt;
  LittleReader reader(frame->payload);
  HeaderProof proof;
  proof.segment_base = reader.take<int64_t>();
  proof.position = reader.take<uint64_t>();
  proof.hash = reader.take<uint64_t>();
  if (reader.failed()) return std::nullopt;
  return proof;
}

}  // namespace posthaste::storage
