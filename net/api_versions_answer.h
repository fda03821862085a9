// The answer to ApiVersions, the one request that each kind of listener serves: it says what that listener serves.
#pragma once
#include "net/request.h"

namespace posthaste::net {

// The answer to `request`, an ApiVersions of any version, which has come to a listener that serves `served`. One that
// does not parse ends its connection. Any core.
Response answer_api_versions(const Request& request, const kafka::ServedApis& served);

}  // namespace posthaste::net
