// What the death of a host leaves on its disk.
#include <algorithm>
#include <cstring>
#include <set>

#include "reactor/simulated/disk.h"

namespace posthaste::reactor::simulated {
namespace {

Fate draw(Random& random, Fate fate) {
  if (fate != Fate::kAny) return fate;
  constexpr Fate kFates[] = {Fate::kKept, Fate::kLost, Fate::kPrefix, Fate::kSubset, Fate::kGarbage};
  return kFates[random.below(std::size(kFates))];
}

bool coin(Random& random, Fate fate) {
  if (fate == Fate::kKept) return true;
  if (fate == Fate::kLost) return false;
  return random.below(2) == 0;
}

// Operations that leave something behind; the others only look.
bool changes_disk(const Op& op) {
  switch (op.kind) {
    case OpKind::kSync:
    case OpKind::kAllocate:
    case OpKind::kTruncate:
    case OpKind::kRename:
    case OpKind::kUnlink:
    case OpKind::kMakeDirectory:
    case OpKind::kRemoveDirectory:
      return true;
    case OpKind::kOpen:
      return (op.flags & kOpenCreate) != 0;
    default:
      return false;
  }
}

void fill_with_garbage(std::byte* to, size_t bytes, Random& random) {
  for (size_t i = 0; i < bytes; i += sizeof(uint64_t)) {
    const uint64_t word = random.next();
    std::memcpy(to + i, &word, sizeof word);
  }
}

}  // namespace

uint64_t Disk::pages_of(InodeId id) const {
  const Inode& inode = inodes_[id];
  if (inode.is_directory) return folder_pages(inode.entries.size()) + (id == kRoot ? 0 : 1);
  return static_cast<uint64_t>(std::ranges::count_if(inode.current, [](auto& page) { return !page.is_hole(); }));
}

Disk Disk::crash_image(Random& random, const CrashPolicy& policy) const {
  Disk image(*this);
  image.random_ = random.fork();
  std::vector<InFlight> flights;
  for (const InFlight& flight : in_flight_) {
    if (flight.op != nullptr) flights.push_back(flight);
  }
  random.shuffle(flights);
  for (const InFlight& flight : flights) {
    if (!changes_disk(*flight.op) || !coin(random, policy.in_flight)) continue;
    if (flight.file == kNoHandle) {
      image.execute(*flight.op, kNoHandle);
    } else if (is_open(flight.file)) {
      OpenFile file = open_[flight.file];
      image.execute_on_file(*flight.op, file);
    }
  }
  image.lose_names(random, policy.names);
  for (Inode& inode : image.inodes_) {
    if (inode.used && !inode.is_directory) image.lose_bytes(inode, random, policy.completed);
  }
  // After the bytes of completed writes are settled: what is in flight comes last.
  for (const InFlight& flight : flights) {
    if (flight.op->kind != OpKind::kWrite || !is_open(flight.file)) continue;
    image.land_in_flight(*flight.op, open_[flight.file], random, policy);
  }
  for (Inode& inode : image.inodes_) {
    inode.dirty = false;
    inode.durable = inode.current;
    inode.durable_size = inode.size;
  }
  image.forget_the_process();
  return image;
}

Disk Disk::killed_image(Random& random) const {
  Disk image(*this);
  image.random_ = random.fork();
  image.inodes_ = inodes_;  // with what is open and being synced
  image.open_ = open_;
  image.free_handles_ = free_handles_;
  image.in_flight_ = in_flight_;
  image.process_died(random);
  return image;
}

void Disk::process_died(Random& random) {
  std::vector<InFlight> flights;
  for (const InFlight& flight : in_flight_) {
    if (flight.op != nullptr) flights.push_back(flight);
  }
  random.shuffle(flights);
  const std::vector<OpenFile> open_files = open_;  // an open in flight may add one
  for (const InFlight& flight : flights) {
    if (changes_disk(*flight.op) && random.below(2) == 0) {
      if (flight.file == kNoHandle) {
        execute(*flight.op, kNoHandle);
      } else if (is_open(flight.file)) {
        OpenFile file = open_files[flight.file];
        execute_on_file(*flight.op, file);
      }
    } else if (flight.op->kind == OpKind::kWrite && is_open(flight.file)) {
      CrashPolicy policy;
      constexpr Fate kFates[] = {Fate::kKept, Fate::kLost, Fate::kPrefix, Fate::kSubset};
      policy.in_flight = kFates[random.below(std::size(kFates))];
      land_in_flight(*flight.op, open_files[flight.file], random, policy);
    }
  }
  for (Inode& inode : inodes_) {
    inode.opens = 0;
    inode.syncs_in_flight = 0;
    inode.frozen.clear();
    inode.locked_by = kNoHandle;
  }
  open_.clear();
  free_handles_.clear();
  in_flight_.clear();
  free_tickets_.clear();
  in_flight_count_ = 0;
  used_pages_ = 0;
  for (InodeId id = 0; id < inodes_.size(); ++id) {
    if (inodes_[id].links > 0) used_pages_ += pages_of(id);
  }
  orphans_ = kSweepAfterOrphans;
  sweep();
}

void Disk::lose_names(Random& random, Fate fate) {
  std::set<InodeId> cut;
  // How early the cut comes varies from crash to crash.
  const uint32_t cut_chance = 1'000'000U >> random.below(6);
  for (const NameOperation& operation : pending_names_) {
    bool lost = fate == Fate::kLost || cut.contains(operation.first.folder) || cut.contains(operation.second.folder);
    if (!lost && fate != Fate::kKept) lost = random.chance(cut_chance);
    if (!lost) {
      apply_durably(operation);
      continue;
    }
    cut.insert(operation.first.folder);
    if (operation.second.folder != kNoInode) cut.insert(operation.second.folder);
  }
  pending_names_.clear();
  for (Inode& inode : inodes_) inode.entries = inode.durable_entries;
}

void Disk::lose_bytes(Inode& inode, Random& random, Fate fate) {
  if (!inode.dirty) return;
  uint64_t size = inode.size;
  if (fate == Fate::kLost) {
    size = inode.durable_size;
  } else if (fate != Fate::kKept && inode.size != inode.durable_size) {
    const auto [least, most] = std::minmax(inode.size, inode.durable_size);
    const uint64_t choice = random.below(3);
    if (choice == 0) size = inode.durable_size;
    if (choice == 1) size = std::max(least, (least + random.below(most - least)) / kSectorBytes * kSectorBytes);
  }
  const size_t pages = (size + kPageBytes - 1) / kPageBytes;
  Pages left(pages);
  for (size_t i = 0; i < pages; ++i) {
    const PageRef& now = page_at(inode.current, i);
    const PageRef& stable = page_at(inode.durable, i);
    const Fate page_fate = now == stable ? Fate::kKept : draw(random, fate);
    if (page_fate == Fate::kKept || page_fate == Fate::kLost) {
      left[i] = page_fate == Fate::kKept ? now : stable;
      if (page_fate == Fate::kLost) stats_.sectors_lost += kSectorsPerPage;
      continue;
    }
    left[i] = PageRef::copy_of(stable);
    std::byte* bytes = left[i].write();
    for (size_t sector = 0; sector < kSectorsPerPage; ++sector) {
      std::byte* to = bytes + sector * kSectorBytes;
      if (random.below(2) == 0) {
        ++stats_.sectors_lost;
      } else if (now.is_hole()) {
        std::memset(to, 0, kSectorBytes);
      } else {
        std::memcpy(to, now.read() + sector * kSectorBytes, kSectorBytes);
      }
    }
  }
  inode.current = std::move(left);
  inode.size = size;
  clear_tail(inode);
}

// What lies behind the end in the last page reads as zeroes if the file grows again.
void Disk::clear_tail(Inode& inode) {
  const size_t tail = inode.size % kPageBytes;
  const size_t last = inode.size / kPageBytes;
  if (tail == 0 || page_at(inode.current, last).is_hole()) return;
  std::memset(inode.current[last].write() + tail, 0, kPageBytes - tail);
}

void Disk::land_in_flight(const Op& op, const OpenFile& file, Random& random, const CrashPolicy& policy) {
  Inode& inode = inodes_[file.inode];
  if ((file.flags & kOpenWrite) == 0 || inode.is_directory) return;
  if ((file.flags & kOpenDirect) != 0 && !aligned(op)) return;
  uint64_t end = op.offset + SliceCursor::total(op.slices, op.slice_count);
  if (end == op.offset) return;
  if (!has_room(new_pages_needed(inode, op.offset, end - op.offset))) return;  // it would have failed
  const Fate fate = draw(random, policy.in_flight);
  // The new size is metadata: it may have made it or not, whatever became of the bytes.
  const bool grows = policy.choose ? random.below(2) == 0 : coin(random, fate);
  if (grows && end > inode.size) {
    inode.size = end;
    inode.dirty = true;
  }
  end = std::min(end, inode.size);
  const uint64_t first_sector = op.offset / kSectorBytes;
  const size_t sectors = (end + kSectorBytes - 1) / kSectorBytes - std::min(first_sector, end / kSectorBytes);
  const size_t prefix = random.below(sectors + 1);
  SliceCursor cursor(op.slices, op.slice_count);
  for (size_t i = 0; op.offset < end && i < sectors; ++i) {
    const uint64_t sector = first_sector + i;
    const uint64_t from = std::max(sector * kSectorBytes, op.offset);
    const uint64_t to = std::min((sector + 1) * kSectorBytes, end);
    Fate sector_fate = fate;
    if (policy.choose) {
      sector_fate = policy.choose(op, i);
    } else if (fate == Fate::kPrefix) {
      sector_fate = i < prefix ? Fate::kKept : Fate::kLost;
    } else if (fate == Fate::kSubset) {
      sector_fate = random.below(2) == 0 ? Fate::kKept : Fate::kLost;
    } else if (fate == Fate::kGarbage) {
      constexpr Fate kFates[] = {Fate::kKept, Fate::kLost, Fate::kGarbage};
      sector_fate = kFates[random.below(std::size(kFates))];
    }
    if (sector_fate == Fate::kLost) ++stats_.sectors_lost;
    if (sector_fate == Fate::kGarbage) ++stats_.sectors_garbage;
    PageRef& page = page_slot(inode.current, sector * kSectorBytes / kPageBytes);
    if (sector_fate != Fate::kLost) {
      if (page.is_hole()) ++used_pages_;
      inode.dirty = true;
      if (sector_fate == Fate::kGarbage) {
        fill_with_garbage(page.write() + sector * kSectorBytes % kPageBytes, kSectorBytes, random);
      }
    }
    size_t at = from % kPageBytes;
    cursor.next(to - from, [&](const std::byte* source, size_t size) {
      if (sector_fate == Fate::kKept) std::memcpy(page.write() + at, source, size);
      at += size;
    });
  }
  clear_tail(inode);
}

// Only names and bytes are left: nothing open, nothing in flight, no inode that no folder names.
void Disk::forget_the_process() {
  open_.clear();
  free_handles_.clear();
  std::vector<bool> named(inodes_.size());
  std::vector<InodeId> folders{kRoot};
  named[kRoot] = true;
  for (Inode& inode : inodes_) inode.links = 0;
  inodes_[kRoot].links = 1;
  while (!folders.empty()) {
    const InodeId folder = folders.back();
    folders.pop_back();
    for (const auto& [name, id] : inodes_[folder].entries) {
      ++inodes_[id].links;
      if (!named[id] && inodes_[id].is_directory) folders.push_back(id);
      named[id] = true;
    }
  }
  free_inodes_.clear();
  orphans_ = 0;
  used_pages_ = 0;
  for (InodeId id = static_cast<InodeId>(inodes_.size()); id-- > 0;) {
    Inode& inode = inodes_[id];
    if (!named[id]) {
      inode = Inode{};
      free_inodes_.push_back(id);
      continue;
    }
    inode.opens = 0;
    inode.frozen.clear();
    inode.locked_by = kNoHandle;
    used_pages_ += pages_of(id);
  }
}

}  // namespace posthaste::reactor::simulated
