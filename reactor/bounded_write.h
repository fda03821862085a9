// Text for a descriptor that this process does not own alone: a pipe to a supervisor, a terminal, a socket, a file. Its
// reader may be slow, stopped or stuck, and the end of this process must not depend on it. The flags of such a
// descriptor are shared with its other owners and stay as they are.
#pragma once
#include <chrono>
#include <string_view>

namespace posthaste::reactor {

// The time that the last words of a process may take in total; a live reader takes them within microseconds.
inline constexpr std::chrono::milliseconds kLastWordsWait{100};

// Any thread. Writes `rest` and removes from it what is written, until nothing is left or `deadline` has passed; makes
// at least one attempt. False: this descriptor accepts nothing any more, now or later.
bool write_until(int fd, std::string_view& rest, std::chrono::steady_clock::time_point deadline) noexcept;

// Any thread: writes `words` to standard error, or as much of them as possible within kLastWordsWait.
void say_last_words(std::string_view words) noexcept;

}  // namespace posthaste::reactor
