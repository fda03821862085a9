#include "reactor/simulated/simulated_backend.h"

#include <sys/mman.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "reactor/simulated/network.h"
#include "reactor/simulated/world.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr int64_t error(Errc e) { return -static_cast<int64_t>(e); }

constexpr bool is_network(OpKind kind) {
  switch (kind) {
    case OpKind::kListen:
    case OpKind::kAccept:
    case OpKind::kConnect:
    case OpKind::kReceive:
    case OpKind::kReceiveSelect:
    case OpKind::kSend:
    case OpKind::kShutdown:
      return true;
    default:
      return false;
  }
}

constexpr bool names_a_path(OpKind kind) {
  switch (kind) {
    case OpKind::kOpen:
    case OpKind::kRename:
    case OpKind::kUnlink:
    case OpKind::kMakeDirectory:
    case OpKind::kRemoveDirectory:
    case OpKind::kListDirectory:
    case OpKind::kStat:
    case OpKind::kSpace:
    case OpKind::kListen:
    case OpKind::kConnect:
    case OpKind::kResolve:
      return true;
    default:
      return false;
  }
}

constexpr int kPoison = 0xdb;  // what was given back no longer holds what it held

}  // namespace

namespace {
// Memory of hosts that are gone, for the next ones. Worlds are made by the million, and a fresh mapping costs a page
// fault for each page that is touched: a quarter of a storage crash test. What lies in it is what its last user left
// there, as in a pool that serves for long; who trusts in zeroes has another trace the second time (posthaste-sim
// --twice).
class SpareRegions {
 public:
  SpareRegions() = default;
  SpareRegions(const SpareRegions&) = delete;
  SpareRegions& operator=(const SpareRegions&) = delete;
  ~SpareRegions() {
    for (const auto& region : regions_) ::munmap(region.data(), region.size());
  }
  void keep(std::span<std::byte> region) {
    if (regions_.size() == kRegionsMax) {
      ::munmap(region.data(), region.size());
    } else {
      regions_.push_back(region);
    }
  }
  // Empty if there is none of exactly this size.
  std::span<std::byte> take(size_t bytes) {
    const auto found = std::ranges::find(regions_, bytes, &std::span<std::byte>::size);
    if (found == regions_.end()) return {};
    const std::span<std::byte> region = *found;
    regions_.erase(found);
    return region;
  }

 private:
  static constexpr size_t kRegionsMax = 16;  // two hosts of eight cores
  std::vector<std::span<std::byte>> regions_;
};
thread_local SpareRegions spare_regions;
}  // namespace

void SimulatedBackend::GiveBack::operator()(std::byte* memory) const { spare_regions.keep({memory, bytes}); }

SimulatedBackend::SimulatedBackend(Host& host, CoreId core)
    : host_(host),
      timeline_(host.world().timeline()),
      network_(host.world().network()),
      core_(core),
      random_(timeline_.random().fork()) {}

SimulatedBackend::~SimulatedBackend() = default;

// --- Operations.

void SimulatedBackend::trace_submit(const Op& op) {
  TraceHash& trace = timeline_.trace();
  trace.add(static_cast<uint64_t>(timeline_.now()));
  trace.add((uint64_t{host_.id()} << 48U) | (uint64_t{core_} << 32U) | (static_cast<uint64_t>(op.kind) << 16U) |
            op.flags);
  trace.add((static_cast<uint64_t>(static_cast<uint32_t>(op.file.value)) << 32U) | op.slice_count);
  trace.add(op.offset);
  trace.add(op.length);
  if (names_a_path(op.kind)) trace.add(XXH3_64bits(op.path, std::strlen(op.path)));
  if (!host_.world().options().hash_written_bytes) return;
  if (op.kind != OpKind::kWrite && op.kind != OpKind::kSend) return;
  for (uint32_t i = 0; i < op.slice_count; ++i) trace.add(XXH3_64bits(op.slices[i].data, op.slices[i].size));
}

void SimulatedBackend::submit(std::span<Op* const> operations) {
  for (Op* op : operations) {
    if (host_.crash_due()) return;  // the power is off: what comes later never happened
    start(*op);
    if (op->kind != OpKind::kCancel) host_.note_submit(*op);
  }
}

