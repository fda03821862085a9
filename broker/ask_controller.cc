#include "broker/ask_controller.h"

#include "broker/broker_host.h"
#include "reactor/mail.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::Task;
using replication::AlterConfigsOutcome;
using replication::AlterConfigsRequest;
using replication::CreateTopicsOutcome;
using replication::CreateTopicsRequest;
using replication::DeleteTopic;
using replication::DeleteTopicsOutcome;
using replication::GrowTopicsOutcome;
using replication::GrowTopicsRequest;
using replication::ProducerIdAllocator;

}  // namespace

Task<CreateTopicsOutcome> create_topics_on_controller(BrokerCore& from, CreateTopicsRequest request) {
  auto run = [&](Core&) { return from.host().controller().create_topics(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<DeleteTopicsOutcome> delete_topics_on_controller(BrokerCore& from, std::vector<DeleteTopic> topics,
                                                      std::string asked_by) {
  auto run = [&](Core&) { return from.host().controller().delete_topics(std::move(topics), std::move(asked_by)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<GrowTopicsOutcome> grow_topics_on_controller(BrokerCore& from, GrowTopicsRequest request) {
  auto run = [&](Core&) { return from.host().controller().grow_topics(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<AlterConfigsOutcome> alter_configs_on_controller(BrokerCore& from, AlterConfigsRequest request) {
  auto run = [&](Core&) { return from.host().controller().alter_configs(std::move(request)); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

Task<ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from) {
  auto run = [&](Core&) { return from.host().controller().producer_id(); };
  co_return co_await reactor::on_core(from.core(), 0, std::move(run), reactor::MessageClass::kControl);
}

}  // namespace posthaste::broker
