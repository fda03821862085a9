#include "reactor/uring/uring_backend.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "reactor/uring/op_state.h"
#include "reactor/uring/thread_limit.h"

namespace posthaste::reactor::uring {

namespace {}

std::expected<std::unique_ptr<UringBackend>, std::string> UringBackend::create(CoreId core, WakeBoard& wakes,
                                                                               const UringOptions& options) {
  CHECK(core < wakes.cores());
  std::unique_ptr<UringBackend> backend(new UringBackend(core, wakes, options));
  auto ring = Ring::create(options.ring);
  if (!ring) return std::unexpected(std::move(ring.error()));
  backend->ring_ = std::move(*ring);
  // Now, and not with the first operation that needs it: a start can still be refused, a process at work cannot.
  if (!backend->helper_.start()) {
    return std::unexpected(fmt::format("cannot start a helper thread: {}", kThreadRemedy));
  }
  auto buffers = ReceiveBuffers::create(*backend->ring_, options.receive_buffers, options.receive_buffer_bytes);
  if (!buffers) return std::unexpected(std::move(buffers.error()));
  backend->receive_buffers_ = std::move(*buffers);
  backend->files_ = std::make_unique<FileTable>(*backend->ring_, options.fixed_files);
  if (options.register_memory) io_uring_register_buffers_sparse(backend->ring_->raw(), 1);
  backend->arm_wake_event();
  wakes.set_ring_fd(core, backend->ring_->fd());
  return backend;
}

UringBackend::UringBackend(CoreId core, WakeBoard& wakes, const UringOptions& options)
    : core_(core),
      wakes_(wakes),
      options_(options),
      owner_(::pthread_self()),
      helper_(core, wakes),
      resolver_(core, wakes) {}

UringBackend::~UringBackend() {
  if (ring_ == nullptr) return;
  wakes_.set_ring_fd(core_, -1);
  drain();
  files_.reset();
  ring_.reset();
  receive_buffers_.reset();
  helper_.stop();  // it may be preparing memory
  for (const Mapping& mapping : mappings_) ::munmap(mapping.data, mapping.bytes);
}

// The kernel must let go of all memory that it was given before that goes away.
void UringBackend::drain() {
  closing_ = true;
  if (io_uring_sqe* entry = ring_->next_entry()) {
    io_uring_prep_cancel64(entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
  }
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds && !in_flight_.empty(); ++round) {
    ring_->block(10ms);
    while (ring_->has_completions()) handle(ring_->take_completion());
  }
  CHECK(in_flight_.empty(), "the kernel still holds {} operations", in_flight_.count());
}

UringStats UringBackend::stats() const {
  UringStats stats = stats_;
  stats.ring = ring_->stats();
  return stats;
}

void UringBackend::submit(std::span<Op* const> operations) {
  for (Op* op : operations) start(*op);
}

void UringBackend::start(Op& op) {
  ++stats_.operations;
  op.result = 0;
  state_of(op) = OpState{};
  if (!start_at_once(op)) issue(op);
}

// Gives the kernel the operation, or what is left of it.
void UringBackend::issue(Op& op) {
  io_uring_sqe* entry = backlog_.empty() ? ring_->next_entry() : nullptr;
  if (entry == nullptr) {
    backlog_.push_back(op);
    return;
  }
  fill_entry(op, *entry);
  entry->user_data = reinterpret_cast<uint64_t>(&op);
  in_flight_.push_back(op);
}

void UringBackend::finish(Op& op) { done_.push_back(op); }

void UringBackend::finish_with(Op& op, int64_t result) {
  op.result = result;
  finish(op);
}

void UringBackend::fail(Op& op, Errc error) {
  op.fail(error);
  finish(op);
}

void UringBackend::arm_wake_event() {
  io_uring_sqe* entry = ring_->next_entry();
  wake_armed_ = entry != nullptr;  // if not, wait() tries again
  if (!wake_armed_) return;
  io_uring_prep_read(entry, wakes_.event_fd(core_), &wake_event_value_, sizeof wake_event_value_, 0);
  entry->user_data = kTagWakeEvent;
}

void UringBackend::wait(Instant deadline) {
  if (!wake_armed_) arm_wake_event();
  for (size_t waiting = backlog_.count(); waiting > 0; --waiting) {
    io_uring_sqe* entry = ring_->next_entry();
    if (entry == nullptr) break;
    Op& op = backlog_.pop_front();
    fill_entry(op, *entry);
    entry->user_data = reinterpret_cast<uint64_t>(&op);
    in_flight_.push_back(op);
  }
  const bool ready = !done_.empty() || poked_ || !wake_armed_ || !backlog_.empty() || ring_->has_completions();
  Duration sleep = Duration::zero();
  if (!ready) sleep = deadline == Instant::never() ? Duration::max() : deadline - now();
  if (sleep > Duration::zero()) {
    ring_->block(sleep);
  } else {
    ring_->poll();
  }
  poked_ = false;
  // What arrives while these are handled waits for the next call, so that this one ends.
  for (uint32_t left = ring_->completion_count(); left > 0; --left) handle(ring_->take_completion());
  deliver_done();
}

void UringBackend::handle(const Ring::Completion& completion) {
  switch (completion.user_data) {
    case kTagIgnored:
      return;
    case kTagWakeEvent:
      if (!closing_) arm_wake_event();
      [[fallthrough]];
    case kTagWakeMessage:
      ++stats_.wakes_received;
      wakes_.acknowledge(core_);
      collect_helper();
      return;
    default:
      break;
  }
  if (completion.user_data >= kTagMessageFailed && completion.user_data < kTagMessageFailed + kCoresMax) {
    // The other ring did not take the message (it is full or gone): the claim stands, the eventfd always works.
    wakes_.send(static_cast<CoreId>(completion.user_data - kTagMessageFailed));
    return;
  }
  auto* const op = reinterpret_cast<Op*>(completion.user_data);  // NOLINT: the kernel gives back what it was given
  handle_operation(*op, completion.result, completion.flags);
}

void UringBackend::handle_operation(Op& op, int32_t result, uint32_t flags) {
  op.unlink();  // from in_flight_
  if (closing_) return;
  if (!finish_step(op, result, flags)) {
    ++stats_.continued;
    issue(op);
  }
}

void UringBackend::collect_helper() {
  helper_.collect(done_);
  resolver_.collect(done_);
}

void UringBackend::deliver_done() {
  IntrusiveList<Op> now_done;
  now_done.splice_back(done_);
  while (!now_done.empty()) deliver(now_done.pop_front());
}

void UringBackend::wake(CoreId core) {
  if (::pthread_equal(::pthread_self(), owner_) == 0) {
    if (wakes_.claim(core)) wakes_.send(core);
    return;
  }
  if (core == core_) {
    poked_ = true;
    return;
  }
  if (!wakes_.claim(core)) return;
  const int ring_fd = wakes_.ring_fd(core);
  io_uring_sqe* entry = ring_->profile() == Profile::k6_12 && ring_fd >= 0 ? ring_->next_entry() : nullptr;
  if (entry == nullptr) {
    ++stats_.wakes_by_event;
    ++stats_.plain_calls;
    wakes_.send(core);
    return;
  }
  ++stats_.wakes_by_ring;
  io_uring_prep_msg_ring(entry, ring_fd, 0, kTagWakeMessage, 0);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = kTagMessageFailed + core;
}

Instant UringBackend::now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return Instant{static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec};
}

