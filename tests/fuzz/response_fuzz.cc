// Every response of the table, any version, as our own clients might receive it.
#include "tests/fuzz/message_target.h"

namespace posthaste::fuzz {

template <class Request>
struct ResponseOf {
  using Type = Request::Response;
};

void run_one(Bytes input) { check_message<ResponseOf>(input); }

}  // namespace posthaste::fuzz
