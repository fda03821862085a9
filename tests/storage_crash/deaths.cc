// The draws of moments, and the two ways in which a simulated host dies.
#include "tests/storage_crash/deaths.h"

#include "tests/storage_crash/tiny_store.h"

namespace posthaste::storage_crash {

std::string_view name_of(End end) { return end == End::kPowerLoss ? "power off" : "SIGKILL"; }

Moment draw_moment(std::mt19937_64& random, uint64_t operations) {
  return {.operation = 1 + below(random, operations), .flush = below(random, 2)};
}

Moment draw_moment(std::mt19937_64& random, const Deaths& deaths) {
  if (deaths.flushes > 0 && below(random, 2) == 0) return {.operation = 0, .flush = 1 + below(random, deaths.flushes)};
  return {.operation = 1 + below(random, deaths.operations)};
}

void end_life(reactor::simulated::Host& host, End end, uint64_t index) {
  end == End::kSigkill ? host.kill() : host.crash_after_operations(index);
}

}  // namespace posthaste::storage_crash
