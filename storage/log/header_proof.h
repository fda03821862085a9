// The hash of the batch headers at the beginning of a segment, made when they were appended: it distinguishes a segment
// that is still being written, and so has no index file, from any other file that looks like one. Kept in tables,
// behind the producers' snapshot (docs/storage-format.md). Pure, any core.
#pragma once
#include <cstdint>
#include <optional>

#include "storage/bytes/bytes.h"

namespace posthaste::storage {

struct HeaderProof {
  int64_t segment_base = 0;
  uint64_t position = 0;  // a batch boundary; the hash is over all headers before it (chain_header_hash)
  uint64_t hash = 0;
  friend bool operator==(const HeaderProof&, const HeaderProof&) = default;
};

// Puts it behind a producers' snapshot, which does not look at what follows it.
void append_proof(Bytes& producers, const HeaderProof& proof);
// The snapshot alone.
ByteView without_proof(ByteView producers);
// Nothing if there is none, or no whole one.
std::optional<HeaderProof> proof_behind(ByteView producers);

}  // namespace posthaste::storage
