// For tests that drive several cores from one: work on another core as a job of its own, which may call on.
#pragma once
#include "reactor/mail.h"
#include "reactor/sync.h"

namespace posthaste::reactor {

// Runs `work(Core& there)`, which returns a Task<void>, on core `to` below every class of calls, and waits for its end.
template <class Work>
Task<void> job_on(Core& home, CoreId to, Work work) {
  auto call = [&work](Core& there) -> Task<void> {
    Event over(there);
    auto job = [&]() -> Task<void> {
      co_await work(there);
      over.set();
    };
    there.scope().spawn_job(job());
    co_await over.wait();
  };
  co_await on_core(home, to, std::move(call));
}

}  // namespace posthaste::reactor
