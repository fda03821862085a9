// InitProducerId: ids come from the controller on core 0 (replication/producer_ids.h).
#include "net/kafka/producer_ids.h"

#include "broker/ask_controller.h"
#include "broker/broker_host.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "storage/batch/record_batch.h"

namespace posthaste::broker {

using net::ConnectionContext;
using net::Request;
using net::kafka::InitProducerIdRequest;
using net::kafka::InitProducerIdResponse;
using replication::ProducerIdAllocator;

HandlerTask handle(Api<ApiKey::kInitProducerId>, BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<InitProducerIdRequest>(request);
  if (!body) co_return body_corrupt();
  InitProducerIdResponse response;
  if (body->transactional_id) {
    // Transactions have no coordinator yet, and the request has no field for words. This code is not retried.
    response.error_code =
        body->transactional_id->empty() ? ErrorCode::kInvalidRequest : ErrorCode::kTransactionalIdAuthorizationFailed;
    response.producer_epoch = -1;
    co_return respond(request, response);
  }
  // Both or neither: an id without an epoch says nothing.
  if ((body->producer_id == storage::kNoProducerId) != (body->producer_epoch == storage::kNoProducerEpoch)) {
    response.error_code = ErrorCode::kInvalidRequest;
    response.producer_epoch = -1;
    co_return respond(request, response);
  }
  // A client that has an id and asks to bump its epoch (KIP-360) gets a new id instead, as in Kafka for idempotent
  // producers without a transactional id.
  const ProducerIdAllocator::Answer answer = co_await producer_id_on_controller(core);
  response.error_code = answer.error;
  response.producer_id = answer.producer_id;
  response.producer_epoch = answer.error == ErrorCode::kNone ? int16_t{0} : int16_t{-1};
  co_return respond(request, response);
}

}  // namespace posthaste::broker
