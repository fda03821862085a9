#include "reactor/running.h"

namespace posthaste::reactor {

constinit thread_local Running running_now;

}  // namespace posthaste::reactor
