// The differences that stand: each names an API, its versions, one field, the two values and, where it takes one, a
// condition, and says why Posthaste does not do as Kafka does. docs/differences.md is written from this table.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tests/differential/compare.h"
#include "tests/differential/step.h"

namespace posthaste::differential {

enum class State : uint8_t { kSame, kDiffers };

struct AcceptedDifference {
  kafka::ApiKey api{};
  int16_t first_version = 0;
  int16_t last_version = 0;
  std::string_view field;    // as in Difference; "(outcome)": answered, closed or held back
  std::string_view element;  // the key of the innermost array element; empty: any
  std::string_view kafka;    // the value
  std::string_view posthaste;
  std::string_view condition;  // a trait of the step; empty: none
  std::string_view reason;
  // kDiffers: the brokers' states differ from here on, and the rest of the sequence would prove nothing.
  State state = State::kSame;
};

inline constexpr std::string_view kAnyValue = "(any)";

std::span<const AcceptedDifference> accepted_differences();

// The row that covers this difference of this step, or null. `traits`: the step's, and what came about in the run.
const AcceptedDifference* find_accepted(const Step& step, const std::set<std::string, std::less<>>& traits,
                                        const Difference& difference);

// docs/differences.md.
std::string accepted_as_markdown();

}  // namespace posthaste::differential
