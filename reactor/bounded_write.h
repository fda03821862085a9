// Text for a descriptor that belongs to somebody else: a pipe to a supervisor, a terminal, a socket, a file. Who reads
// it may be slow, stopped or stuck, and no end of this process may depend on that. The flags of such a descriptor are
// shared with its other owners and stay as they are.
#pragma once
#include <chrono>
#include <string_view>

namespace posthaste::reactor {

// What the last words of a process may take in all; a reader that lives takes them within microseconds.
inline constexpr std::chrono::milliseconds kLastWordsWait{100};

// Any thread. Writes the front of `rest` and takes it off, until nothing is left or `deadline` has passed, which is at
// least one attempt. False: this descriptor takes nothing any more, now or later.
bool write_until(int fd, std::string_view& rest, std::chrono::steady_clock::time_point deadline) noexcept;

// Any thread: `words` to standard error, or as much of them as goes within kLastWordsWait.
void say_last_words(std::string_view words) noexcept;

}  // namespace posthaste::reactor
