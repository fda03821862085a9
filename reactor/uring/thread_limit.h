// What an operator does when the system has no further thread for this process.
#pragma once
#include <string_view>

namespace posthaste::reactor::uring {

// The limits: RLIMIT_NPROC, which counts all threads of the user, and pids.max of the control group.
inline constexpr std::string_view kThreadRemedy =
    "raise the limit of processes and threads (ulimit -u, TasksMax, pids.max of the control group)";

}  // namespace posthaste::reactor::uring
