#include "reactor/uring/ring.h"

#include <sys/utsname.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "reactor/check.h"
#include "reactor/uring/kernel_constants.h"
#include "reactor/uring/thread_limit.h"

namespace posthaste::reactor::uring {
namespace {

constexpr uint32_t kCompletionsPerEntry = 4;
// Worker threads that the kernel may start for this ring's blocking work (creates, fsync, fallocate). They share the
// core's CPU budget; more only queue at the same journal of the file system.
constexpr unsigned kKernelWorkersMax = 2;

std::string kernel_release() {
  utsname name{};
  return ::uname(&name) == 0 ? std::string(name.release) : std::string("of unknown release");
}

std::string disabled_sysctl() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  std::string text;
  std::getline(file, text);
  return text;
}

}  // namespace

std::string_view to_string(Profile profile) {
  switch (profile) {
    case Profile::kAuto:
      return "auto";
    case Profile::k6_1:
      return "6.1";
    case Profile::k6_12:
      return "6.12";
  }
  return "?";
}

std::string describe_setup_failure(int error, std::string_view release, std::string_view sysctl) {
  switch (error) {
    case ENOSYS:
      return fmt::format(
          "io_uring is missing: kernel {} is built without it or a sandbox hides it; Linux 6.1 or newer "
          "with CONFIG_IO_URING is needed",
          release);
    case EPERM:
    case EACCES:
      if (!sysctl.empty() && sysctl != "0") {
        return fmt::format(
            "io_uring is forbidden: the sysctl kernel.io_uring_disabled is {}; allow it with: "
            "sysctl -w kernel.io_uring_disabled=0",
            sysctl);
      }
      return "io_uring is forbidden here although the sysctl kernel.io_uring_disabled allows it: a container's seccomp "
             "profile or a security module denies io_uring_setup; allow io_uring_setup, io_uring_enter and "
             "io_uring_register there";
    case EINVAL:
      return fmt::format(
          "io_uring of kernel {} is too old: single issuer with deferred task run is needed; use Linux "
          "6.1 or newer",
          release);
    case EMFILE:
    case ENFILE:
      return "io_uring got no file descriptor: raise the limit of open files (ulimit -n, or LimitNOFILE= of the "
             "systemd unit)";
    case ENOMEM:
      return "io_uring got no memory for its rings: raise the locked-memory limit (ulimit -l unlimited, or "
             "LimitMEMLOCK=infinity of the systemd unit) or the memory limit of the control group";
    default:
      return fmt::format("io_uring_setup failed on kernel {}: {}", release, std::strerror(error));
  }
}

namespace {

// Blocking work of a ring is done by threads of the kernel's, which count against the same limits as ours. Without one
// each such operation ends as if it had been cancelled. The first is started here, where that can be said.
bool starts_worker(io_uring& ring) {
  io_uring_sqe* entry = io_uring_get_sqe(&ring);
  io_uring_prep_nop(entry);
  entry->flags |= IOSQE_ASYNC;
  __kernel_timespec patience{.tv_sec = 10, .tv_nsec = 0};
  io_uring_cqe* completion = nullptr;
  if (io_uring_submit_and_wait_timeout(&ring, &completion, 1, &patience, nullptr) < 0 || completion == nullptr) {
    return false;
  }
  const bool done = completion->res >= 0;
  io_uring_cqe_seen(&ring, completion);
  return done;
}

}  // namespace

uint32_t count_kernel_workers() {
  uint32_t count = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    std::getline(file, name);
    count += name.starts_with("iou-wrk-") ? 1U : 0U;
  }
  return count;
}

