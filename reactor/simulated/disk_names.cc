// Folders of the simulated disk: lookup, changes and which of them are durable.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "reactor/simulated/disk.h"

namespace posthaste::reactor::simulated {
namespace {

int64_t error(Errc e) { return -static_cast<int64_t>(e); }

// The next component of `path` from `at` on; empty at the end. "." and empty components are skipped.
std::string_view next_component(std::string_view path, size_t& at) {
  for (;;) {
    while (at < path.size() && path[at] == '/') ++at;
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view component = path.substr(at, end - at);
    at = end;
    if (component != ".") return component;
  }
}

}  // namespace

Result<Disk::InodeId> Disk::find(std::string_view path) const {
  InodeId at = kRoot;
  size_t position = 0;
  for (;;) {
    const std::string_view component = next_component(path, position);
    if (component.empty()) return at;
    const auto entry = inodes_[at].entries.find(component);  // a file has no entries: not found, as ENOTDIR is
    if (entry == inodes_[at].entries.end()) return failure(Errc::kNotFound);
    at = entry->second;
  }
}

Result<Disk::Parent> Disk::parent_of(std::string_view path) const {
  InodeId at = kRoot;
  size_t position = 0;
  std::string_view name = next_component(path, position);
  if (name.empty()) return failure(Errc::kInvalidArgument);
  for (;;) {
    const std::string_view next = next_component(path, position);
    if (next.empty()) break;
    const auto entry = inodes_[at].entries.find(name);
    if (entry == inodes_[at].entries.end()) return failure(Errc::kNotFound);
    at = entry->second;
    name = next;
  }
  if (!inodes_[at].is_directory) return failure(Errc::kNotFound);
  return Parent{at, std::string(name)};
}

Disk::InodeId Disk::new_inode(bool is_directory) {
  InodeId id = 0;
  if (free_inodes_.empty()) {
    id = static_cast<InodeId>(inodes_.size());
    inodes_.emplace_back();
  } else {
    id = free_inodes_.back();
    free_inodes_.pop_back();
  }
  inodes_[id].used = true;
  inodes_[id].is_directory = is_directory;
  return id;
}

uint64_t Disk::pages_for_name(InodeId folder, const std::string& name) const {
  const auto& entries = inodes_[folder].entries;
  return entries.contains(name) ? 0 : folder_pages(entries.size() + 1) - folder_pages(entries.size());
}

void Disk::link(InodeId folder, const std::string& name, InodeId inode) {
  used_pages_ += pages_for_name(folder, name);
  inodes_[folder].entries[name] = inode;
  ++inodes_[inode].links;
}

void Disk::unlink(InodeId folder, const std::string& name) {
  const auto entry = inodes_[folder].entries.find(name);
  const InodeId id = entry->second;
  inodes_[folder].entries.erase(entry);
  used_pages_ -= pages_for_name(folder, name);
  --inodes_[id].links;
  drop_if_unused(id);
}

// Its space is free now; its bytes stay until no durable folder can name it any more (sweep).
void Disk::drop_if_unused(InodeId id) {
  Inode& inode = inodes_[id];
  if (inode.links > 0 || inode.opens > 0) return;
  if (inode.is_directory) --used_pages_;
  for (const PageRef& page : inode.current) {
    if (!page.is_hole()) --used_pages_;
  }
  ++orphans_;
}

void Disk::sweep() {
  if (orphans_ < kSweepAfterOrphans) return;
  std::vector<bool> named(inodes_.size());
  named[kRoot] = true;
  for (const Inode& inode : inodes_) {
    for (const auto& [name, id] : inode.entries) named[id] = true;
    for (const auto& [name, id] : inode.durable_entries) named[id] = true;
  }
  for (const NameOperation& operation : pending_names_) {
    for (const NameChange* change : {&operation.first, &operation.second}) {
      if (change->folder != kNoInode) named[change->folder] = true;
      if (change->inode != kNoInode) named[change->inode] = true;
    }
  }
  orphans_ = 0;
  for (InodeId id = 0; id < inodes_.size(); ++id) {
    if (!inodes_[id].used || inodes_[id].opens > 0 || inodes_[id].links > 0) continue;
    if (named[id]) {
      ++orphans_;
    } else {
      inodes_[id] = Inode{};
      free_inodes_.push_back(id);
    }
  }
}

int64_t Disk::open(const Op& op) {
  const auto parent = parent_of(op.path);
  const bool is_root = !parent && parent.error() == Errc::kInvalidArgument;
  if (!parent && !is_root) return error(parent.error());
  InodeId id = kRoot;
  if (!is_root) {
    const auto& entries = inodes_[parent->folder].entries;
    const auto entry = entries.find(parent->name);
    id = entry == entries.end() ? kNoInode : entry->second;
  }
  const bool create = (op.flags & kOpenCreate) != 0;
  if (id == kNoInode && !create) return error(Errc::kNotFound);
  if (id != kNoInode && create && (op.flags & kOpenExclusive) != 0) return error(Errc::kExists);
  if (id != kNoInode) {
    const Inode& inode = inodes_[id];
    if ((op.flags & kOpenDirectory) != 0 && !inode.is_directory) return error(Errc::kNotFound);
    if (inode.is_directory && (op.flags & (kOpenWrite | kOpenCreate)) != 0) return error(Errc::kIoError);
    if ((op.flags & kOpenLock) != 0 && inode.locked_by != kNoHandle) return error(Errc::kBusy);
  }
  if (open_.size() - free_handles_.size() >= options_.open_files_max) return error(Errc::kTooManyFiles);
  if (id == kNoInode) {
    if (!has_room(pages_for_name(parent->folder, parent->name))) return error(Errc::kNoSpace);
    id = new_inode(false);
    link(parent->folder, parent->name, id);
    pending_names_.push_back({{parent->folder, parent->name, id}, {}});
  }
  Handle handle = 0;
  if (free_handles_.empty()) {
    handle = static_cast<Handle>(open_.size());
    open_.emplace_back();
  } else {
    handle = free_handles_.back();
    free_handles_.pop_back();
  }
  open_[handle] = {.used = true, .inode = id, .flags = op.flags, .path = op.path};
  ++inodes_[id].opens;
  if ((op.flags & kOpenLock) != 0) inodes_[id].locked_by = handle;
  return handle;
}

int64_t Disk::close(Handle file) {
  const InodeId id = open_[file].inode;
  Inode& inode = inodes_[id];
  if (inode.locked_by == file) inode.locked_by = kNoHandle;
  open_[file] = {};
  free_handles_.push_back(file);
  --inode.opens;
  if (inode.links == 0) drop_if_unused(id);
  return 0;
}

int64_t Disk::rename(const char* from, const char* to) {
  const auto source = parent_of(from);
  const auto target = parent_of(to);
  if (!source) return error(source.error());
  const auto found = inodes_[source->folder].entries.find(source->name);
  if (found == inodes_[source->folder].entries.end()) return error(Errc::kNotFound);
  if (!target) return error(target.error());
  const InodeId id = found->second;
  const auto& entries = inodes_[target->folder].entries;
  if (const auto old = entries.find(target->name); old != entries.end()) {
    const Inode& replaced = inodes_[old->second];
    if (old->second == id) return 0;
    if (replaced.is_directory != inodes_[id].is_directory) {
      return error(replaced.is_directory ? Errc::kIoError : Errc::kNotFound);  // EISDIR, ENOTDIR
    }
    if (!replaced.entries.empty()) return error(Errc::kExists);
    unlink(target->folder, target->name);
  } else if (!has_room(pages_for_name(target->folder, target->name))) {
    return error(Errc::kNoSpace);
  }
  ++inodes_[id].links;  // so that it is not an orphan between the two steps
  unlink(source->folder, source->name);
  link(target->folder, target->name, id);
  --inodes_[id].links;
  pending_names_.push_back({{source->folder, source->name, kNoInode}, {target->folder, target->name, id}});
  return 0;
}

int64_t Disk::remove(const char* path, bool directory) {
  const auto parent = parent_of(path);
  if (!parent) return error(parent.error());
  const auto& entries = inodes_[parent->folder].entries;
  const auto entry = entries.find(parent->name);
  if (entry == entries.end()) return error(Errc::kNotFound);
  const Inode& inode = inodes_[entry->second];
  if (inode.is_directory && !directory) return error(Errc::kIoError);   // EISDIR
  if (!inode.is_directory && directory) return error(Errc::kNotFound);  // ENOTDIR
  if (!inode.entries.empty()) return error(Errc::kExists);              // ENOTEMPTY
  unlink(parent->folder, parent->name);
  pending_names_.push_back({{parent->folder, parent->name, kNoInode}, {}});
  return 0;
}

int64_t Disk::make_directory(const char* path) {
  const auto parent = parent_of(path);
  if (!parent) return error(parent.error() == Errc::kInvalidArgument ? Errc::kExists : parent.error());
  if (inodes_[parent->folder].entries.contains(parent->name)) return error(Errc::kExists);
  if (!has_room(1 + pages_for_name(parent->folder, parent->name))) return error(Errc::kNoSpace);
  const InodeId id = new_inode(true);
  ++used_pages_;
  link(parent->folder, parent->name, id);
  pending_names_.push_back({{parent->folder, parent->name, id}, {}});
  return 0;
}

void Disk::apply_durably(const NameOperation& operation) {
  for (const NameChange* change : {&operation.first, &operation.second}) {
    if (change->folder == kNoInode) continue;
    auto& entries = inodes_[change->folder].durable_entries;
    if (change->inode == kNoInode) {
      entries.erase(change->name);
    } else {
      entries[change->name] = change->inode;
    }
  }
}

// What touched this folder becomes durable, and with it what came before in any other folder that it also touched.
void Disk::sync_folder(InodeId id) {
  std::set<InodeId> folders{id};
  std::vector<bool> taken(pending_names_.size());
  for (size_t i = pending_names_.size(); i-- > 0;) {
    const NameOperation& operation = pending_names_[i];
    if (std::ranges::none_of(folders, [&](InodeId folder) { return operation.touches(folder); })) continue;
    taken[i] = true;
    folders.insert(operation.first.folder);
    if (operation.second.folder != kNoInode) folders.insert(operation.second.folder);
  }
  std::vector<NameOperation> left;
  for (size_t i = 0; i < taken.size(); ++i) {
    if (taken[i]) {
      apply_durably(pending_names_[i]);
    } else {
      left.push_back(std::move(pending_names_[i]));
    }
  }
  pending_names_ = std::move(left);
  sweep();
}

// --- Direct access.

void Disk::make_directories(std::string_view path) {
  InodeId at = kRoot;
  size_t position = 0;
  for (;;) {
    const std::string name(next_component(path, position));
    if (name.empty()) return;
    const auto entry = inodes_[at].entries.find(name);
    InodeId next = entry == inodes_[at].entries.end() ? kNoInode : entry->second;
    if (next == kNoInode) {
      next = new_inode(true);
      ++used_pages_;
      link(at, name, next);
    }
    inodes_[at].durable_entries[name] = next;
    at = next;
  }
}

void Disk::write_file(std::string_view path, std::span<const std::byte> bytes) {
  if (const size_t slash = path.rfind('/'); slash != std::string_view::npos) make_directories(path.substr(0, slash));
  const auto parent = parent_of(path);
  CHECK(parent.has_value(), "no folder for {}", path);
  auto& entries = inodes_[parent->folder].entries;
  if (const auto old = entries.find(parent->name); old != entries.end()) unlink(parent->folder, parent->name);
  const InodeId id = new_inode(false);
  link(parent->folder, parent->name, id);
  inodes_[parent->folder].durable_entries[parent->name] = id;
  Inode& inode = inodes_[id];
  for (size_t at = 0; at < bytes.size(); at += kPageBytes) {
    const size_t piece = std::min(kPageBytes, bytes.size() - at);
    PageRef page = PageRef::copy_of({});
    std::memcpy(page.write(), bytes.data() + at, piece);
    inode.current.push_back(std::move(page));
  }
  used_pages_ += inode.current.size();
  inode.durable = inode.current;
  inode.size = inode.durable_size = bytes.size();
}

Result<std::vector<std::byte>> Disk::read_file(std::string_view path) const {
  const auto id = find(path);
  if (!id) return failure(id.error());
  const Inode& inode = inodes_[*id];
  if (inode.is_directory) return failure(Errc::kIoError);
  std::vector<std::byte> bytes(inode.size);
  for (size_t at = 0; at < bytes.size(); at += kPageBytes) {
    const PageRef& page = page_at(inode.current, at / kPageBytes);
    if (!page.is_hole()) std::memcpy(bytes.data() + at, page.read(), std::min(kPageBytes, bytes.size() - at));
  }
  return bytes;
}

Result<FileStat> Disk::stat(std::string_view path) const {
  const auto id = find(path);
  if (!id) return failure(id.error());
  return FileStat{.size_bytes = inodes_[*id].size, .is_directory = inodes_[*id].is_directory, .identity = *id};
}

Result<std::vector<DirectoryEntry>> Disk::list(std::string_view path) const {
  const auto id = find(path);
  if (!id) return failure(id.error());
  if (!inodes_[*id].is_directory) return failure(Errc::kNotFound);
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, inode] : inodes_[*id].entries) entries.push_back({name, inodes_[inode].is_directory});
  return entries;
}

void Disk::collect_files(InodeId folder, const std::string& prefix, std::vector<std::string>& out) const {
  for (const auto& [name, id] : inodes_[folder].entries) {
    if (inodes_[id].is_directory) {
      collect_files(id, prefix + name + "/", out);
    } else {
      out.push_back(prefix + name);
    }
  }
}

std::vector<std::string> Disk::all_files() const {
  std::vector<std::string> files;
  collect_files(kRoot, "/", files);
  std::ranges::sort(files);
  return files;
}

uint64_t Disk::content_hash() const {
  uint64_t hash = 0;
  for (const std::string& path : all_files()) {
    hash = mix64(hash ^ XXH3_64bits(path.data(), path.size()));
    const auto bytes = read_file(path);
    hash = mix64(hash ^ XXH3_64bits(bytes->data(), bytes->size()));
  }
  return hash;
}

}  // namespace posthaste::reactor::simulated
