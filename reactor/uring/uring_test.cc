// What only the real backend has: refusals of the kernel, socket options, full rings, addresses, the log.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "reactor/testing/operations.h"
#include "reactor/testing/temporary_folder.h"
#include "reactor/uring/address.h"
#include "reactor/uring/host.h"
#include "reactor/uring/uring_backend.h"

namespace posthaste::reactor::uring {
namespace {

using testing::TemporaryFolder;
using testing::TestOp;

struct OneBackend {
  explicit OneBackend(const UringOptions& options = {}) {
    wakes = std::move(*WakeBoard::create(1));
    auto made = UringBackend::create(0, *wakes, options);
    CHECK(made, "{}", made.error());
    backend = std::move(*made);
  }
  Result<uint64_t> run(TestOp& op) {
    Op* const pointer = &op;
    backend->submit({&pointer, 1});
    while (!op.done) backend->wait(backend->now() + 1s);
    return op.outcome();
  }
  std::unique_ptr<WakeBoard> wakes;
  std::unique_ptr<UringBackend> backend;
};

TEST(Ring, RefusalsNameTheRemedy) {
  const auto says = [](int error, std::string_view sysctl, std::string_view words) {
    return describe_setup_failure(error, "5.10.0", sysctl).find(words) != std::string::npos;
  };
  EXPECT_TRUE(says(EPERM, "2", "sysctl -w kernel.io_uring_disabled=0"));
  EXPECT_TRUE(says(EPERM, "1", "kernel.io_uring_disabled is 1"));
  EXPECT_TRUE(says(EPERM, "0", "seccomp"));
  EXPECT_TRUE(says(EPERM, "", "seccomp"));
  EXPECT_TRUE(says(ENOSYS, "", "5.10.0"));
  EXPECT_TRUE(says(EINVAL, "0", "6.1"));
  EXPECT_TRUE(says(ENOMEM, "0", "ulimit -l"));
  EXPECT_TRUE(says(EMFILE, "0", "ulimit -n"));
}

// In a process of its own: forbids io_uring_setup as a container's profile does, then tries to start.
[[noreturn]] void start_without_io_uring() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{.len = 4, .filter = filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    ::_exit(3);
  }
  const auto started =
      run_host({.cores = 2, .pool_bytes_per_core = size_t{1} << 20}, {}, [](Core&) -> Task<void> { co_return; });
  if (!started) std::fprintf(stderr, "%s\n", started.error().c_str());
  ::_exit(started ? 0 : 7);
}

TEST(RingDeathTest, AForbiddenIoUringIsOneSentence) {
  EXPECT_EXIT(start_without_io_uring(), ::testing::ExitedWithCode(7), "core [01]: io_uring is forbidden");
}

// UndefinedBehaviorSanitizer opens a pipe to check a pointer; without descriptors it reports what is not there.
#if !__has_feature(undefined_behavior_sanitizer)
[[noreturn]] void start_with_few_files(rlim_t files) {
  rlimit limit{files, files};
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const auto started =
      run_host({.cores = 2, .pool_bytes_per_core = size_t{1} << 20}, {}, [](Core&) -> Task<void> { co_return; });
  if (!started) std::fprintf(stderr, "%s\n", started.error().c_str());
  ::_exit(started ? 0 : 7);
}

TEST(RingDeathTest, TooFewOpenFilesIsOneSentence) {
  EXPECT_EXIT(start_with_few_files(3), ::testing::ExitedWithCode(7), "eventfd.*ulimit -n");
  // The two eventfds fit, the rings do not. (The death test itself holds a few descriptors.)
  int next = ::dup(0);
  ::close(next);
  EXPECT_EXIT(start_with_few_files(static_cast<rlim_t>(next) + 3), ::testing::ExitedWithCode(7), "ulimit -n");
}
#endif

TEST(UringBackend, SocketsDoNotDelayAndGiveUpOnDeadPeers) {
  OneBackend host;
  std::string bound;
  TestOp listen;
  ASSERT_TRUE(host.run(listen.as(OpKind::kListen).named("[::1]:0").into(&bound)));
  EXPECT_TRUE(bound.starts_with("[::1]:")) << bound;
  std::string peer;
  TestOp accept;
  TestOp connect;
  Op* const both[] = {&accept.as(OpKind::kAccept).on(listen.file_id()).into(&peer),
                      &connect.as(OpKind::kConnect).named(bound)};
  host.backend->submit(both);
  while (!accept.done || !connect.done) host.backend->wait(host.backend->now() + 1s);
  EXPECT_TRUE(peer.starts_with("[::1]:")) << peer;
  for (const FileId id : {accept.file_id(), connect.file_id()}) {
    const int fd = host.backend->detach(id);
    int value = 0;
    socklen_t size = sizeof value;
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    EXPECT_EQ(value, 1);
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &size), 0);
    EXPECT_EQ(value, 120'000);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ::close(fd);
  }
}

