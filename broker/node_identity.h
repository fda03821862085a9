// The identity of this broker, as its data folder says: broker.meta (cluster id, node id, directory id), made on the
// first start and written once more when the store is there, and the lock that keeps a second process out of the
// folder. Of other files it knows the names, and the owner that the store's tables name.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "net/kafka/types.h"
#include "reactor/file.h"

namespace posthaste::broker {

// broker.meta, format 4 (docs/storage-format.md): lines of text "key=value", the last one the XXH3 of all before it.
// Formats 3 and 2 say the same: 3 of a folder whose metadata log is no quorum's, 2 of one whose metadata log holds
// everything. Format 1 did not say whether there are tables. All are read.
struct NodeIdentity {
  std::string cluster_id;  // 22 characters of URL-safe base64, as Kafka's
  int32_t node_id = 0;
  net::kafka::Uuid directory_id;
  bool has_tables = false;  // the store has been made: its tables are durable
  friend bool operator==(const NodeIdentity&, const NodeIdentity&) = default;
};

inline constexpr int32_t kIdentityFormatVersion = 4;

std::string encode_identity(const NodeIdentity& identity);
// kCorrupt: not such a file, or its checksum is wrong. kUnsupported: a newer format; nothing else of it is read.
reactor::Result<NodeIdentity> decode_identity(std::string_view text);

// What the store's tables keep of it, so that either can restore the other: everything but has_tables, on one line.
std::string store_owner(const NodeIdentity& identity);

// The folder, locked and identified. The lock lives as long as the file is open.
struct OpenedFolder {
  reactor::File lock;
  NodeIdentity identity;
  bool created = false;
  bool older_format = false;  // of its identity: note_tables() writes it in today's
  // There was a store: by identity.has_tables, or, where the identity is too old to say, by folders of partitions.
  bool has_store = false;
};

// Why a folder cannot be used, with one readable line that says what to do.
struct FolderError {
  reactor::Errc error{};
  std::string message;
};

// Names of what open_folder() keeps in the folder.
std::vector<std::string> identity_files();

// Makes the folder (with its parents) if it is missing, takes the lock, reads broker.meta or writes it. `node_id`, if
// given, must agree with the folder's. Nothing is changed in a folder of a newer format, nor in one that has no
// broker.meta and holds something. Core 0 only.
reactor::Task<std::expected<OpenedFolder, FolderError>> open_folder(reactor::Core& core, std::string folder,
                                                                    std::optional<int32_t> node_id,
                                                                    std::optional<std::string> cluster_id);

// The store's tables are durable: a start that does not find them is refused from now on. Core 0.
reactor::Task<reactor::Result<void>> note_tables(reactor::Core& core, std::string folder, NodeIdentity identity);

}  // namespace posthaste::broker
