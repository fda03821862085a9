// What a row of the two tables of configuration keys is made of (topic_keys.h, broker_key_table.h), and how code that
// acts on a key names it: as an argument of a template, so that a key that does not exist, or whose row says that it
// changes nothing, does not compile. tests/architecture/settings.py finds the keys whose row says that they are used
// and that nothing reads.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace posthaste::config {

// How a value is read, as Kafka reads it. A kList is comma-separated; kPassword and kClass are strings.
enum class KeyType : uint8_t { kBoolean, kInt, kLong, kShort, kDouble, kString, kList, kPassword, kClass };

std::string_view to_string(KeyType type);

// What setting a key does. All but the first three are accepted and change nothing, for the stated reason.
enum class KeyEffect : uint8_t {
  kUsed,
  kRefusedUnlessDefault,  // ignoring it would break a promise (security, policy): any other value is an error
  kOnlyRefusesZstd,       // one value has an effect, another one than the name says
  kLoneBroker,
  kNoTiering,
  kNoSecurity,
  kClassicGroupsOnly,
  kNoTransactions,
  kNoCompaction,
  kOpaqueBatches,
  kNoQuotas,
  kNoPurgatory,
  kThreadPerCore,
  kNoJavaMetrics,
  kKernelBuffers,
  kKernelQueue,
  kDropsAtOnce,
  kOwnStorage,
  kPerListener,  // of no row: what a setting for one listener is that has a meaning for the whole broker
};

// Why a key with this effect changes nothing, as half a sentence ("... has no effect: <reason>"). Empty for kUsed.
std::string_view reason(KeyEffect effect);

// True if code reads the value and acts on it.
constexpr bool is_read(KeyEffect effect) { return effect == KeyEffect::kUsed || effect == KeyEffect::kOnlyRefusesZstd; }

// Both ends belong to the range. Whole numbers only; Kafka has no key with a fractional bound.
struct KeyRange {
  int64_t least = INT64_MIN;
  int64_t most = INT64_MAX;
  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

// The default of a key that has none; Kafka distinguishes that from an empty text.
inline constexpr std::string_view kNoDefault{};

// A key's name as an argument of a template.
template <size_t kSize>
struct KeyName {
  // NOLINTNEXTLINE(google-explicit-constructor): a literal is meant to stand where a name is asked for
  consteval KeyName(const char (&literal)[kSize]) { std::copy_n(literal, kSize, text); }
  constexpr std::string_view view() const { return {text, kSize - 1}; }
  char text[kSize]{};
};

}  // namespace posthaste::config
