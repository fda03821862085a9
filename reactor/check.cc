#include "reactor/check.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>

#include "reactor/bounded_write.h"

namespace posthaste::reactor {
namespace {
FatalHandler fatal_handler = nullptr;
}  // namespace

void check_failed(const char* file, int line, const char* condition, std::string_view message) noexcept {
  say_last_words(fmt::format("posthaste: CHECK failed at {}:{}: {}{}{}\n", file, line, condition,
                             message.empty() ? "" : ": ", message));
  std::abort();
}

void fatal(FatalReason reason, std::string_view message) {
  if (fatal_handler != nullptr) fatal_handler(reason, message);
  say_last_words(fmt::format("posthaste: fatal: {} (exit code {})\n", message, static_cast<int>(reason)));
  ::_exit(static_cast<int>(reason));
}

void bound_terminate() noexcept {
  std::set_terminate([] {
    std::string what = "no exception";
    try {
      if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
    } catch (const std::exception& error) {
      what = error.what();
    } catch (...) {
      what = "an exception of an unknown kind";
    }
    say_last_words(fmt::format("posthaste: terminated: {}\n", what));
    std::abort();
  });
}

void set_fatal_handler(FatalHandler handler) noexcept { fatal_handler = handler; }

}  // namespace posthaste::reactor
