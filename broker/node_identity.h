// Who this broker is, as its data folder says: broker.meta (cluster id, node id, directory id), made on the first start
// and never changed afterwards, and the lock that keeps a second process out of the folder. It knows nothing of what
// else lies there.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "net/kafka/types.h"
#include "reactor/file.h"

namespace posthaste::broker {

// broker.meta, format 1 (docs/storage-format.md): lines of text "key=value", the last one the XXH3 of all before it.
struct NodeIdentity {
  std::string cluster_id;  // 22 characters of URL-safe base64, as Kafka's
  int32_t node_id = 0;
  net::kafka::Uuid directory_id;
  friend bool operator==(const NodeIdentity&, const NodeIdentity&) = default;
};

inline constexpr int32_t kIdentityFormatVersion = 1;

std::string encode_identity(const NodeIdentity& identity);
// kCorrupt: not such a file, or its checksum is wrong. kUnsupported: a newer format; nothing else of it is read.
reactor::Result<NodeIdentity> decode_identity(std::string_view text);

// Fresh random bytes, for ids.
std::array<uint8_t, 16> random_bytes(reactor::Core& core);

// The folder, locked and identified. The lock lives as long as the file is open.
struct OpenedFolder {
  reactor::File lock;
  NodeIdentity identity;
  bool created = false;
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

}  // namespace posthaste::broker
