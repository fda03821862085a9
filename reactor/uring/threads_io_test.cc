// What cores on real threads share besides mail: the log, the file system, the sockets that one core accepts and
// another serves; each with the thread of its own that stands behind it. Meant for ThreadSanitizer (preset tsan).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "reactor/file.h"
#include "reactor/mail.h"
#include "reactor/testing/temporary_folder.h"
#include "reactor/uring/host.h"

namespace posthaste::reactor::uring {
namespace {

constexpr CoreId kCores = 3;
constexpr size_t kPoolBytes = size_t{1} << 20;
constexpr uint64_t kLogLines = 2000;  // of each core; all of them fit into the queue of the sink
static_assert((kCores + 1) * kLogLines <= LogSink::kQueueLines);
constexpr int kFileRounds = 100;
constexpr uint32_t kConnections = 120;
constexpr uint32_t kRoundTrips = 20;

class ThreadsIoTest : public ::testing::TestWithParam<Profile> {
 protected:
  ThreadsIoTest() { uring_.ring.profile = GetParam(); }
  std::expected<std::vector<Host::CoreReport>, std::string> run(Program program) {
    return run_host({.cores = kCores, .pool_bytes_per_core = kPoolBytes}, uring_, std::move(program));
  }
  UringOptions uring_;
};

TEST_P(ThreadsIoTest, LogLinesOfAllCoresArriveOnceAndInOrder) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  std::string text;
  std::thread reader([&] {
    std::array<char, 4096> piece{};
    for (ssize_t count; (count = ::read(pipe[0], piece.data(), piece.size())) > 0;)
      text.append(piece.data(), static_cast<size_t>(count));
  });
  {
    LogSink sink(LogLevel::kInfo, pipe[1]);
    uring_.log = &sink;
    // A thread that is no core's, as that of the admin port.
    std::thread other([&] {
      for (uint64_t i = 0; i < kLogLines; ++i) sink.write(LogLevel::kInfo, kCores, fmt::format("line={}.", i));
    });
    const auto reports = run([](Core& core) -> Task<void> {
      for (uint64_t i = 0; i < kLogLines; ++i) {
        core.backend().log(LogLevel::kInfo, fmt::format("line={}.", i));
        if (i % 64 == 0) co_await core.yield();
      }
    });
    other.join();
    ASSERT_TRUE(reports) << reports.error();
    EXPECT_EQ(sink.dropped(), 0U);
  }
  ::close(pipe[1]);
  reader.join();
  ::close(pipe[0]);
  for (CoreId core = 0; core <= kCores; ++core) {
    size_t at = 0;
    for (uint64_t i = 0; i < kLogLines; ++i) {
      const std::string line = fmt::format("core={} line={}.\n", core, i);
      at = text.find(line, at);
      ASSERT_NE(at, std::string::npos) << line;
      at += line.size();
    }
    EXPECT_EQ(text.find(fmt::format("core={} ", core), at), std::string::npos) << "no line comes twice";
  }
}

// Makes, cuts, looks at, renames and removes a file, round after round: half of that goes to the core's helper thread,
// the rest to the ring. Mail of the other cores wakes it meanwhile.
Task<void> use_files(Core& core, std::string shared, int rounds) {
  const std::string own = fmt::format("{}/{}", shared, core.id());
  CHECK(co_await file_system::make_directory(core, own));
  const std::vector<std::byte> bytes(1000, std::byte{1});
  for (int round = 0; round < rounds; ++round) {
    const std::string path = fmt::format("{}/{}", own, round);
    Result<File> file = co_await File::open(core, path, kOpenWrite | kOpenCreate | kOpenExclusive);
    CHECK(file);
    Result<uint64_t> written = co_await file->write(0, bytes, 0, IoClass::kWriteBack);
    CHECK(written && *written == bytes.size());
    CHECK(co_await file->truncate(static_cast<uint64_t>(round)));
    CHECK(co_await file->close());
    const auto found = co_await file_system::stat(core, path);
    CHECK(found && found->size_bytes == static_cast<uint64_t>(round));
    CHECK(co_await file_system::rename(core, path, own + "/kept"));
    const auto listed = co_await file_system::list_directory(core, own);
    CHECK(listed && listed->size() == 1 && listed->front().name == "kept");
    const auto all = co_await file_system::list_directory(core, shared);
    CHECK(all && !all->empty());
    CHECK(co_await file_system::unlink(core, own + "/kept"));
    const auto next = static_cast<CoreId>((core.id() + 1) % core.core_count());
    const bool answered = co_await on_core(core, next, [](Core&) { return true; });
    CHECK(answered);
  }
  CHECK(co_await file_system::remove_directory(core, own));
}

TEST_P(ThreadsIoTest, SeveralCoresWorkOnTheFileSystem) {
  const testing::TemporaryFolder folder;
  const auto reports = run([&](Core& core) { return use_files(core, folder.path, kFileRounds); });
  ASSERT_TRUE(reports) << reports.error();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path));
  for (const Host::CoreReport& report : *reports) EXPECT_GE(report.uring.helper_operations, 3U * kFileRounds);
}