TEST(UringBackend, ARingMuchSmallerThanTheBatchLosesNothing) {
  const TemporaryFolder folder;
  UringOptions options;
  options.ring.entries = 4;
  OneBackend host(options);
  TestOp open;
  ASSERT_TRUE(host.run(open.as(OpKind::kOpen).named(folder.path + "/a").with(kOpenWrite | kOpenCreate)));
  auto bytes = testing::pattern(1000);
  TestOp write;
  ASSERT_TRUE(host.run(write.as(OpKind::kWrite).on(open.file_id()).over(bytes)));
  std::deque<TestOp> reads;
  std::vector<std::byte> in(bytes.size());
  std::vector<Op*> batch;
  for (size_t i = 0; i < bytes.size(); ++i) {
    reads.emplace_back().as(OpKind::kRead).on(open.file_id()).at(i).over(std::span(in).subspan(i, 1));
    batch.push_back(&reads.back());
  }
  host.backend->submit(batch);
  for (TestOp& read : reads) {
    while (!read.done) host.backend->wait(host.backend->now() + 1s);
    EXPECT_EQ(read.outcome(), 1U);
  }
  EXPECT_EQ(in, bytes);
}

TEST(UringBackend, ABatchCostsOneSystemCallAndAnIdlePollNone) {
  const TemporaryFolder folder;
  OneBackend host;
  TestOp open;
  ASSERT_TRUE(host.run(open.as(OpKind::kOpen).named(folder.path + "/a").with(kOpenWrite | kOpenCreate)));
  auto bytes = testing::pattern(100);
  TestOp write;
  ASSERT_TRUE(host.run(write.as(OpKind::kWrite).on(open.file_id()).over(bytes)));
  host.backend->wait(Instant{});
  const UringStats before = host.backend->stats();
  std::deque<TestOp> reads;
  std::vector<Op*> batch;
  batch.reserve(50);
  for (size_t i = 0; i < 50; ++i) {
    batch.push_back(&reads.emplace_back().as(OpKind::kRead).on(open.file_id()).over(bytes));
  }
  host.backend->submit(batch);
  EXPECT_EQ(host.backend->stats().ring.enters, before.ring.enters);
  while (!std::all_of(reads.begin(), reads.end(), [](const TestOp& op) { return op.done; })) {
    host.backend->wait(host.backend->now() + 1s);
  }
  // One, unless the kernel was interrupted in the middle.
  EXPECT_LE(host.backend->stats().ring.enters, before.ring.enters + 3);
  const uint64_t enters = host.backend->stats().ring.enters;
  for (int i = 0; i < 100; ++i) host.backend->wait(Instant{});
  EXPECT_EQ(host.backend->stats().ring.enters, enters);
  EXPECT_EQ(host.backend->stats().operations - before.operations, 50U);
}

TEST(UringBackend, ItEndsWithOperationsUnderWay) {
  OneBackend host;
  TestOp listen;
  ASSERT_TRUE(host.run(listen.as(OpKind::kListen).named("127.0.0.1:0")));
  TestOp accept;
  Op* const pointer = &accept.as(OpKind::kAccept).on(listen.file_id());
  host.backend->submit({&pointer, 1});
  host.backend->wait(Instant{});
  host.backend.reset();
  EXPECT_FALSE(accept.done);
}

// Pages of `memory` that the kernel has found already.
size_t resident_pages(std::span<std::byte> memory) {
  std::vector<unsigned char> pages(memory.size() / kBlockBytes);
  CHECK(::mincore(memory.data(), memory.size(), pages.data()) == 0);
  return static_cast<size_t>(std::ranges::count_if(pages, [](unsigned char page) { return page & 1; }));
}

TEST(UringBackend, MemoryIsPreparedBesideTheCore) {
  OneBackend one;
  constexpr size_t kBytes = size_t{4} << 20;
  const std::span<std::byte> memory = *one.backend->allocate_memory(2 * kBytes);
  memory[0] = std::byte{7};
  const std::span<std::byte> asked = memory.first(kBytes);
  one.backend->prepare_memory(asked);
  for (int i = 0; i < 5'000 && resident_pages(asked) < kBytes / kBlockBytes; ++i) {
    one.backend->wait(one.backend->now() + 1ms);
  }
  EXPECT_EQ(resident_pages(asked), kBytes / kBlockBytes);
  EXPECT_EQ(resident_pages(memory.last(kBytes)), 0U);
  EXPECT_EQ(memory[0], std::byte{7});
}

