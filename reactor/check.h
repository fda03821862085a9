// The two ways to end the process on an error. CHECK is for our own bugs and stays on in every build; fatal() is for a
// world that cannot be trusted any more (a failed fsync, a journal that cannot be written), and has an exit code of its
// own per reason. Neither waits for the reader of standard error: bounded_write.h. What can happen in a healthy world
// (a full disk on allocate, a closed socket, bad bytes) is a Result: result.h.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace posthaste::reactor {

// Exit code of the process for each reason that ends it on purpose. 1 and 2 are left to ordinary command-line failures.
enum class FatalReason : uint8_t {
  kDurableWriteFailed = 70,  // a journal, write-back or external write failed: what is on disk is unknown
  kJournalFull = 71,         // ENOSPC on a preallocated journal
  kOutOfMemoryAtStart = 72,  // the pools did not fit
  kRingBroken = 73,          // io_uring itself returned an error that has no recovery
  kDiskFullAtStop = 74,      // a stop found no room for what is safe in the journal; a start continues it
  kFolderLost = 75,          // the data folder was removed or replaced while it was served
  kNoPermissionAtStop =
      77,  // a stop may not write where data that is safe in the journal belongs; a start continues it
};

[[noreturn]] void check_failed(const char* file, int line, const char* condition, std::string_view message) noexcept;

// Prints `message` and ends the process with the reason's exit code. Never returns, runs no destructor.
[[noreturn]] void fatal(FatalReason reason, std::string_view message);

// An exception that nobody catches ends the process with its text and SIGABRT, in bounded time as well. Once, by the
// first thread, before others start.
void bound_terminate() noexcept;

// Simulation hook: called instead of ending the process; it must not return (it throws, or ends the test).
using FatalHandler = void (*)(FatalReason reason, std::string_view message);
void set_fatal_handler(FatalHandler handler) noexcept;

namespace detail {
inline std::string check_message() { return {}; }
template <class... Args>
std::string check_message(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}
}  // namespace detail
}  // namespace posthaste::reactor

// CHECK(condition) or CHECK(condition, "format {}", argument...): ends the process if our own invariant is broken.
#define CHECK(condition, ...)                                                                       \
  do {                                                                                              \
    if (!(condition)) [[unlikely]]                                                                  \
      ::posthaste::reactor::check_failed(__FILE__, __LINE__, #condition,                            \
                                         ::posthaste::reactor::detail::check_message(__VA_ARGS__)); \
  } while (false)
