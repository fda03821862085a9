#include "broker/ask_controller.h"

#include <optional>

#include "broker/broker_host.h"
#include "broker/job_elsewhere.h"

namespace posthaste::broker {
namespace {

using reactor::Task;
using replication::AlterConfigResult;
using replication::AlterConfigsRequest;
using replication::Controller;
using replication::CreateTopicResult;
using replication::CreateTopicsRequest;
using replication::DeleteTopic;
using replication::DeleteTopicResult;
using replication::ElectionResult;
using replication::ElectLeaders;
using replication::GrowTopicResult;
using replication::GrowTopicsRequest;
using replication::ProducerIdAllocator;
using replication::QuorumDescription;
using replication::ReassignRequest;
using replication::ReassignResult;
using replication::Refusal;

// `work(Controller&)` is done by a job of core 0; what it has to work on is for core 0 alone until it has answered.
template <class Work>
auto ask(BrokerCore& from, Work work) -> std::invoke_result_t<Work&, Controller&> {
  std::optional<typename std::invoke_result_t<Work&, Controller&>::value_type> answer;
  auto run = [&](BrokerCore& zero) -> Task<void> { answer.emplace(co_await work(zero.host().controller())); };
  co_await job_elsewhere(from, 0, reactor::MessageClass::kControl, run);
  co_return std::move(*answer);
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

Task<std::expected<std::vector<ElectionResult>, Refusal>> elect_leaders_on_controller(BrokerCore& from,
                                                                                      ElectLeaders request) {
  return ask(from, [request = std::move(request)](Controller& controller) mutable {
    return controller.elect_leaders(std::move(request));
  });
}

Task<std::expected<std::vector<ReassignResult>, Refusal>> reassign_on_controller(BrokerCore& from,
                                                                                 ReassignRequest request) {
  return ask(from, [request = std::move(request)](Controller& controller) mutable {
    return controller.reassign(std::move(request));
  });
}

Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from) {
  return ask(from, [](Controller& controller) { return controller.producer_id(); });
}

Task<QuorumDescription> describe_quorum_on_controller(BrokerCore& from) {
  return ask(from, [](Controller& controller) -> Task<QuorumDescription> { co_return controller.describe_quorum(); });
}

}  // namespace posthaste::broker
