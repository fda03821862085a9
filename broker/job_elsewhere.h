// Work of another core that may wait for long. Handing it over is a call, its end is a push of its own: the credit of a
// call that waits is missing for all others (reactor/mail.h). It runs as a job there, below all classes of calls, so
// that the handler of a call of any class may wait for it.
#pragma once
#include "broker/broker_core.h"
#include "reactor/mail.h"
#include "reactor/sync.h"

namespace posthaste::broker {

namespace detail {

template <class Work>
reactor::Task<void> work_and_push(BrokerCore& there, reactor::CoreId home, Work& work, reactor::Event& is_done) {
  co_await work(there);
  co_await reactor::on_core(there.core(), home, [&](reactor::Core&) { is_done.set(); }, reactor::MessageClass::kPush);
}

}  // namespace detail

// `work(BrokerCore& there)` is a Task<void> on core `to`; the caller does not touch what it works on before this
// returns. The broker of that core does not stop before.
template <class Work>
reactor::Task<void> job_elsewhere(BrokerCore& from, reactor::CoreId to, reactor::MessageClass message_class,
                                  Work& work) {
  reactor::Event is_done(from.core());
  auto hand_over = [&](reactor::Core& core) {
    BrokerCore& there = from.there(core);
    there.scope().spawn_job(detail::work_and_push(there, from.core().id(), work, is_done));
  };
  co_await reactor::on_core(from.core(), to, std::move(hand_over), message_class);
  co_await is_done.wait();
}

}  // namespace posthaste::broker
