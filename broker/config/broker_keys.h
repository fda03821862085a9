// The configuration keys of a broker: Kafka's, all of them, and Posthaste's own (prefix `posthaste.`). One row says a
// key's type, default, range and what it does here. It holds no values: app/config reads those. Topic keys have
// a table of their own (topic_config.h). Kafka's names, types and ranges: documentation of Apache Kafka 4.3; where our
// default differs, the row's comment says why.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace posthaste::broker {

// How a value is read, as Kafka reads it. A kList is comma-separated; kPassword and kClass are strings.
enum class KeyType : uint8_t { kBoolean, kInt, kLong, kShort, kDouble, kString, kList, kPassword, kClass };

std::string_view to_string(KeyType type);

// What setting a key does. All but kUsed and kRefusedUnlessDefault are accepted and change nothing, for the stated
// reason.
enum class KeyEffect : uint8_t {
  kUsed,
  kRefusedUnlessDefault,  // ignoring it would break a promise (security, policy): any other value is an error
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
  kOwnStorage,
  kPerListener,  // of no row: what a setting for one listener is that has a meaning for the whole broker
};

// Why a key with this effect changes nothing, as half a sentence ("... has no effect: <reason>"). Empty for kUsed.
std::string_view reason(KeyEffect effect);

// Both ends belong to the range. Whole numbers only; Kafka has no broker key with a fractional bound.
struct KeyRange {
  int64_t least = INT64_MIN;
  int64_t most = INT64_MAX;
};

struct BrokerKey {
  std::string_view name;
  KeyType type;
  std::string_view default_value;  // in the text form of the type; empty when there is none
  KeyEffect effect;
  KeyRange range = {};            // of numbers
  std::string_view allowed = {};  // of strings and of each element of a list: comma-separated; empty allows any
};

// All keys, sorted by name. Lives forever. Any core.
std::span<const BrokerKey> broker_keys();

// The key of that exact name, or nullptr. Any core.
const BrokerKey* find_broker_key(std::string_view name);

}  // namespace posthaste::broker
