// What the rows of broker_apis.h have to keep to.
#include "net/kafka/broker_apis.h"

#include <algorithm>
#include <functional>

namespace posthaste::net::kafka {
namespace {

static_assert(std::ranges::adjacent_find(kBrokerApis, std::ranges::greater_equal(), &ApiInfo::key) == kBrokerApis.end(),
              "the rows stand in key order, each key once");
static_assert(std::ranges::all_of(kBrokerApis,
                                  [](const ApiInfo& info) {
                                    return info.codec_knows(info.advertised_min) &&
                                           info.codec_knows(info.advertised_max);
                                  }),
              "what is advertised can be read and written");

}  // namespace
}  // namespace posthaste::net::kafka
