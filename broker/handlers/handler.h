// The handlers follow from the table of APIs (net/kafka/api_table.h): a row declares its handler, which its file in
// this folder defines as
//
//   HandlerTask handle(Api<ApiKey::kFetch>, BrokerCore& core, ConnectionContext& context, Request& request)
//
// A row without a handler, or with two, does not link; a handler without a row does not compile. What several handlers
// need is in common.h.
#pragma once
#include "broker/broker_core.h"
#include "net/kafka/api_table.h"
#include "net/request.h"
#include "reactor/task.h"

namespace posthaste::broker {

using net::kafka::ApiKey;

// A handler is a coroutine that answers one request; see net::RequestHandler for the rules of order and cancellation.
using HandlerTask = reactor::Task<net::Response>;

// An API as a type. It declares the handler.
template <ApiKey kKey>
  requires(net::kafka::find_api(kKey) != nullptr)
struct Api {
  friend HandlerTask handle(Api, BrokerCore& core, net::ConnectionContext& context, net::Request& request);
};

// Calls the handler of the request's API, which has a row.
HandlerTask handle_request(BrokerCore& core, net::ConnectionContext& context, net::Request& request);

}  // namespace posthaste::broker
