// Test data only: the record batches that Kafka's own library made (tests/wire/BatchVectors.java), parsed into structs.
#pragma once
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "reactor/check.h"
#include "storage/bytes/bytes.h"

namespace posthaste::storage::testdata {

using OptionalBytes = std::optional<Bytes>;

struct VectorRecord {
  int64_t offset = 0;
  int64_t timestamp = 0;
  OptionalBytes key;
  OptionalBytes value;
  std::vector<std::pair<OptionalBytes, OptionalBytes>> headers;
};

struct BatchVector {
  std::string name;
  int legacy_magic = -1;  // 0 or 1: nothing but the bytes is filled in
  int64_t base_offset = 0, last_offset = 0, base_timestamp = 0, max_timestamp = 0, producer_id = 0;
  int32_t leader_epoch = 0, last_sequence = 0, base_sequence = 0, count = 0;
  uint32_t crc = 0;
  int16_t attributes = 0, producer_epoch = 0;
  std::vector<VectorRecord> records;  // uncompressed batches only
  Bytes bytes;
};

inline Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

inline OptionalBytes optional_from_hex(std::string_view text) {
  return text == "null" ? std::nullopt : OptionalBytes(from_hex(text.substr(1)));
}

inline VectorRecord parse_record(std::istringstream& line) {
  VectorRecord record;
  std::string key, value;
  line >> record.offset >> record.timestamp >> key >> value;
  record.key = optional_from_hex(key);
  record.value = optional_from_hex(value);
  while (line >> key >> value) record.headers.emplace_back(optional_from_hex(key), optional_from_hex(value));
  return record;
}

inline std::vector<BatchVector> load_batch_vectors() {
  std::istringstream text(
#include "storage/testdata/record_batches.inc"
  );
  std::vector<BatchVector> vectors;
  for (std::string line_text; std::getline(text, line_text);) {
    std::istringstream line(line_text);
    std::string kind;
    if (!(line >> kind)) continue;
    if (kind == "batch") {
      line >> vectors.emplace_back().name;
      continue;
    }
    BatchVector& v = vectors.back();
    if (kind == "legacy") {
      line >> v.legacy_magic;
    } else if (kind == "header") {
      line >> v.base_offset >> v.leader_epoch >> v.crc >> v.attributes >> v.last_offset >> v.last_sequence >>
          v.base_timestamp >> v.max_timestamp >> v.producer_id >> v.producer_epoch >> v.base_sequence >> v.count;
      CHECK(!line.fail());
    } else if (kind == "record") {
      v.records.push_back(parse_record(line));
    } else if (kind == "bytes") {
      std::string hex;
      line >> hex;
      v.bytes = from_hex(hex);
    }
  }
  return vectors;
}

// The vector of that name; the test is broken if there is none.
inline BatchVector batch_vector(std::string_view name) {
  for (BatchVector& v : load_batch_vectors()) {
    if (v.name == name) return v;
  }
  CHECK(false, "no batch vector {}", name);
  return {};
}

}  // namespace posthaste::storage::testdata
