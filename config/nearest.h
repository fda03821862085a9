// "Did you mean": the known name closest to a mistyped one, for configuration keys of topics and of the broker. An
// unknown key is an error that names its neighbour; this file only measures distance, it knows no key itself.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace posthaste::config {

// Number of single-character insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`
// (optimal string alignment). ASCII case is ignored. O(|a| * |b|) time. Any core.
size_t edit_distance(std::string_view a, std::string_view b);

// The element of `known` with the least edit distance to `name`; of equals, the first. Nothing when even the best one
// differs in more than half of the longer word: naming it would then confuse more than help. Any core.
std::optional<std::string_view> nearest(std::string_view name, std::span<const std::string_view> known);

}  // namespace posthaste::config
