// Operations on open files and their durability. Names: disk_names.cc. Deaths: disk_crash.cc.
#include "reactor/simulated/disk.h"

#include <algorithm>
#include <cstring>

namespace posthaste::reactor::simulated {
namespace {

int64_t error(Errc e) { return -static_cast<int64_t>(e); }

void copy_or_zero(std::byte* to, const PageRef& from, size_t offset, size_t bytes) {
  if (from.is_hole()) {
    std::memset(to, 0, bytes);
  } else {
    std::memcpy(to, from.read() + offset, bytes);
  }
}

bool on_open_file(OpKind kind) {
  switch (kind) {
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kSync:
    case OpKind::kAllocate:
    case OpKind::kTruncate:
    case OpKind::kClose:
      return true;
    default:
      return false;
  }
}

}  // namespace

Disk::Disk(DiskOptions options, uint64_t seed) : options_(options), random_(seed), zero_page_(PageRef::copy_of({})) {
  new_inode(true);  // the root
  inodes_[kRoot].links = 1;
}

Disk::Disk(const Disk& other)
    : options_(other.options_),
      stats_(other.stats_),
      random_(other.random_),
      zero_page_(other.zero_page_),
      inodes_(other.inodes_),
      free_inodes_(other.free_inodes_),
      orphans_(other.orphans_),
      used_pages_(other.used_pages_),
      pending_names_(other.pending_names_),
      faults_(other.faults_) {
  for (Inode& inode : inodes_) {
    inode.opens = 0;
    inode.syncs_in_flight = 0;
    inode.locked_by = kNoHandle;
  }
}

Disk::Ticket Disk::begin(Op& op, Handle file) {
  ++stats_.operations;
  if (op.kind == OpKind::kWrite) note_overlap(op, file);
  if (op.kind == OpKind::kSync && is_open(file)) {
    Inode& inode = inodes_[open_[file].inode];
    if (++inode.syncs_in_flight > 1) inode.frozen.clear();  // several at once: what is written meanwhile counts for all
  }
  Ticket ticket = 0;
  if (free_tickets_.empty()) {
    ticket = static_cast<Ticket>(in_flight_.size());
    in_flight_.emplace_back();
  } else {
    ticket = free_tickets_.back();
    free_tickets_.pop_back();
  }
  in_flight_[ticket] = {&op, file};
  ++in_flight_count_;
  return ticket;
}

void Disk::withdraw(Ticket ticket) {
  InFlight& flight = in_flight_[ticket];
  CHECK(flight.op != nullptr);
  if (flight.op->kind == OpKind::kSync && is_open(flight.file)) {
    Inode& inode = inodes_[open_[flight.file].inode];
    if (--inode.syncs_in_flight == 0) inode.frozen.clear();
  }
  flight = {};
  free_tickets_.push_back(ticket);
  --in_flight_count_;
}

int64_t Disk::complete(Ticket ticket) {
  const InFlight flight = in_flight_[ticket];
  CHECK(flight.op != nullptr);
  const int64_t result = execute(*flight.op, flight.file);
  // A close takes the handle with it, so the ticket goes first there; nothing else looks at the file again.
  withdraw(ticket);
  return result;
}

std::string Disk::describe_in_flight() const {
  constexpr const char* kNames[] = {"open",
                                    "close",
                                    "read",
                                    "write",
                                    "sync",
                                    "allocate",
                                    "truncate",
                                    "rename",
                                    "unlink",
                                    "make_directory",
                                    "remove_directory",
                                    "list_directory",
                                    "stat",
                                    "space"};
  std::string text;
  for (const InFlight& flight : in_flight_) {
    if (flight.op == nullptr) continue;
    const Op& op = *flight.op;
    if (!text.empty()) text += ", ";
    text += kNames[static_cast<size_t>(op.kind)];
    if (is_open(flight.file)) {
      text += fmt::format(" {} {}+{}", open_[flight.file].path, op.offset,
                          std::max(op.length, SliceCursor::total(op.slices, op.slice_count)));
    } else if (op.path != nullptr) {
      text += fmt::format(" {}", op.path);
    }
  }
  return text.empty() ? "nothing" : text;
}

std::optional<Errc> Disk::injected_error(const Op& op, Handle file) {
  for (FaultRule& rule : faults_) {
    if (rule.kind != op.kind || rule.count == 0) continue;
    const std::string_view path = is_open(file) ? std::string_view(open_[file].path) : (op.path ? op.path : "");
    if (!rule.path_contains.empty() && path.find(rule.path_contains) == std::string_view::npos) continue;
    if (rule.skip > 0) {
      --rule.skip;
      continue;
    }
    if (rule.count != UINT32_MAX) --rule.count;
    ++stats_.errors_injected;
    return rule.error;
  }
  return std::nullopt;
}

int64_t Disk::execute(Op& op, Handle file) {
  const bool needs_file = on_open_file(op.kind);
  if (needs_file && !is_open(file)) return error(Errc::kIoError);
  if (const auto injected = faults_.empty() ? std::nullopt : injected_error(op, file)) {
    // A failed write may have left its bytes or not: nobody knows.
    if (op.kind == OpKind::kWrite && random_.below(2) == 0) write(op, open_[file], false);
    return error(*injected);
  }
  if (op.kind == OpKind::kClose) return close(file);
  if (needs_file) return execute_on_file(op, open_[file]);
  switch (op.kind) {
    case OpKind::kOpen:
      return open(op);
    case OpKind::kRename:
      return rename(op.path, op.path2);
    case OpKind::kUnlink:
      return remove(op.path, false);
    case OpKind::kRemoveDirectory:
      return remove(op.path, true);
    case OpKind::kMakeDirectory:
      return make_directory(op.path);
    case OpKind::kListDirectory: {
      auto entries = list(op.path);
      if (!entries) return error(entries.error());
      *static_cast<std::vector<DirectoryEntry>*>(op.out) = std::move(*entries);
      return 0;
    }
    case OpKind::kStat: {
      const auto found = stat(op.path);
      if (!found) return error(found.error());
      *static_cast<FileStat*>(op.out) = *found;
      return 0;
    }
    case OpKind::kSpace: {
      if (const auto found = find(op.path); !found) return error(found.error());
      const uint64_t available = options_.capacity_bytes - std::min(options_.capacity_bytes, bytes_used());
      *static_cast<SpaceStat*>(op.out) = {options_.capacity_bytes, available};
      return 0;
    }
    default:
      return error(Errc::kInvalidArgument);
  }
}

int64_t Disk::execute_on_file(Op& op, OpenFile& file) {
  Inode& inode = inodes_[file.inode];
  const bool writable = (file.flags & kOpenWrite) != 0 && !inode.is_directory;
  switch (op.kind) {
    case OpKind::kRead:
      return read(op, file);
    case OpKind::kWrite:
      return write(op, file, (op.flags & kWriteDurable) != 0);
    case OpKind::kSync:
      sync(file.inode);
      return 0;
    case OpKind::kAllocate:
      if (!writable) return error(Errc::kIoError);
      if (op.length == 0) return error(Errc::kInvalidArgument);
      return allocate(inode, op.offset, op.length);
    case OpKind::kTruncate:
      if (!writable) return error(Errc::kInvalidArgument);
      set_size(inode, op.length);
      return 0;
    default:
      return error(Errc::kInvalidArgument);
  }
}

bool Disk::aligned(const Op& op) const {
  if (op.offset % kBlockBytes != 0) return false;
  for (uint32_t i = 0; i < op.slice_count; ++i) {
    if (op.slices[i].size % kBlockBytes != 0) return false;
    if (reinterpret_cast<uintptr_t>(op.slices[i].data) % kBlockBytes != 0) return false;
  }
  return true;
}

int64_t Disk::read(const Op& op, const OpenFile& file) {
  const Inode& inode = inodes_[file.inode];
  if (inode.is_directory) return error(Errc::kIoError);
  if ((file.flags & kOpenDirect) != 0 && !aligned(op)) return error(Errc::kInvalidArgument);
  const uint64_t wanted = SliceCursor::total(op.slices, op.slice_count);
  if (op.offset >= inode.size) return 0;
  const uint64_t bytes = std::min(wanted, inode.size - op.offset);
  for (const auto& [begin, end] : inode.unreadable) {
    if (begin < op.offset + bytes && op.offset < end) {
      ++stats_.unreadable_hits;
      return error(Errc::kIoError);
    }
  }
  SliceCursor cursor(op.slices, op.slice_count);
  for (uint64_t at = op.offset; at < op.offset + bytes;) {
    const size_t in_page = at % kPageBytes;
    const size_t piece = std::min<uint64_t>(kPageBytes - in_page, op.offset + bytes - at);
    const PageRef& page = page_at(inode.current, at / kPageBytes);
    size_t from = in_page;
    cursor.next(piece, [&](std::byte* to, size_t size) {
      copy_or_zero(to, page, from, size);
      from += size;
    });
    at += piece;
  }
  stats_.bytes_read += bytes;
  return static_cast<int64_t>(bytes);
}

uint64_t Disk::new_pages_needed(const Inode& inode, uint64_t offset, uint64_t length) const {
  uint64_t needed = 0;
  for (uint64_t page = offset / kPageBytes; page * kPageBytes < offset + length; ++page) {
    if (page_at(inode.current, page).is_hole()) ++needed;
  }
  return needed;
}

int64_t Disk::write(const Op& op, const OpenFile& file, bool durable) {
  Inode& inode = inodes_[file.inode];
  if ((file.flags & kOpenWrite) == 0 || inode.is_directory) return error(Errc::kIoError);
  if ((file.flags & kOpenDirect) != 0 && !aligned(op)) return error(Errc::kInvalidArgument);
  const uint64_t bytes = SliceCursor::total(op.slices, op.slice_count);
  if (bytes == 0) return 0;
  if (!has_room(new_pages_needed(inode, op.offset, bytes))) return error(Errc::kNoSpace);
  if (durable && lied()) durable = false;
  const uint64_t end = op.offset + bytes;
  SliceCursor cursor(op.slices, op.slice_count);
  for (uint64_t at = op.offset; at < end;) {
    const size_t from = at % kPageBytes;
    const size_t piece = std::min<uint64_t>(kPageBytes - from, end - at);
    PageRef fresh = piece == kPageBytes ? PageRef::raw() : PageRef::copy_of(page_at(inode.current, at / kPageBytes));
    std::byte* to = fresh.write() + from;
    cursor.next(piece, [&](const std::byte* source, size_t size) {
      std::memcpy(to, source, size);
      to += size;
    });
    write_page(inode, at / kPageBytes, from, from + piece, fresh, durable);
    at += piece;
  }
  inode.size = std::max(inode.size, end);
  if (durable) inode.durable_size = std::max(inode.durable_size, end);
  if (!inode.unreadable.empty()) {
    std::vector<std::pair<uint64_t, uint64_t>> left;
    for (const auto& [begin, stop] : inode.unreadable) {
      if (begin < std::min(stop, op.offset)) left.emplace_back(begin, std::min(stop, op.offset));
      if (std::max(begin, end) < stop) left.emplace_back(std::max(begin, end), stop);
    }
    inode.unreadable = std::move(left);
  }
  stats_.bytes_written += bytes;
  return static_cast<int64_t>(bytes);
}

// Bytes [from, to) of the page are new in `fresh`; the rest of it is as in the current page.
void Disk::write_page(Inode& inode, size_t page, size_t from, size_t to, const PageRef& fresh, bool durable) {
  PageRef& current = page_slot(inode.current, page);
  if (current.is_hole()) ++used_pages_;
  if (durable) {
    const bool was_clean = current == page_at(inode.durable, page);
    PageRef& stable = page_slot(inode.durable, page);
    const size_t first = from / kSectorBytes * kSectorBytes;
    const size_t last = (to + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
    if (was_clean || (first == 0 && last == kPageBytes)) {
      stable = fresh;
    } else {
      std::memcpy(stable.write() + first, fresh.read() + first, last - first);
    }
    if (const auto frozen = inode.frozen.find(page); frozen != inode.frozen.end()) {
      std::memcpy(frozen->second.write() + first, fresh.read() + first, last - first);
    }
  } else {
    inode.dirty = true;
    if (inode.syncs_in_flight == 1) inode.frozen.try_emplace(page, current);
  }
  current = fresh;
}

int64_t Disk::allocate(Inode& inode, uint64_t offset, uint64_t length) {
  const uint64_t needed = new_pages_needed(inode, offset, length);
  if (!has_room(needed)) return error(Errc::kNoSpace);
  const uint64_t end = offset + length;
  for (uint64_t page = offset / kPageBytes; page * kPageBytes < end; ++page) {
    PageRef& slot = page_slot(inode.current, page);
    if (slot.is_hole()) slot = zero_page_;
  }
  used_pages_ += needed;
  inode.size = std::max(inode.size, end);
  inode.dirty = true;
  return 0;
}

void Disk::set_size(Inode& inode, uint64_t length) {
  inode.dirty = true;
  if (length < inode.size) {
    inode.frozen.clear();
    const size_t pages = (length + kPageBytes - 1) / kPageBytes;
    for (size_t i = pages; i < inode.current.size(); ++i) {
      if (!inode.current[i].is_hole()) --used_pages_;
    }
    if (inode.current.size() > pages) inode.current.resize(pages);
  }
  inode.size = length;
  clear_tail(inode);
}

bool Disk::lied() {
  if (options_.lying_flush) ++stats_.flushes_lied;
  return options_.lying_flush;
}

void Disk::sync(InodeId id) {
  if (lied()) return;
  Inode& inode = inodes_[id];
  if (inode.is_directory) return sync_folder(id);
  if (!inode.dirty) return;
  inode.durable = inode.current;
  for (const auto& [page, before] : inode.frozen) {
    if (page < inode.durable.size()) inode.durable[page] = before;
  }
  inode.durable_size = inode.size;
  inode.dirty = !inode.frozen.empty();
}

void Disk::note_overlap(const Op& op, Handle file) {
  if (!is_open(file)) return;
  const auto first = [](const Op& o) { return o.offset / kBlockBytes; };
  const auto last = [](const Op& o) {
    return (o.offset + SliceCursor::total(o.slices, o.slice_count) + kBlockBytes - 1) / kBlockBytes;
  };
  for (const InFlight& other : in_flight_) {
    if (other.op == nullptr || other.op->kind != OpKind::kWrite || !is_open(other.file)) continue;
    if (open_[other.file].inode != open_[file].inode) continue;
    if (first(op) < last(*other.op) && first(*other.op) < last(op)) ++stats_.overlapping_writes;
  }
}

bool Disk::flip_bit(std::string_view path, uint64_t byte_offset, uint32_t bit) {
  const auto id = find(path);
  if (!id || inodes_[*id].is_directory || byte_offset >= inodes_[*id].size) return false;
  Inode& inode = inodes_[*id];
  const size_t page = byte_offset / kPageBytes;
  const auto mask = static_cast<std::byte>(1U << (bit % 8));
  PageRef& current = page_slot(inode.current, page);
  if (current.is_hole()) ++used_pages_;
  const bool clean = current == page_at(inode.durable, page);
  current.write()[byte_offset % kPageBytes] ^= mask;
  if (clean) {
    page_slot(inode.durable, page) = current;
  } else if (byte_offset < inode.durable_size) {
    page_slot(inode.durable, page).write()[byte_offset % kPageBytes] ^= mask;
  }
  ++stats_.bits_flipped;
  return true;
}

bool Disk::fail_reads(std::string_view path, uint64_t offset, uint64_t length) {
  const auto id = find(path);
  if (!id || inodes_[*id].is_directory) return false;
  inodes_[*id].unreadable.emplace_back(offset, offset + length);
  return true;
}

}  // namespace posthaste::reactor::simulated
