// Addresses of brokers and controllers, in the forms that several messages of a cluster have in common. Struct and
// versions only; bytes are the codec's.
#pragma once
#include <cstdint>
#include <string_view>

#include "net/kafka/types.h"

namespace posthaste::net::kafka {

// One listener of a voter.
struct ListenerEndpoint {
  std::string_view name;
  std::string_view host;
  uint16_t port = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.name);
    field(self.host);
    field(self.port);
  }
};

// One listener of a broker or a controller that registers. The protocol is Kafka's number: 0 is PLAINTEXT.
struct BrokerListener {
  std::string_view name;
  std::string_view host;
  uint16_t port = 0;
  int16_t security_protocol = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.name);
    field(self.host);
    field(self.port);
    field(self.security_protocol);
  }
};

// Where to reach a voter that an answer names.
struct QuorumNode {
  int32_t node_id = 0;
  std::string_view host;
  uint16_t port = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.node_id);
    field(self.host);
    field(self.port);
  }
};

}  // namespace posthaste::net::kafka
