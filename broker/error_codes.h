// From our errors to Kafka's: the one exhaustive switch. Code that needs another code for an error (an unknown group is
// not an unknown topic) chooses it before it calls this.
#pragma once
#include "net/kafka/errors.h"
#include "reactor/result.h"

namespace posthaste::broker {

// The code for an error of a partition's log (append, read, look-up). Any core.
net::kafka::ErrorCode error_code_of(reactor::Errc error) noexcept;

}  // namespace posthaste::broker
