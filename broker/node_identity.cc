#include "broker/node_identity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <vector>

#include "replication/metadata/topic_name.h"
#include "storage/bytes/xxh3.h"
#include "storage/engine.h"
#include "storage/folder_names.h"

namespace posthaste::broker {
namespace {

using net::kafka::Uuid;
using reactor::Core;
using reactor::Errc;
using reactor::failure;
using reactor::File;
using reactor::Result;
using reactor::Task;
using replication::make_topic_id;

constexpr std::string_view kMagic = "posthaste-broker-meta";
constexpr std::string_view kFileName = "broker.meta";
constexpr std::string_view kLockName = "broker.lock";
constexpr std::string_view kNewFileName = "broker.meta.new";
// More than any identity takes; a larger file is not one.
constexpr size_t kFileBytesMax = 4096;
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string checksum_line(std::string_view text) {
  return fmt::format("checksum={:016x}\n", storage::xxh3_64(storage::bytes_of(text)));
}

// Takes "key=value\n" off the front of `text`.
Result<std::string_view> take_line(std::string_view& text, std::string_view key) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return failure(Errc::kCorrupt);
  const std::string_view line = text.substr(0, end);
  if (line.size() <= key.size() || !line.starts_with(key) || line[key.size()] != '=') return failure(Errc::kCorrupt);
  text.remove_prefix(end + 1);
  return line.substr(key.size() + 1);
}

Result<int32_t> number(std::string_view text) {
  int32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return failure(Errc::kCorrupt);
  return value;
}

Result<Uuid> from_base64(std::string_view text) {
  constexpr size_t kCharacters = 22;
  if (text.size() != kCharacters) return failure(Errc::kCorrupt);
  Uuid id;
  uint32_t bits = 0;
  uint32_t held = 0;
  size_t at = 0;
  for (const char character : text) {
    const size_t value = kAlphabet.find(character);
    if (value == std::string_view::npos) return failure(Errc::kCorrupt);
    bits = bits << 6 | static_cast<uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    if (at < id.bytes.size()) id.bytes[at++] = static_cast<std::byte>(bits >> held & 0xffU);
  }
  return id;
}

FolderError error(Errc code, std::string message) { return {code, std::move(message)}; }

Task<Result<void>> make_with_parents(Core& core, std::string folder) {
  for (size_t slash = folder.find('/', 1);; slash = folder.find('/', slash + 1)) {
    const std::string prefix = folder.substr(0, slash);
    auto made = co_await reactor::file_system::make_directory(core, prefix);
    if (!made && made.error() != Errc::kExists) {
      // A parent that we may not write to may still be there.
      auto stat = co_await reactor::file_system::stat(core, prefix);
      if (!stat || !stat->is_directory) co_return made;
    }
    // Else a power loss takes the whole folder away, whatever was synced inside it. Also where it is there already: a
    // start that was killed may have made it just now. A parent that we may not open was made by another user.
    const size_t cut = prefix.rfind('/');
    auto synced = co_await reactor::file_system::sync_directory(core, cut == std::string::npos ? "."
                                                                      : cut == 0               ? "/"
                                                                                               : prefix.substr(0, cut));
    if (!synced && (made || synced.error() != Errc::kPermission)) co_return synced;
    if (slash == std::string::npos) co_return Result<void>{};
  }
}

// The part of the path that is there and is no folder.
Task<std::optional<std::string>> file_in_the_way(Core& core, std::string folder) {
  for (size_t slash = folder.find('/', 1);; slash = folder.find('/', slash + 1)) {
    std::string prefix = folder.substr(0, slash);
    const auto stat = co_await reactor::file_system::stat(core, prefix);
    if (stat && !stat->is_directory) co_return prefix;
    if (!stat || slash == std::string::npos) co_return std::nullopt;
  }
}

Task<FolderError> cannot_make(Core& core, std::string folder, Errc code) {
  if (const auto file = co_await file_in_the_way(core, folder)) {
    co_return error(code, fmt::format("{} is a file: pass a folder with --data", *file));
  }
  co_return error(code, fmt::format("cannot make the data folder {} ({}): make it writable for this user or pass "
                                    "another one with --data",
                                    folder, to_string(code)));
}

// The folder has just been made, or its name was there.
Task<FolderError> cannot_lock(Core& core, std::string folder, Errc code) {
  if (code == Errc::kBusy) {
    co_return error(code, fmt::format("the data folder {} is in use by another posthaste process: stop it, or pass "
                                      "another folder with --data",
                                      folder));
  }
  if (const auto file = co_await file_in_the_way(core, folder)) {
    co_return error(code, fmt::format("{} is a file: pass a folder with --data", *file));
  }
  if (code == Errc::kNotFound) {
    co_return error(code, fmt::format("{} is a link to something that is not there: make that folder, or pass another "
                                      "one with --data",
                                      folder));
  }
  co_return error(code, fmt::format("cannot write to the data folder {} ({}): make it writable for this user or pass "
                                    "another one with --data",
                                    folder, to_string(code)));
}

Task<Result<std::string>> read_file(Core& core, std::string path) {
  Result<File> file = co_await File::open(core, path, reactor::kOpenRead);
  if (!file) co_return failure(file.error());
  std::vector<std::byte> bytes(kFileBytesMax + 1);
  Result<uint64_t> read = co_await file->read(0, bytes, reactor::IoClass::kFileSystem);
  Result<void> closed = co_await file->close();
  if (!read) co_return failure(read.error());
  if (!closed) co_return failure(closed.error());
  if (*read > kFileBytesMax) co_return failure(Errc::kCorrupt);
  co_return std::string(reinterpret_cast<const char*>(bytes.data()), *read);
}

// The file appears whole and durable, or not at all.
Task<Result<void>> write_identity(Core& core, std::string folder, std::string text) {
  const std::string path = fmt::format("{}/{}", folder, kFileName);
  const std::string temporary = fmt::format("{}/{}", folder, kNewFileName);
  Result<File> file = co_await File::open(core, temporary, reactor::kOpenWrite | reactor::kOpenCreate);
  if (!file) co_return failure(file.error());
  Result<void> done = co_await file->truncate(0);
  if (done) {
    Result<uint64_t> written = co_await file->write(0, storage::bytes_of(text), 0, reactor::IoClass::kFileSystem);
    if (!written) done = failure(written.error());
  }
  if (done) done = co_await file->sync();
  Result<void> closed = co_await file->close();
  if (!done) co_return done;
  if (!closed) co_return closed;
  done = co_await reactor::file_system::rename(core, temporary, path);
  if (!done) co_return done;
  co_return co_await reactor::file_system::sync_directory(core, folder);
}

// What a folder may hold before the first start: hidden files, the folder of a file system's own, and what a first
// start that was killed has left.
bool is_no_content(std::string_view name) {
  return name.starts_with('.') || name == "lost+found" || name == kLockName || name == kNewFileName;
}

// Why a folder without an identity is not taken for a new one; nothing when it is empty. Its contents may be needed:
// nothing was changed.
std::optional<FolderError> not_empty(const std::string& folder, const std::vector<reactor::DirectoryEntry>& entries) {
  std::vector<std::string> found;
  for (const auto& entry : entries) {
    if (!is_no_content(entry.name)) found.push_back(entry.name);
  }
  if (found.empty()) return std::nullopt;
  std::ranges::sort(found);
  const auto has = [&](std::string_view name) { return std::ranges::find(found, name) != found.end(); };
  std::string_view whose = "is not empty and has no broker.meta, so it is not the data folder of a Posthaste broker";
  std::string_view remedy = "choose an empty folder with --data or log.dirs";
  if (has("meta.properties")) {
    whose = "is the data folder of an Apache Kafka broker";
  } else if (has("table-0.snap") || has("table-1.snap") || has("journal")) {
    whose = "holds the data of a Posthaste broker, but its broker.meta is missing";
    remedy = "restore broker.meta from a backup, or choose another folder with --data or log.dirs";
  }
  return error(Errc::kExists, fmt::format("{} {}: {}. Found: {}. Nothing was changed.", folder, whose, remedy,
                                          storage::some_of(found)));
}

// A command that writes the identity again that a store's tables name, for an operator who has lost it.
std::string how_to_restore(const std::string& folder, std::string owner) {
  std::ranges::replace(owner, ' ', '\n');
  std::string lines = fmt::format("{}={}\n{}\ntables=1\n", kMagic, kIdentityFormatVersion, owner);
  lines += checksum_line(lines);
  std::string escaped;
  for (const char c : lines) c == '\n' ? escaped.append("\\n") : escaped.append(1, c);
  return fmt::format("printf '{}' > {}/{}", escaped, folder, kFileName);
}

// The refusal of a folder that has everything but its identity.
Task<FolderError> with_remedy(Core& core, std::string folder, FolderError refused) {
  auto owner = co_await storage::EngineHost::owner_in_tables(core, folder);
  if (owner) {
    refused.message += fmt::format(" Its tables say that it belongs to {}. This writes {} again: {}", *owner, kFileName,
                                   how_to_restore(folder, *owner));
  }
  co_return refused;
}

FolderError unreadable(const std::string& folder, Errc code) {
  if (code == Errc::kUnsupported) {
    return error(code, fmt::format("{}/{} is of a newer format than this program knows: start it with the newer "
                                   "version that wrote it, or choose another folder. Nothing was changed.",
                                   folder, kFileName));
  }
  return error(code, fmt::format("{}/{} cannot be read ({}): restore it from a backup, or choose another folder. "
                                 "Nothing was changed.",
                                 folder, kFileName, to_string(code)));
}

}  // namespace

