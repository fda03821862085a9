#include "config/broker_keys.h"

#include <algorithm>

#include "config/broker_key_table.h"

namespace posthaste::config {

using enum KeyType;
using enum KeyEffect;

std::span<const BrokerKey> broker_keys() { return broker_key_table::kRows; }

const BrokerKey* find_broker_key(std::string_view name) { return broker_key_table::find(name); }

std::vector<const BrokerKey*> keys_up_to(const BrokerKey& key) {
  std::vector<const BrokerKey*> keys = {&key};
  while (true) {
    const auto before = std::ranges::find_if(
        broker_keys(), [&](const BrokerKey& one) { return one.unit.fallback == keys.front()->name; });
    if (before == broker_keys().end()) return keys;
    keys.insert(keys.begin(), &*before);
  }
}

std::string_view to_string(KeyType type) {
  switch (type) {
    case kBoolean:
      return "boolean (true or false)";
    case kInt:
      return "int (a whole number of 32 bits)";
    case kLong:
      return "long (a whole number of 64 bits)";
    case kShort:
      return "short (a whole number of 16 bits)";
    case kDouble:
      return "double (a number)";
    case kString:
      return "string";
    case kList:
      return "list (comma-separated)";
    case kPassword:
      return "password";
    case kClass:
      return "class";
  }
  return "?";
}

std::string_view reason(KeyEffect effect) {
  switch (effect) {
    case kUsed:
      return "";
    case kRefusedUnlessDefault:
      return "this version cannot honour it, and to ignore it would be unsafe";
    case kLoneBroker:
      return "this broker is a cluster of one and its own quorum";
    case kNoTiering:
      return "there is no tiered storage in this version";
    case kNoSecurity:
      return "only PLAINTEXT listeners are served in this version";
    case kClassicGroupsOnly:
      return "of the group protocols this version serves the classic one";
    case kNoTransactions:
      return "transactions are not served in this version";
    case kNoCompaction:
      return "this version does not compact logs";
    case kOnlyRefusesZstd:
      return "batches are stored as the producer compressed them; only zstd counts: clients that are too old for it "
             "cannot fetch such a topic";
    case kOpaqueBatches:
      return "batches are stored as the producer compressed them";
    case kNoQuotas:
      return "there are no quotas in this version";
    case kNoPurgatory:
      return "a waiting request is woken by what it waits for";
    case kThreadPerCore:
      return "there is one thread per core, see posthaste.cores";
    case kNoJavaMetrics:
      return "metrics are not reported through Java classes";
    case kKernelBuffers:
      return "the kernel sizes socket buffers by itself";
    case kOwnStorage:
      return "the journal and its own segments replace what it tunes";
    case kKernelQueue:
      return "the queue is as long as the kernel allows (net.core.somaxconn), 4096 at most";
    case kDropsAtOnce:
      return "the file of a dropped segment is removed as soon as the new log start is durable";
    case kPerListener:
      return "it is set for one listener, and this version has it for all of them only";
  }
  return "";
}

}  // namespace posthaste::config
