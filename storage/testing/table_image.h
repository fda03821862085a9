// A table's file in one piece, for tests that make a small one and as what TableFile must come to.
#pragma once
#include "storage/bytes/codec.h"
#include "storage/journal/journal_format.h"
#include "storage/recovery/table.h"

namespace posthaste::storage::testing {

// `entries` holds encode_table_entry() outputs, `count` of them.
inline Bytes encode_table(const TableSnapshot& snapshot, ByteView entries, uint64_t count) {
  Bytes payload = encode_table_begin(snapshot, count);
  payload.insert(payload.end(), entries.begin(), entries.end());
  Bytes file = make_frame(kTableMagic, kTableVersion, payload);
  file.resize(align_up(file.size()));
  return file;
}

}  // namespace posthaste::storage::testing
