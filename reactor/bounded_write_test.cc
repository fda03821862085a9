// What ends a process, and what it writes, against readers that live and do not read. Each end happens in a process of
// its own, whose standard error is such a descriptor.
#include "reactor/bounded_write.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "reactor/check.h"

namespace posthaste::reactor {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kSoon = 5s;  // far above all bounds, for a machine with other work

enum class Kind { kPipe, kSocket, kTerminal };

// A descriptor, and the one that its reader holds.
struct Ends {
  explicit Ends(Kind kind) {
    std::array<int, 2> pair{-1, -1};
    if (kind == Kind::kPipe) EXPECT_EQ(::pipe(pair.data()), 0);
    if (kind == Kind::kSocket) EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    if (kind == Kind::kTerminal) {
      pair[0] = ::posix_openpt(O_RDWR | O_NOCTTY);
      EXPECT_EQ(::grantpt(pair[0]), 0);
      EXPECT_EQ(::unlockpt(pair[0]), 0);
      pair[1] = ::open(::ptsname(pair[0]), O_RDWR | O_NOCTTY);  // NOLINT: one thread
    }
    reader = pair[0];
    writer = pair[1];
    EXPECT_GE(writer, 0);
  }
  ~Ends() {
    ::close(reader);
    ::close(writer);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  void fill() const {
    const int flags = ::fcntl(writer, F_GETFL);
    ::fcntl(writer, F_SETFL, flags | O_NONBLOCK);
    const std::string much(4096, 'x');
    while (::write(writer, much.data(), much.size()) > 0) {
    }
    ::fcntl(writer, F_SETFL, flags);
  }

  int reader = -1;
  int writer = -1;
};

class BoundedWrite : public ::testing::TestWithParam<Kind> {};

TEST_P(BoundedWrite, EndsAtTheDeadlineWhenNobodyReads) {
  const Ends ends(GetParam());
  ends.fill();
  const std::string text(1 << 20, 'n');  // a full terminal finds a little more room after a while
  std::string_view rest = text;
  const auto begin = Clock::now();
  EXPECT_TRUE(write_until(ends.writer, rest, begin + 50ms));
  EXPECT_GE(Clock::now() - begin, 50ms);
  EXPECT_LT(Clock::now() - begin, kSoon);
  EXPECT_FALSE(rest.empty());
  EXPECT_EQ(::fcntl(ends.writer, F_GETFL) & O_NONBLOCK, 0) << "others share the flags";
}

TEST_P(BoundedWrite, WritesMoreThanThereIsRoomForAsFarAsItGoes) {
  const Ends ends(GetParam());
  const std::string much(4 << 20, 'y');
  std::string_view rest = much;
  const auto begin = Clock::now();
  EXPECT_TRUE(write_until(ends.writer, rest, begin + 200ms));
  EXPECT_LT(Clock::now() - begin, kSoon);
  EXPECT_LT(rest.size(), much.size());
  EXPECT_GT(rest.size(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, BoundedWrite, ::testing::Values(Kind::kPipe, Kind::kSocket, Kind::kTerminal));

TEST(BoundedWriteToFile, WritesAll) {
  char path[] = "/tmp/bounded-write-XXXXXX";
  const int fd = ::mkstemp(path);
  ::unlink(path);
  const std::string much(1 << 20, 'z');
  std::string_view rest = much;
  EXPECT_TRUE(write_until(fd, rest, Clock::now()));
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(::lseek(fd, 0, SEEK_END), 1 << 20);
  ::close(fd);
}

TEST(BoundedWriteToNobody, SaysSo) {
  ::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> pair{-1, -1};
  ASSERT_EQ(::pipe(pair.data()), 0);
  ::close(pair[0]);
  std::string_view rest = "x";
  EXPECT_FALSE(write_until(pair[1], rest, Clock::now() + kSoon));
  ::close(pair[1]);
}

// How a process ended that did `end` with a full pipe for its standard error; -1: it did not.
int status_of(const std::function<void()>& end) {
  const Ends ends(Kind::kPipe);
  ends.fill();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends.writer, STDERR_FILENO);
    end();
    ::_exit(0);
  }
  const auto give_up = Clock::now() + kSoon;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (Clock::now() > give_up) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return -1;
    }
    ::poll(nullptr, 0, 5);
  }
  return status;
}

TEST(EndsWithoutReader, FatalError) {
  const int status = status_of([] { fatal(FatalReason::kFolderLost, "gone"); });
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 75);
}

TEST(EndsWithoutReader, FailedCheck) {
  const int status = status_of([] { CHECK(false, "{}", std::string(1000, 'x')); });
  ASSERT_NE(status, -1);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

TEST(EndsWithoutReader, UncaughtException) {
  const int status = status_of([] {
    bound_terminate();
    std::thread([] { throw std::runtime_error("nobody catches this"); }).join();
  });
  ASSERT_NE(status, -1);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

}  // namespace
}  // namespace posthaste::reactor
