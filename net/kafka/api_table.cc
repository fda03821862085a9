// What the rows of api_table.h and broker_apis.h have to keep to.
#include "net/kafka/api_table.h"

#include <algorithm>
#include <functional>

#include "net/kafka/broker_apis.h"

namespace posthaste::net::kafka {
namespace {

constexpr bool ascend_by_key(const ServedApis& served) {
  return std::ranges::adjacent_find(served.rows, std::ranges::greater_equal(), &ApiInfo::key) == served.rows.end();
}

constexpr bool are_known_to_codec(const ServedApis& served) {
  return std::ranges::all_of(served.rows, [](const ApiInfo& info) {
    return info.codec_knows(info.advertised_min) && info.codec_knows(info.advertised_max);
  });
}

static_assert(ascend_by_key(kServedToClients) && ascend_by_key(kServedToBrokers),
              "the rows stand in key order, each key once");
static_assert(are_known_to_codec(kServedToClients) && are_known_to_codec(kServedToBrokers),
              "what is advertised can be read and written");

}  // namespace
}  // namespace posthaste::net::kafka
