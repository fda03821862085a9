// What the rows of unserved_apis.h have to keep to.
#include "net/kafka/unserved_apis.h"

#include <functional>

namespace posthaste::net::kafka {
namespace {

static_assert(std::ranges::adjacent_find(kUnservedApis, std::ranges::greater_equal(), &ApiInfo::key) ==
                  kUnservedApis.end(),
              "the rows stand in key order, each key once");
static_assert(std::ranges::none_of(kUnservedApis, [](const ApiInfo& info) { return find_api(info.key) != nullptr; }),
              "an API that is served has its row in api_table.h alone");
static_assert(std::ranges::all_of(kUnservedApis,
                                  [](const ApiInfo& info) {
                                    return info.codec_knows(info.codec_max) && !info.advertises(info.codec_min) &&
                                           !info.advertises(info.codec_max);
                                  }),
              "the codec has versions of it, and nobody is told");

}  // namespace
}  // namespace posthaste::net::kafka
