// The table of handlers, made by the compiler out of the table of APIs.
#include "broker/handlers/handler.h"

#include <array>
#include <utility>

#include "reactor/check.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::kafka::kApis;

using Handler = HandlerTask (*)(BrokerCore&, ConnectionContext&, Request&);

template <ApiKey kKey>
HandlerTask call(BrokerCore& core, ConnectionContext& context, Request& request) {
  return handle(Api<kKey>(), core, context, request);
}

template <size_t... kRow>
consteval auto handlers_by_key(std::index_sequence<kRow...>) {
  std::array<Handler, static_cast<size_t>(kApis.back().key) + 1> handlers{};
  ((handlers[static_cast<size_t>(kApis[kRow].key)] = call<kApis[kRow].key>), ...);
  return handlers;
}

constexpr auto kHandlers = handlers_by_key(std::make_index_sequence<kApis.size()>());

}  // namespace

HandlerTask handle_request(BrokerCore& core, ConnectionContext& context, Request& request) {
  const ApiKey api = request.header.api;
  CHECK(net::kafka::find_api(api) != nullptr, "a request of API {} was let in", static_cast<int>(api));
  return kHandlers[static_cast<size_t>(api)](core, context, request);
}

}  // namespace posthaste::broker
