// One function per request that is served; each is a coroutine that answers one request (see net::RequestHandler for
// the rules of order and cancellation). What several of them need is in common.h.
#pragma once
#include "broker/broker_core.h"
#include "net/request.h"
#include "reactor/task.h"

namespace posthaste::broker {

using HandlerTask = reactor::Task<net::Response>;

HandlerTask handle_api_versions(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_metadata(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_describe_cluster(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_create_topics(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_delete_topics(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_delete_records(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_describe_log_dirs(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_describe_producers(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_describe_configs(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_alter_configs(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_incremental_alter_configs(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_create_partitions(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_describe_topic_partitions(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_init_producer_id(BrokerCore& core, net::ConnectionContext& context, net::Request& request);

HandlerTask handle_produce(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_fetch(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_list_offsets(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_offset_for_leader_epoch(BrokerCore& core, net::ConnectionContext& context, net::Request& request);

HandlerTask handle_find_coordinator(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_join_group(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_sync_group(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_heartbeat(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_leave_group(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_offset_commit(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_offset_fetch(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_describe_groups(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_list_groups(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_delete_groups(BrokerCore& core, net::ConnectionContext& context, net::Request& request);
HandlerTask handle_offset_delete(BrokerCore& core, net::ConnectionContext& context, net::Request& request);

}  // namespace posthaste::broker