TEST(UringBackendDeathTest, AClosedFileIdIsABugOfOurs) {
  const TemporaryFolder folder;
  OneBackend host;
  TestOp open;
  ASSERT_TRUE(host.run(open.as(OpKind::kOpen).named(folder.path + "/a").with(kOpenWrite | kOpenCreate)));
  TestOp close;
  ASSERT_TRUE(host.run(close.as(OpKind::kClose).on(open.file_id())));
  TestOp again;
  ASSERT_TRUE(host.run(again.as(OpKind::kOpen).named(folder.path + "/a").with(kOpenWrite)));
  EXPECT_NE(open.file_id(), again.file_id()) << "the same slot, another generation";
  TestOp sync;
  sync.as(OpKind::kSync).on(open.file_id());
  EXPECT_DEATH((void)host.run(sync), "is not open");
}

TEST(Address, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:9092", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:9092", "[::]:1"}) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(format_address(*address), text);
  }
  for (const char* wrong : {"", ":", "localhost:1", "1.2.3.4:-1", "[::1]", "::1:80", "[1.2.3.4]:80", "1.2.3.4: 5"}) {
    EXPECT_FALSE(parse_address(wrong)) << wrong;
  }
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> piece{};
  for (ssize_t count; (count = ::read(fd, piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<size_t>(count));
  return text;
}

TEST(LogSink, LinesHaveTimeLevelAndCore) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  {
    LogSink sink(LogLevel::kInfo, pipe[1]);
    sink.write(LogLevel::kDebug, 0, "left_out");
    sink.write(LogLevel::kWarning, 3, "disk_slow milliseconds=7 path=\"{}\"");
    EXPECT_EQ(sink.dropped(), 0U);
  }
  ::close(pipe[1]);
  const std::string text = read_all(pipe[0]);
  ::close(pipe[0]);
  EXPECT_EQ(text.size(),
            std::string_view("2026-11-22T22:09:00.123Z warning core=3 disk_slow milliseconds=7 path=\"{}\"\n").size())
      << text;
  EXPECT_EQ(text.substr(10, 1), "T");
  EXPECT_EQ(text.substr(23), "Z warning core=3 disk_slow milliseconds=7 path=\"{}\"\n");
}

uint64_t count_of(std::string_view text, std::string_view what) {
  uint64_t count = 0;
  for (size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

// Of all lines that say how many were dropped.
uint64_t said_dropped(const std::string& text) {
  static constexpr std::string_view kName = "log_lines_dropped count=";
  uint64_t sum = 0;
  for (size_t at = text.find(kName); at != std::string::npos; at = text.find(kName, at + 1)) {
    sum += std::stoull(text.substr(at + kName.size(), 20));
  }
  return sum;
}

TEST(LogSink, AFullQueueDropsAndCountsInsteadOfWaiting) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  constexpr size_t kLines = 3 * LogSink::kQueueLines;
  const std::string line(100, 'x');
  uint64_t dropped = 0;
  std::string text;
  std::thread reader;
  {
    LogSink sink(LogLevel::kInfo, pipe[1]);
    // Nobody reads: the pipe fills, then the queue, and every further line must return all the same.
    for (size_t i = 0; i < kLines; ++i) sink.write(LogLevel::kInfo, 0, line);
    dropped = sink.dropped();
    reader = std::thread([&] { text = read_all(pipe[0]); });
  }
  ::close(pipe[1]);
  reader.join();
  ::close(pipe[0]);
  EXPECT_GT(dropped, LogSink::kQueueLines / 2);
  EXPECT_EQ(count_of(text, line + "\n") + dropped, kLines);
  EXPECT_EQ(said_dropped(text), dropped) << "the lines that say it";
}

TEST(LogSink, EndsWhenNobodyReads) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const auto begin = std::chrono::steady_clock::now();
  {
    LogSink sink(LogLevel::kInfo, pipe[1]);
    for (size_t i = 0; i < 2 * LogSink::kQueueLines; ++i) sink.write(LogLevel::kInfo, 0, std::string(100, 'x'));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, LogSink::kEndWait + 10s);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace posthaste::reactor::uring
