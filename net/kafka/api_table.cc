// What the rows of api_table.h have to keep to.
#include "net/kafka/api_table.h"

#include <algorithm>
#include <functional>

namespace posthaste::net::kafka {
namespace {

static_assert(std::ranges::adjacent_find(kApis, std::ranges::greater_equal(), &ApiInfo::key) == kApis.end(),
              "the rows stand in key order, each key once");
static_assert(std::ranges::all_of(kApis,
                                  [](const ApiInfo& info) {
                                    return info.codec_knows(info.advertised_min) &&
                                           info.codec_knows(info.advertised_max);
                                  }),
              "what is advertised can be read and written");

}  // namespace
}  // namespace posthaste::net::kafka
