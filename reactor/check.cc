#include "reactor/check.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace posthaste::reactor {
namespace {
FatalHandler fatal_handler = nullptr;
}  // namespace

void check_failed(const char* file, int line, const char* condition, std::string_view message) noexcept {
  std::fprintf(stderr, "posthaste: CHECK failed at %s:%d: %s%s%.*s\n", file, line, condition,
               message.empty() ? "" : ": ", static_cast<int>(message.size()), message.data());
  std::abort();
}

void fatal(FatalReason reason, std::string_view message) {
  if (fatal_handler != nullptr) fatal_handler(reason, message);
  std::fprintf(stderr, "posthaste: fatal: %.*s (exit code %d)\n", static_cast<int>(message.size()), message.data(),
               static_cast<int>(reason));
  ::_exit(static_cast<int>(reason));
}

void set_fatal_handler(FatalHandler handler) noexcept { fatal_handler = handler; }

}  // namespace posthaste::reactor