WallMillis UringBackend::wall_now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return WallMillis{static_cast<int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000};
}

uint64_t UringBackend::random() {
  if (random_used_ == random_pool_.size()) {
    ++stats_.plain_calls;
    const ssize_t filled = ::getrandom(random_pool_.data(), sizeof random_pool_, 0);
    CHECK(filled == static_cast<ssize_t>(sizeof random_pool_), "getrandom: {}", std::strerror(errno));
    random_used_ = 0;
  }
  return random_pool_[random_used_++];
}

// Large regions start at a huge page's boundary and are offered to the kernel for huge pages: first touches and the
// pinning of pages for direct I/O then cost a fraction. Without them all works as well.
Result<std::span<std::byte>> UringBackend::allocate_memory(size_t bytes) {
  const size_t rounded = (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  const size_t slack = rounded >= kHugePageBytes ? kHugePageBytes : 0;
  void* memory = ::mmap(nullptr, rounded + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return failure(Errc::kNoMemory);
  auto* data = static_cast<std::byte*>(memory);
  if (slack > 0) {
    const size_t before = (kHugePageBytes - reinterpret_cast<uintptr_t>(data) % kHugePageBytes) % kHugePageBytes;
    if (before > 0) ::munmap(data, before);
    data += before;
    if (before < slack) ::munmap(data + rounded, slack - before);
    ::madvise(data, rounded, MADV_HUGEPAGE);
  }
  mappings_.push_back({.data = data, .bytes = rounded, .registered = false});
  if (options_.register_memory && mappings_.size() == 1) register_mapping(mappings_.front());
  return std::span(mappings_.back().data, bytes);
}

void UringBackend::prepare_memory(std::span<std::byte> memory) { helper_.prepare(memory); }

void UringBackend::register_mapping(Mapping& mapping) {
  rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &limit);  // allowed to root; who may not keeps the limit
  const iovec region{mapping.data, mapping.bytes};
  const int registered = io_uring_register_buffers_update_tag(ring_->raw(), 0, &region, nullptr, 1);
  mapping.registered = registered == 1;
  if (mapping.registered) return;
  log(LogLevel::kWarning,
      fmt::format("memory_not_registered bytes={} reason=\"{}\" remedy=\"raise the locked-memory limit (ulimit -l)\"",
                  mapping.bytes, std::strerror(-registered)));
}

void UringBackend::recycle(Slice selected) {
  receive_buffers_->give_back(selected.data);
  // All of them: one that is issued holds no buffer until its data arrives, so it may leave this one to another.
  while (!starved_.empty()) issue(starved_.pop_front());
}

int UringBackend::detach(FileId socket) { return files_->remove(socket); }

Result<FileId> UringBackend::adopt(int detached) { return files_->add(detached, false); }

void UringBackend::log(LogLevel level, std::string_view line) {
  if (options_.log != nullptr) options_.log->write(level, core_, line);
}

}  // namespace posthaste::reactor::uring
