// How a command ends: the exit codes of `posthaste`, and an error that carries one with a message for a person.
#pragma once
#include <expected>
#include <string>

namespace posthaste::app {

// Exit codes of every subcommand but `serve`, which adds those of reactor::FatalReason. Documented in the help text.
enum class ExitCode : int {
  kOk = 0,
  kRefused = 1,      // the broker answered with an error, or part of the work failed
  kUsage = 2,        // the command line or the configuration is wrong; nothing was asked of a broker
  kUnreachable = 3,  // no broker answered in time
};

// One line (no full stop, no line end) that says what to do where that is known.
struct CliError {
  ExitCode code = ExitCode::kRefused;
  std::string message;
};

template <class T>
using CliResult = std::expected<T, CliError>;

inline std::unexpected<CliError> cli_error(ExitCode code, std::string message) {
  return std::unexpected(CliError{code, std::move(message)});
}

}  // namespace posthaste::app
