// How handlers reach the controller, which is on core 0.
#pragma once
#include <expected>
#include <string>
#include <vector>

#include "broker/broker_core.h"
#include "replication/controller.h"

namespace posthaste::broker {

// From any core; what the controller's function of that name says (replication/controller.h).
reactor::Task<std::vector<replication::CreateTopicResult>> create_topics_on_controller(
    BrokerCore& from, replication::CreateTopicsRequest request);
reactor::Task<std::vector<replication::DeleteTopicResult>> delete_topics_on_controller(
    BrokerCore& from, std::vector<replication::DeleteTopic> topics, std::string asked_by);
reactor::Task<std::vector<replication::GrowTopicResult>> grow_topics_on_controller(
    BrokerCore& from, replication::GrowTopicsRequest request);
reactor::Task<std::vector<replication::AlterConfigResult>> alter_configs_on_controller(
    BrokerCore& from, replication::AlterConfigsRequest request);
reactor::Task<std::expected<std::vector<replication::ElectionResult>, replication::Refusal>>
elect_leaders_on_controller(BrokerCore& from, replication::ElectLeaders request);
reactor::Task<std::expected<std::vector<replication::ReassignResult>, replication::Refusal>> reassign_on_controller(
    BrokerCore& from, replication::ReassignRequest request);
reactor::Task<replication::ProducerIdAllocator::Answer> producer_id_on_controller(BrokerCore& from);
reactor::Task<replication::QuorumDescription> describe_quorum_on_controller(BrokerCore& from);

}  // namespace posthaste::broker