void SimulatedBackend::start(Op& op) {
  trace_submit(op);
  Pending pending;
  if (free_slots_.empty()) {
    pending.slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    pending.slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Slot& slot = slots_[pending.slot];
  pending.generation = ++slot.generation;
  slot.op = &op;
  slot.on_disk = false;
  ++in_flight_;
  if (op.kind == OpKind::kCancel) return cancel(op, pending);
  if (op.kind == OpKind::kListen || op.kind == OpKind::kConnect) return network_.start(*this, op, pending, 0);
  if (op.kind == OpKind::kResolve) return resolve(op, pending);
  if (names_a_path(op.kind)) return start_on_disk(op, pending);
  const FileSlot target = file(op.file);
  if (target.kind == FileKind::kDisk) {
    if (is_network(op.kind)) return finish_later(pending, error(Errc::kIoError), 0);
    start_on_disk(op, pending);
    if (op.kind == OpKind::kClose) drop_file(op.file);  // the id is gone from here on
    return;
  }
  if (op.kind == OpKind::kClose) {
    drop_file(op.file);
    network_.close(target.index, (op.flags & kCloseDiscard) != 0);
    return finish_later(pending, 0, 0);
  }
  if (!is_network(op.kind)) return finish_later(pending, error(Errc::kInvalidArgument), 0);
  network_.start(*this, op, pending, target.index);
}

void SimulatedBackend::start_on_disk(Op& op, Pending pending) {
  Slot& slot = slots_[pending.slot];
  slot.on_disk = true;
  slot.ticket = host_.disk().begin(op, names_a_path(op.kind) ? Disk::kNoHandle : file(op.file).index);
  slot.due = timeline_.now() + latency(op);
  schedule_disk_done(pending, slot.due);
}

void SimulatedBackend::schedule_disk_done(Pending pending, int64_t at) {
  Event event{.target = &host_, .kind = Host::kDiskDone, .life = host_.life()};
  event.a = (uint64_t{core_} << 32U) | pending.slot;
  event.b = pending.generation;
  timeline_.schedule(event, at);
}

// A second event for an operation: whichever comes first ends it, and the other one finds it gone.
int64_t SimulatedBackend::hurry_disk() {
  int64_t longest = 0;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.op == nullptr || !slot.on_disk) continue;
    longest = std::max(longest, slot.due - timeline_.now());
    const int64_t due = timeline_.now() + latency(*slot.op);
    if (due >= slot.due) continue;
    slot.due = due;
    schedule_disk_done({i, slot.generation}, due);
  }
  return longest;
}

void SimulatedBackend::resolve(Op& op, Pending pending) {
  Names::Answer answer = host_.world().names().look_up(op.path);
  if (answer.silent) return;
  const DurationRange& range = host_.world().options().resolve;
  const int64_t delay = answer.asked ? timeline_.random().between(range.least.count(), range.most.count()) : 0;
  if (!answer.ips) return finish_later(pending, error(answer.ips.error()), delay);
  const auto count = static_cast<int64_t>(answer.ips->size());
  *static_cast<std::vector<std::string>*>(op.out) = std::move(*answer.ips);
  finish_later(pending, count, delay);
}

int64_t SimulatedBackend::latency(const Op& op) {
  const WorldOptions& options = host_.world().options();
  const DurationRange* range = &options.file_system;
  if (op.kind == OpKind::kRead) range = &options.disk_read;
  if (op.kind == OpKind::kWrite) {
    range = (op.flags & kWriteDurable) != 0 ? &options.disk_write_durable : &options.disk_write;
  }
  if (op.kind == OpKind::kSync) range = &options.disk_sync;
  Random& random = timeline_.random();
  int64_t time = random.between(range->least.count(), range->most.count());
  if (range->most.count() == 0) return 0;
  time += static_cast<int64_t>(SliceCursor::total(op.slices, op.slice_count) * 1000 / options.disk_bytes_per_us);
  if (random.chance(options.disk_slow_per_million)) time *= options.disk_slow_factor;
  return time * host_.disk_factor();
}