Task<void> echo(Core& core, FileId id) {
  Socket socket(core, id);
  for (;;) {
    Result<Slice> got = co_await socket.receive_small();
    if (!got || got->size == 0) break;
    Result<void> sent = co_await socket.send({&*got, 1});
    core.backend().recycle(*got);
    CHECK(sent);
  }
  co_await socket.close();
}

// Accepts and hands each connection to the next core, as net/listener.h does.
Task<void> accept_all(Core& core, Socket& listener, uint32_t connections) {
  for (uint32_t i = 0; i < connections; ++i) {
    std::string peer;
    Result<Socket> accepted = co_await listener.accept(&peer);
    CHECK(accepted && !peer.empty());
    const int detached = core.backend().detach(accepted->id());
    const auto to = static_cast<CoreId>(i % core.core_count());
    co_await on_core(core, to, [detached](Core& there) {
      const Result<FileId> adopted = there.backend().adopt(detached);
      CHECK(adopted);
      there.scope().spawn(echo(there, *adopted));
    });
  }
}

Task<void> connect_and_talk(Core& core, std::string address, uint32_t connections) {
  for (uint32_t i = 0; i < connections; ++i) {
    Result<Socket> socket = co_await Socket::connect(core, address);
    CHECK(socket);
    for (uint32_t round = 0; round < kRoundTrips; ++round) {
      std::vector<std::byte> out(100, static_cast<std::byte>(core.id() * 64 + i + round));
      std::vector<std::byte> in(out.size());
      const Slice slice{out.data(), out.size()};
      CHECK(co_await socket->send({&slice, 1}));
      CHECK(co_await socket->receive_all(in));
      CHECK(in == out);
    }
    co_await socket->close();
  }
}

TEST_P(ThreadsIoTest, ConnectionsAreServedByAnotherCoreThanTheOneThatAccepts) {
  const auto reports = run([](Core& core) -> Task<void> {
    if (core.id() != 0) co_return;
    std::string bound;
    Result<Socket> listener = co_await Socket::listen(core, "127.0.0.1:0", &bound);
    CHECK(listener);
    TaskScope scope(core);
    scope.spawn(accept_all(core, *listener, kConnections));
    for (CoreId to = 0; to < kCores; ++to) {
      scope.spawn(
          on_core(core, to, [bound](Core& there) { return connect_and_talk(there, bound, kConnections / kCores); }));
    }
    co_await scope.join();
    co_await listener->close();
  });
  ASSERT_TRUE(reports) << reports.error();
}

INSTANTIATE_TEST_SUITE_P(Uring, ThreadsIoTest, ::testing::Values(Profile::k6_1, Profile::k6_12),
                         [](const auto& info) { return info.param == Profile::k6_1 ? "k6_1" : "k6_12"; });

}  // namespace
}  // namespace posthaste::reactor::uring