std::vector<std::string> identity_files() {
  return {std::string(kFileName), std::string(kLockName), std::string(kNewFileName)};
}

std::string encode_identity(const NodeIdentity& identity) {
  std::string text = fmt::format("{}={}\ncluster.id={}\nnode.id={}\ndirectory.id={}\ntables={}\n", kMagic,
                                 kIdentityFormatVersion, identity.cluster_id, identity.node_id,
                                 net::kafka::to_string(identity.directory_id), identity.has_tables ? 1 : 0);
  return text + checksum_line(text);
}

Result<NodeIdentity> decode_identity(std::string_view text) {
  const std::string_view whole = text;
  const std::string_view version_text = TRY(take_line(text, kMagic));
  const int32_t version = TRY(number(version_text));
  if (version > kIdentityFormatVersion) return failure(Errc::kUnsupported);
  if (version < 1) return failure(Errc::kCorrupt);
  NodeIdentity identity;
  identity.cluster_id = TRY(take_line(text, "cluster.id"));
  const std::string_view node = TRY(take_line(text, "node.id"));
  identity.node_id = TRY(number(node));
  const std::string_view directory = TRY(take_line(text, "directory.id"));
  identity.directory_id = TRY(from_base64(directory));
  if (version > 1) {
    const std::string_view tables = TRY(take_line(text, "tables"));
    identity.has_tables = TRY(number(tables)) != 0;
  }
  if (text != checksum_line(whole.substr(0, whole.size() - text.size()))) return failure(Errc::kCorrupt);
  return identity;
}