void SimulatedBackend::disk_done(uint32_t slot_index, uint32_t generation) {
  const Pending pending{slot_index, generation};
  Op* op = find(pending);
  if (op == nullptr) return;
  const Slot& slot = slots_[slot_index];
  int64_t result = host_.disk().complete(slot.ticket);
  if (result >= 0 && op->kind == OpKind::kOpen) {
    result = add_file(FileKind::kDisk, static_cast<uint32_t>(result)).value;
  }
  finish(pending, result);
}

void SimulatedBackend::finish_later(Pending pending, int64_t result, int64_t delay) {
  slots_[pending.slot].op->result = result;
  Event event{.target = &host_, .kind = Host::kResultDue, .life = host_.life()};
  event.a = (uint64_t{core_} << 32U) | pending.slot;
  event.b = pending.generation;
  timeline_.schedule(event, timeline_.now() + delay);
}

void SimulatedBackend::finish_at(const Event& event) {
  const Pending pending{static_cast<uint32_t>(event.a), static_cast<uint32_t>(event.b)};
  if (Op* op = find(pending)) finish(pending, op->result);
}

Op* SimulatedBackend::find(Pending pending) {
  const Slot& slot = slots_[pending.slot];
  return slot.generation == pending.generation ? slot.op : nullptr;
}

void SimulatedBackend::finish(Pending pending, int64_t result) {
  Slot& slot = slots_[pending.slot];
  Op* op = slot.op;
  CHECK(op != nullptr && slot.generation == pending.generation);
  op->result = result;
  slot.op = nullptr;
  free_slots_.push_back(pending.slot);
  --in_flight_;
  timeline_.trace().add(static_cast<uint64_t>(timeline_.now()));
  timeline_.trace().add((uint64_t{pending.slot} << 32U) | pending.generation);
  timeline_.trace().add(static_cast<uint64_t>(result));
  done_.push_back(op);
  host_.completion_arrived(core_);
}

// A disk operation that a device has already may ignore the request; which, the seed says.
void SimulatedBackend::cancel(Op& op, Pending pending) {
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.op == nullptr || slot.op != op.target || slot.op == &op) continue;
    const Pending target{i, slot.generation};
    if (is_network(slot.op->kind)) {
      network_.cancel(*this, *slot.op, target);
    } else if (slot.op->kind == OpKind::kResolve) {
      finish(target, error(Errc::kCancelled));
    } else if (slot.on_disk && slot.op->kind != OpKind::kClose && timeline_.random().below(2) == 0) {
      host_.disk().withdraw(slot.ticket);
      finish(target, error(Errc::kCancelled));
    }
    return finish_later(pending, 0, 0);
  }
  finish_later(pending, error(Errc::kNotFound), 0);
}

void SimulatedBackend::deliver_completions() {
  std::vector<Op*> batch;
  batch.swap(done_);
  timeline_.random().shuffle(batch);
  for (Op* op : batch) {
    timeline_.trace().add(static_cast<uint64_t>(op->kind));
    deliver(*op);
  }
  if (done_.empty()) {
    batch.clear();
    done_.swap(batch);  // keeps its memory
  }
}

void SimulatedBackend::wait(Instant deadline) {
  while (done_.empty() && !woken_ && host_.monotonic_now() < deadline) {
    const int64_t end = deadline == Instant::never() ? INT64_MAX : host_.world_time(deadline);
    if (!timeline_.empty() && timeline_.next_at() <= end) {
      timeline_.step();
    } else {
      timeline_.skip_to(end == INT64_MAX ? 0 : end);
      break;
    }
  }
  woken_ = false;
  deliver_completions();
}

void SimulatedBackend::wake(CoreId core) {
  SimulatedBackend& other = host_.backend(core);
  other.woken_ = true;
  host_.wake(core);
}

// --- Files.

// An operation on a file that is not open, or not any more, is the caller's bug, as it is on the real backend.
SimulatedBackend::FileSlot SimulatedBackend::file(FileId id) const {
  const auto value = static_cast<uint32_t>(id.value);
  const uint32_t slot = value & kFileSlotMask;
  CHECK(id.valid() && slot < files_.size() && files_[slot].kind != FileKind::kFree &&
            files_[slot].generation == value >> kFileSlotBits,
        "{}/{}: file id {:#x} is not open", host_.ip(), core_, id.value);
  return files_[slot];
}

