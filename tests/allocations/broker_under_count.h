// A whole broker on real threads of this process, whose cores' allocations are counted, and a blocking client that is
// not counted.
#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "app/cli/socket_connection.h"
#include "broker/broker_host.h"
#include "net/kafka/frame.h"
#include "reactor/uring/host.h"

namespace posthaste::testing {

class BrokerUnderCount {
 public:
  // Serves when it returns; a CHECK ends the program if it cannot.
  explicit BrokerUnderCount(reactor::CoreId cores);
  BrokerUnderCount(const BrokerUnderCount&) = delete;
  BrokerUnderCount& operator=(const BrokerUnderCount&) = delete;
  ~BrokerUnderCount();
  // Stops it and starts another one on the same folder. Clients of before are cut off.
  void restart();
  uint16_t port() const { return port_; }

 private:
  void start();
  void stop();

  const reactor::CoreId cores_;
  std::string folder_;
  std::shared_ptr<broker::BrokerHost> shared_;
  std::unique_ptr<reactor::uring::Host> host_;
  uint16_t port_ = 0;
};

// One connection. What it asks for must be answered: anything else ends the program.
class Client {
 public:
  explicit Client(const BrokerUnderCount& broker);

  // Sends a request and does not wait; answers come in the same order.
  template <net::kafka::ApiMessage Request>
  void send(const Request& request, int16_t version) {
    send_bytes(net::kafka::encode_request(request, version, next_correlation_id_++, "count").flatten());
  }
  // The next answer; its views point into the client and are good until the next call.
  template <net::kafka::ApiMessage Request>
  typename Request::Response receive(int16_t version) {
    receive_frame();
    const auto header = net::kafka::decode_response_header(frame_, Request::kKey, version);
    CHECK(header.has_value());
    auto response = net::kafka::decode<typename Request::Response>(header->body, version);
    CHECK(response.has_value());
    return std::move(*response);
  }
  template <net::kafka::ApiMessage Request>
  typename Request::Response call(const Request& request, int16_t version) {
    send(request, version);
    return receive<Request>(version);
  }

 private:
  void send_bytes(std::vector<std::byte> bytes);
  void receive_frame();

  app::SocketConnection socket_;
  int32_t next_correlation_id_ = 1;
  std::vector<std::byte> frame_;
};

}  // namespace posthaste::testing
