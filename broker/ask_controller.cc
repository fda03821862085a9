#include "broker/ask_controller.h"

#include <optional>

#include "broker/broker_host.h"
#include "reactor/mail.h"
#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::CoreId;
using reactor::MessageClass;
using reactor::Task;
using replication::AlterConfigResult;
using replication::AlterConfigsRequest;
using replication::Controller;
using replication::CreateTopicResult;
using replication::CreateTopicsRequest;
using replication::DeleteTopic;
using replication::DeleteTopicResult;
using replication::GrowTopicResult;
using replication::GrowTopicsRequest;
using replication::ProducerIdAllocator;

// What a handler asks of the controller. It lives with the handler, on its core.
template <class Work, class Answer>
struct Asked {
  Asked(Core& core, Work asked) : from(core.id()), work(std::move(asked)), is_answered(core) {}
  CoreId from;
  Work work;  // for core 0 alone, until it has answered
  std::optional<Answer> answer;
  reactor::Event is_answered;
};

// A job of core 0, below all classes of calls: so a handler of any class may wait for it.
template <class Work, class Answer>
Task<void> work_and_push(BrokerCore& zero, Asked<Work, Answer>& asked) {
  Answer answer = co_await asked.work(zero.host().controller());
  auto push = [&](Core&) {
    asked.answer.emplace(std::move(answer));
    asked.is_answered.set();
  };
  co_await reactor::on_core(zero.core(), asked.from, std::move(push), MessageClass::kPush);
}

// Only handing it over is a call, the answer is a push of its own: a change may wait for seconds, and the credit of a
// call that waits is missing to everybody else.
template <class Work>
auto ask(BrokerCore& from, Work work) -> std::invoke_result_t<Work&, Controller&> {
  using Answer = std::invoke_result_t<Work&, Controller&>::value_type;
  Asked<Work, Answer> asked(from.core(), std::move(work));
  auto hand_over = [&](Core& zero) {
    BrokerCore& there = from.there(zero);
    there.scope().spawn_job(work_and_push(there, asked));
  };
  co_await reactor::on_core(from.core(), 0, std::move(hand_over), MessageClass::kControl);
  co_await asked.is_answered.wait();
  co_return std::move(*asked.answer);
}

}  // namespace

Task<std::vector<CreateTopicResult>> create_topics_on_controller(BrokerCore& from, CreateTopicsRequest request) {
  return ask(from, [request = std::move(request)](Controller& controller) mutable {
    return controller.create_topics(std::move(request));
  });
}

Task<std::vector<DeleteTopicResult>> delete_topics_on_controller(BrokerCore& from, std::vector<DeleteTopic> topics,
                                                                 std::string asked_by) {
  return ask(from, [topics = std::move(topics), asked_by = std::move(asked_by)](Controller& controller) mutable {
    return controller.delete_topics(std::move(topics), std::move(asked_by));
  });
}

Task<std::vector<GrowTopicResult>> grow_topics_on_controller(BrokerCore& from, GrowTopicsRequest request) {
  return ask(from, [request = std::move(request)](Controller& controller) mutable {
    return controller.grow_topics(std::move(request));
  });
}

Task<std::vector<AlterConfigResult>> alter_configs_on_controller(BrokerCore& from, AlterConfigsRequest request) {
  return ask(from, [request = std::move(request)](Controller& controller) mutable {
    return controller.alter_configs(std::move(request));
  });
}

Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from) {
  return ask(from, [](Controller& controller) { return controller.producer_id(); });
}

}  // namespace posthaste::broker
