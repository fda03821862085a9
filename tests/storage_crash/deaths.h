// How lives and recoveries end before their time, and the moments at which they do. What is left then is decided by
// others.
#pragma once
#include <cstdint>
#include <random>
#include <string_view>

#include "reactor/simulated/world.h"

namespace posthaste::storage_crash {

// How a life ended. After a SIGKILL a recovery may find what is not durable yet and was never acknowledged; a power
// loss within that recovery may take it away again.
enum class End : uint8_t { kPowerLoss, kSigkill };

std::string_view name_of(End end);

// How recoveries are interrupted: `left` of them, each within so many operations and flushes.
struct Deaths {
  uint32_t left = 0;
  uint64_t operations = 0;
  uint64_t flushes = 0;
  bool by_power = false;  // the next one; else whatever is drawn
};

// A moment of a life: an operation, or a flush, when what it is to make durable lies in the page cache.
struct Moment {
  uint64_t operation = 0;  // not before this one
  uint64_t flush = 0;      // at so many flushes from there on; 0: at the operation itself
  bool passed = false;

  // Called for each operation of the life, when it is in flight: true once.
  bool is_at(const reactor::Op& op, uint64_t index) {
    if (passed || index < operation) return false;
    if (flush > 0) {
      if (op.kind != reactor::OpKind::kSync) return false;
      --flush;
    }
    passed = flush == 0;
    return passed;
  }
};

// Half of the moments of a life are the next flush after a drawn operation.
Moment draw_moment(std::mt19937_64& random, uint64_t operations);

// In a recovery operations that look are many and flushes are few: half of the moments are one of those.
Moment draw_moment(std::mt19937_64& random, const Deaths& deaths);

// Ends the life of a host at operation `index`. What comes later in the same batch is not submitted before a power
// loss.
void end_life(reactor::simulated::Host& host, End end, uint64_t index);

}  // namespace posthaste::storage_crash