FileId SimulatedBackend::add_file(FileKind kind, uint32_t index) {
  uint32_t slot = 0;
  if (free_files_.empty()) {
    slot = static_cast<uint32_t>(files_.size());
    CHECK(slot <= kFileSlotMask, "more open files than a FileId can name");
    files_.emplace_back();
  } else {
    slot = free_files_.back();
    free_files_.pop_back();
  }
  files_[slot].kind = kind;
  files_[slot].index = index;
  return FileId{static_cast<int32_t>(slot | (files_[slot].generation << kFileSlotBits))};
}

FileId SimulatedBackend::add_socket(EndpointId endpoint) { return add_file(FileKind::kSocket, endpoint); }

void SimulatedBackend::drop_file(FileId id) {
  const uint32_t slot = static_cast<uint32_t>(id.value) & kFileSlotMask;
  files_[slot].kind = FileKind::kFree;
  files_[slot].generation = (files_[slot].generation + 1) & kFileGenerationMask;
  free_files_.push_back(slot);
}

int SimulatedBackend::detach(FileId socket) {
  const FileSlot slot = file(socket);
  CHECK(slot.kind == FileKind::kSocket, "only a socket can be detached");
  drop_file(socket);
  network_.detach(slot.index);
  return host_.add_detached(slot.index);
}

Result<FileId> SimulatedBackend::adopt(int detached) {
  const Result<EndpointId> endpoint = host_.take_detached(detached);
  if (!endpoint) return failure(endpoint.error());
  network_.adopt(*endpoint, *this);
  return add_socket(*endpoint);
}

// --- Clock, memory, buffers, log.

Instant SimulatedBackend::now() {
  const DurationRange& cost = host_.world().options().clock_read;
  timeline_.advance(std::max<int64_t>(1, timeline_.random().between(cost.least.count(), cost.most.count())));
  return host_.monotonic_now();
}

WallMillis SimulatedBackend::wall_now() { return host_.wall_now(); }

// Fresh from the kernel, as most of a pool stays unused, or a spare one.
Result<std::span<std::byte>> SimulatedBackend::allocate_memory(size_t bytes) {
  std::span<std::byte> region = spare_regions.take(bytes);
  if (region.empty()) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return failure(Errc::kNoMemory);
    region = {static_cast<std::byte*>(memory), bytes};
  }
  memory_.emplace_back(region.data(), GiveBack{bytes});
  return region;
}

void SimulatedBackend::memory_freed(std::span<std::byte> memory) { std::memset(memory.data(), kPoison, memory.size()); }

Slice SimulatedBackend::take_select_buffer() {
  const WorldOptions& options = host_.world().options();
  if (select_memory_ == nullptr) {
    select_memory_ = std::make_unique<std::byte[]>(options.select_buffers * options.select_buffer_bytes);
    for (uint32_t i = 0; i < options.select_buffers; ++i) free_select_buffers_.push_back(i);
  }
  if (free_select_buffers_.empty()) return {};
  const uint32_t buffer = free_select_buffers_.back();
  free_select_buffers_.pop_back();
  return {select_memory_.get() + buffer * options.select_buffer_bytes, options.select_buffer_bytes};
}

void SimulatedBackend::recycle(Slice selected) {
  if (selected.data == nullptr) return;
  const WorldOptions& options = host_.world().options();
  const auto offset = static_cast<size_t>(selected.data - select_memory_.get());
  const size_t buffer = offset / options.select_buffer_bytes;
  CHECK(offset % options.select_buffer_bytes == 0 && buffer < options.select_buffers, "not a selected buffer");
  CHECK(std::ranges::find(free_select_buffers_, buffer) == free_select_buffers_.end(), "recycled twice");
  std::memset(selected.data, kPoison, options.select_buffer_bytes);
  free_select_buffers_.push_back(static_cast<uint32_t>(buffer));
  network_.buffer_recycled(*this);
}

std::string SimulatedBackend::local_address(FileId socket) { return network_.local_address(file(socket).index); }

void SimulatedBackend::log(LogLevel level, std::string_view line) { host_.world().log(host_, core_, level, line); }

}  // namespace posthaste::reactor::simulated
