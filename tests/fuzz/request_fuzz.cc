// Every request of the table, any version, as a client might send it.
#include "tests/fuzz/message_target.h"

namespace posthaste::fuzz {

template <class Request>
struct RequestOf {
  using Type = Request;
};

void run_one(Bytes input) { check_message<RequestOf>(input); }

}  // namespace posthaste::fuzz
