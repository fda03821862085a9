// What the disk of a member holds, in tests of what carries the quorum's messages: plain structs, and their bytes as a
// driver would read and send them. Not for the product.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "reactor/check.h"
#include "reactor/simulated/random.h"
#include "replication/quorum/quorum.h"
#include "storage/bytes/bytes.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::peers {

// A batch, and a hash over it and all before it.
struct ModelEntry {
  quorum::Batch batch;
  uint64_t chain = 0;
};

struct ModelSnapshot {
  quorum::SnapshotId id;
  quorum::VoterSet voters;
  uint64_t chain = 0;
};

struct ModelDisk {
  quorum::ReplicaKey key;
  quorum::Vote vote;
  ModelSnapshot snapshot;
  std::vector<ModelEntry> log;

  quorum::Offset end() const { return log.empty() ? snapshot.id.offset : log.back().batch.end_offset(); }
  uint64_t chain() const { return log.empty() ? snapshot.chain : log.back().chain; }
};

// The model's own form: fixed numbers one behind the other.
class ModelWriter {
 public:
  template <class T>
  void put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    storage::store_be<T>(bytes_.data() + at, value);
  }
  void put(const quorum::VoterSet& voters) {
    put(static_cast<int32_t>(voters.size()));
    for (const quorum::ReplicaKey& voter : voters) {
      put(voter.id);
      put(voter.directory.high);
      put(voter.directory.low);
    }
  }
  storage::Bytes take() { return std::move(bytes_); }

 private:
  storage::Bytes bytes_;
};

class ModelReader {
 public:
  explicit ModelReader(storage::ByteView bytes) : bytes_(bytes) {}
  bool at_end() const { return bytes_.empty(); }
  template <class T>
  T get() {
    CHECK(bytes_.size() >= sizeof(T));
    const T value = storage::load_be<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  quorum::VoterSet voters() {
    std::vector<quorum::ReplicaKey> keys(static_cast<size_t>(get<int32_t>()));
    for (quorum::ReplicaKey& key : keys) {
      key.id = get<int32_t>();
      key.directory.high = get<uint64_t>();
      key.directory.low = get<uint64_t>();
    }
    return quorum::VoterSet(std::move(keys));
  }

 private:
  storage::ByteView bytes_;
};

inline uint64_t chain_of(uint64_t before, const quorum::Batch& batch) {
  uint64_t chain = before;
  for (const uint64_t part : {static_cast<uint64_t>(batch.base_offset), static_cast<uint64_t>(batch.epoch), batch.body,
                              static_cast<uint64_t>(batch.kind)}) {
    chain = reactor::simulated::mix64(chain * 31 + part + 1);
  }
  return chain;
}

// Batches as bytes, and back: what a driver would read from a log.
inline storage::Bytes bytes_of(std::span<const quorum::Batch> batches) {
  ModelWriter writer;
  for (const quorum::Batch& batch : batches) {
    writer.put(batch.base_offset);
    writer.put(batch.count);
    writer.put(batch.epoch);
    writer.put(static_cast<int32_t>(batch.kind));
    writer.put(batch.voters);
    writer.put(batch.body);
  }
  return writer.take();
}

inline std::vector<quorum::Batch> batches_of(storage::ByteView bytes) {
  std::vector<quorum::Batch> batches;
  for (ModelReader reader(bytes); !reader.at_end();) {
    quorum::Batch& batch = batches.emplace_back();
    batch.base_offset = reader.get<quorum::Offset>();
    batch.count = reader.get<int32_t>();
    batch.epoch = reader.get<int32_t>();
    batch.kind = static_cast<quorum::BatchKind>(reader.get<int32_t>());
    batch.voters = reader.voters();
    batch.body = reader.get<uint64_t>();
  }
  return batches;
}

// A snapshot as bytes, `size` of them, and back.
inline storage::Bytes bytes_of(const ModelSnapshot& snapshot, size_t size) {
  ModelWriter writer;
  writer.put(snapshot.id.offset);
  writer.put(snapshot.id.epoch);
  writer.put(snapshot.chain);
  writer.put(snapshot.voters);
  storage::Bytes bytes = writer.take();
  CHECK(bytes.size() < size);
  bytes.resize(size);
  for (size_t i = size / 2; i < size; ++i) bytes[i] = static_cast<std::byte>(i % 251);
  return bytes;
}

inline ModelSnapshot snapshot_of(storage::ByteView bytes) {
  for (size_t i = bytes.size() / 2; i < bytes.size(); ++i) CHECK(bytes[i] == static_cast<std::byte>(i % 251));
  ModelReader reader(bytes);
  ModelSnapshot snapshot;
  snapshot.id.offset = reader.get<quorum::Offset>();
  snapshot.id.epoch = reader.get<int32_t>();
  snapshot.chain = reader.get<uint64_t>();
  snapshot.voters = reader.voters();
  return snapshot;
}

}  // namespace posthaste::replication::peers
