// Calls to several owner cores at the same time, for requests whose partitions belong to more than one.
#pragma once
#include <type_traits>

#include "broker/broker_core.h"
#include "reactor/mail.h"
#include "reactor/recycled.h"

namespace posthaste::broker {

// Runs `work_of(part)` on core `part.owner` for each of `parts`, at the same time; returns when all calls have. The
// parts stay where they are until then. Call it on the request's core.
template <class Parts, class WorkOf>
reactor::Task<void> on_owners(BrokerCore& core, Parts& parts, WorkOf work_of) {
  using Work = std::invoke_result_t<WorkOf&, typename Parts::value_type&>;
  // Calls must not move once they are started.
  reactor::RecycledDeque<reactor::RemoteCall<Work>> calls;
  for (auto& part : parts) {
    calls.emplace_back(core.core(), part.owner, reactor::MessageClass::kRequest, work_of(part));
    calls.back().start();
  }
  for (auto& call : calls) co_await call.reply();
}

}  // namespace posthaste::broker
