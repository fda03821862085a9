// Where two answers differ. Order within an array of named things means nothing in the protocol and is not compared;
// what each broker chooses for itself is left out, by name of field, in one table (compare.cc).
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/differential/value.h"

namespace posthaste::differential {

struct Difference {
  std::string field;    // path of names: "responses.partition_responses.error_code"
  std::string where;    // the same with the keys of elements: "responses[$t0].partition_responses[1].error_code"
  std::string element;  // the innermost of these keys
  std::string kafka;    // value, or kAbsent
  std::string posthaste;
};
inline constexpr std::string_view kAbsent = "(absent)";

// A field whose value is not compared, in every message, and why.
struct NotCompared {
  std::string_view field;
  std::string_view reason;
};
std::span<const NotCompared> not_compared();

// When the error code of a structure differs, only that is reported of it: what stands beside follows from it.
// `run_start_ms`: times from then on are the brokers' own clocks, and equal to each other.
std::vector<Difference> differences(Value kafka, Value posthaste, int64_t run_start_ms);

}  // namespace posthaste::differential