std::string store_owner(const NodeIdentity& identity) {
  return fmt::format("cluster.id={} node.id={} directory.id={}", identity.cluster_id, identity.node_id,
                     net::kafka::to_string(identity.directory_id));
}

namespace {
Task<Result<bool>> holds_store(Core& core, std::string folder, const NodeIdentity& identity) {
  if (identity.has_tables) co_return true;
  auto entries = co_await reactor::file_system::list_directory(core, folder);
  if (!entries) co_return failure(entries.error());
  co_return std::ranges::any_of(*entries, [](const auto& entry) { return storage::is_partition_folder(entry.name); });
}
}  // namespace

Task<Result<void>> note_tables(Core& core, std::string folder, NodeIdentity identity) {
  identity.has_tables = true;
  co_return co_await write_identity(core, std::move(folder), encode_identity(identity));
}

Task<std::expected<OpenedFolder, FolderError>> open_folder(Core& core, std::string folder,
                                                           std::optional<int32_t> node_id,
                                                           std::optional<std::string> cluster_id) {
  // With an identity inside, an earlier start has passed this check.
  const auto known = co_await reactor::file_system::stat(core, fmt::format("{}/{}", folder, kFileName));
  if (!known && known.error() == Errc::kNotFound) {
    const auto entries = co_await reactor::file_system::list_directory(core, folder);
    if (entries) {
      if (auto refused = not_empty(folder, *entries)) {
        co_return std::unexpected(co_await with_remedy(core, folder, std::move(*refused)));
      }
    } else if (entries.error() != Errc::kNotFound) {
      co_return std::unexpected(error(
          entries.error(), fmt::format("the data folder {} cannot be read ({}): make it a folder that this user may "
                                       "read and write, or pass another one with --data",
                                       folder, to_string(entries.error()))));
    }
  }
  Result<void> made;
  if (!known) made = co_await make_with_parents(core, folder);
  if (!made) co_return std::unexpected(co_await cannot_make(core, folder, made.error()));
  OpenedFolder opened;
  Result<File> lock = co_await File::open(core, fmt::format("{}/{}", folder, kLockName),
                                          reactor::kOpenWrite | reactor::kOpenCreate | reactor::kOpenLock);
  if (!lock) co_return std::unexpected(co_await cannot_lock(core, folder, lock.error()));
  opened.lock = *lock;
  const auto refuse = [&](FolderError why) -> Task<std::expected<OpenedFolder, FolderError>> {
    co_await opened.lock.close();
    co_return std::unexpected(std::move(why));
  };
  Result<std::string> text = co_await read_file(core, fmt::format("{}/{}", folder, kFileName));
  if (!text && text.error() != Errc::kNotFound) co_return co_await refuse(unreadable(folder, text.error()));
  if (!text) {
    opened.created = true;
    constexpr int32_t kFirstNodeId = 1;
    opened.identity = {.cluster_id = cluster_id ? *cluster_id : to_string(make_topic_id(core.random_bytes())),
                       .node_id = node_id.value_or(kFirstNodeId),
                       .directory_id = make_topic_id(core.random_bytes())};
    Result<void> written = co_await write_identity(core, folder, encode_identity(opened.identity));
    if (!written) {
      co_return co_await refuse(error(
          written.error(), fmt::format("cannot write {}/{} ({})", folder, kFileName, to_string(written.error()))));
    }
    co_return opened;
  }
  Result<NodeIdentity> identity = decode_identity(*text);
  if (!identity && identity.error() == Errc::kCorrupt) {
    co_return co_await refuse(co_await with_remedy(core, folder, unreadable(folder, identity.error())));
  }
  if (!identity) co_return co_await refuse(unreadable(folder, identity.error()));
  opened.identity = *identity;
  opened.older_format = !text->starts_with(fmt::format("{}={}\n", kMagic, kIdentityFormatVersion));
  auto has_store = co_await holds_store(core, folder, *identity);
  if (!has_store) co_return co_await refuse(unreadable(folder, has_store.error()));
  opened.has_store = *has_store;
  // Its name may be as new as a start that was killed. What follows relies on it.
  if (Result<void> synced = co_await reactor::file_system::sync_directory(core, folder); !synced) {
    co_return co_await refuse(unreadable(folder, synced.error()));
  }
  if (node_id && *node_id != identity->node_id) {
    co_return co_await refuse(
        error(Errc::kInvalidArgument, fmt::format("node.id is {}, but the data folder {} belongs to node {}: use its "
                                                  "number or another folder",
                                                  *node_id, folder, identity->node_id)));
  }
  co_return opened;
}

}  // namespace posthaste::broker
