// From our errors to Kafka's: the one exhaustive switch. A place that needs another code for an error (an unknown group
// is not an unknown topic) says so itself before it comes here.
#pragma once
#include "net/kafka/errors.h"
#include "reactor/result.h"

namespace posthaste::broker {

// The code for an error of a partition's log (append, read, look-up). Any core.
net::kafka::ErrorCode error_code_of(reactor::Errc error) noexcept;

}  // namespace posthaste::broker
