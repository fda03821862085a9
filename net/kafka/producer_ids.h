// InitProducerId: the identity of an idempotent or transactional producer. Struct and versions only; bytes are the
// codec's.
#pragma once
#include <cstdint>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"

namespace posthaste::net::kafka {

// The id and epoch to stamp batches with.
struct InitProducerIdResponse {
  static constexpr ApiKey kKey = ApiKey::kInitProducerId;

  int32_t throttle_time_ms = 0;
  ErrorCode error_code = ErrorCode::kNone;
  int64_t producer_id = -1;
  int16_t producer_epoch = 0;
  int64_t ongoing_txn_producer_id = -1;
  int16_t ongoing_txn_producer_epoch = -1;

  static constexpr void fields(auto& self, auto& field) {
    field(self.throttle_time_ms);
    field(self.error_code);
    field(self.producer_id);
    field(self.producer_epoch);
    field(self.ongoing_txn_producer_id, since(6));
    field(self.ongoing_txn_producer_epoch, since(6));
  }
};

// Transactional id null asks for an idempotent producer. Producer id and epoch, if given, are to be bumped (KIP-360).
struct InitProducerIdRequest {
  static constexpr ApiKey kKey = ApiKey::kInitProducerId;
  using Response = InitProducerIdResponse;

  NullableString transactional_id;
  int32_t transaction_timeout_ms = 0;
  int64_t producer_id = -1;
  int16_t producer_epoch = -1;
  bool enable2_pc = false;
  bool keep_prepared_txn = false;

  static constexpr void fields(auto& self, auto& field) {
    field(self.transactional_id, since(0).nullable());
    field(self.transaction_timeout_ms);
    field(self.producer_id, since(3));
    field(self.producer_epoch, since(3));
    field(self.enable2_pc, since(6));
    field(self.keep_prepared_txn, since(6));
  }
};

}  // namespace posthaste::net::kafka