std::expected<std::unique_ptr<Ring>, std::string> Ring::create(const RingOptions& options) {
  std::unique_ptr<Ring> ring(new Ring);
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
  params.cq_entries = options.entries * kCompletionsPerEntry;
  ring->ring_.ring_fd = -1;
  if (const int error = io_uring_queue_init_params(options.entries, &ring->ring_, &params); error < 0) {
    ring->ring_.ring_fd = -1;
    return std::unexpected(describe_setup_failure(-error, kernel_release(), disabled_sysctl()));
  }
  constexpr uint32_t kNeeded = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE;
  if ((params.features & kNeeded) != kNeeded) {
    return std::unexpected(describe_setup_failure(EINVAL, kernel_release(), {}));
  }
  const bool is_6_12 = (params.features & kernel::kFeatureMinTimeout) != 0;
  if (options.profile == Profile::k6_12 && !is_6_12) {
    return std::unexpected(fmt::format(
        "the io_uring profile 6.12 was asked for, but this kernel is {}; use 6.1 or auto", kernel_release()));
  }
  ring->profile_ = options.profile == Profile::kAuto ? (is_6_12 ? Profile::k6_12 : Profile::k6_1) : options.profile;

  // Both are savings only; a kernel that refuses them works without.
  io_uring_register_ring_fd(&ring->ring_);
  unsigned workers[2] = {kKernelWorkersMax, kKernelWorkersMax};
  io_uring_register_iowq_max_workers(&ring->ring_, workers);
  if (!starts_worker(ring->ring_)) {
    return std::unexpected(fmt::format("the kernel cannot start a thread for the ring: {}", kThreadRemedy));
  }

  // The indirection of the submission ring is not used: slot i always names entry i.
  for (uint32_t i = 0; i < params.sq_entries; ++i) ring->ring_.sq.array[i] = i;
  ring->memory_.resize(params.sq_entries);
  return ring;
}

Ring::~Ring() {
  if (ring_.ring_fd >= 0) io_uring_queue_exit(&ring_);
}

io_uring_sqe* Ring::next_entry() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) {
    enter(0, 0, nullptr);
    entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) return nullptr;
  }
  std::memset(entry, 0, sizeof *entry);
  ++stats_.entries;
  return entry;
}

// Makes filled entries visible to the kernel; returns how many it has not taken yet.
uint32_t Ring::publish() {
  io_uring_smp_store_release(ring_.sq.ktail, ring_.sq.sqe_tail);
  return io_uring_sq_ready(&ring_);
}

void Ring::enter(uint32_t wait_for, uint32_t flags, const __kernel_timespec* timeout) {
  const uint32_t to_submit = publish();
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<uint64_t>(timeout);
  const bool registered = ring_.enter_ring_fd != ring_.ring_fd;
  flags |= registered ? IORING_ENTER_REGISTERED_RING : 0U;
  void* extra = nullptr;
  size_t extra_size = 0;
  if (timeout != nullptr) {
    flags |= IORING_ENTER_EXT_ARG;
    extra = &argument;
    extra_size = sizeof argument;
  }
  ++stats_.enters;
  const int entered = io_uring_enter2(static_cast<unsigned>(ring_.enter_ring_fd), to_submit, wait_for, flags,
                                      static_cast<sigset_t*>(extra), extra_size);
  if (entered >= 0) return;
  switch (-entered) {
    case ETIME:   // the time-out
    case EINTR:   // a signal
    case EBUSY:   // the completion ring is full: the caller takes from it, then enters again
    case EAGAIN:  // no memory for a request now; the entries stay
      return;
    default:
      fatal(FatalReason::kRingBroken, fmt::format("io_uring_enter failed: {}", std::strerror(-entered)));
  }
}

void Ring::poll() {
  const uint32_t waiting = publish();
  const uint32_t kernel_flags = io_uring_smp_load_acquire(ring_.sq.kflags);
  if ((kernel_flags & IORING_SQ_CQ_OVERFLOW) != 0) ++stats_.overflows;
  if (waiting == 0 && (kernel_flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0) {
    ++stats_.enters_avoided;
    return;
  }
  enter(0, IORING_ENTER_GETEVENTS, nullptr);
}

void Ring::block(Duration timeout) {
  ++stats_.enters_blocking;
  if (timeout == Duration::max()) return enter(1, IORING_ENTER_GETEVENTS, nullptr);
  constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
  const __kernel_timespec span{timeout.count() / kNanosecondsPerSecond, timeout.count() % kNanosecondsPerSecond};
  enter(1, IORING_ENTER_GETEVENTS, &span);
}

Ring::Completion Ring::take_completion() {
  ++stats_.completions;
  const uint32_t head = *ring_.cq.khead;
  const io_uring_cqe& entry = ring_.cq.cqes[head & ring_.cq.ring_mask];
  const Completion completion{entry.user_data, entry.res, entry.flags};
  io_uring_smp_store_release(ring_.cq.khead, head + 1);
  return completion;
}

}  // namespace posthaste::reactor::uring
