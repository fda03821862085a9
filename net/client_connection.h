// A Kafka client's connection on the reactor: sends requests without waiting for earlier answers and matches answers to
// them. For simulated clients and the load generator. It does not retry, choose brokers or keep metadata.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/kafka/frame.h"
#include "reactor/buffer.h"
#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"

namespace posthaste::net {

// An answer and the bytes that its views point into. Lives on the connection's core.
template <class Response>
struct Answer {
  std::vector<std::byte> frame;
  Response message;
};

class ClientConnection {
 public:
  // Frames longer than this end the connection: the other side is not a Kafka broker.
  static constexpr size_t kAnswerBytesMax = size_t{128} << 20;

  ClientConnection(reactor::Core& core, std::string client_id);
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  // Once, before anything is sent.
  reactor::Task<reactor::Result<void>> connect(std::string address);
  // Sends `request` and waits for its answer: kConnectionClosed if the connection ended first, kCorrupt or kTruncated
  // if the answer does not parse. Requests go out in the order in which these tasks start. Records of `request` must
  // stay valid until the task is done.
  template <kafka::ApiMessage Request>
  reactor::Task<reactor::Result<Answer<typename Request::Response>>> call(const Request& request, int16_t version) {
    kafka::Frame frame = kafka::encode_request(request, version, next_correlation_id_, client_id_);
    reactor::Result<std::vector<std::byte>> bytes = co_await exchange(std::move(frame), Request::kKey, version, true);
    if (!bytes) co_return reactor::failure(bytes.error());
    auto header = kafka::decode_response_header(*bytes, Request::kKey, version);
    if (!header) co_return reactor::failure(header.error());
    auto message = kafka::decode<typename Request::Response>(header->body, version);
    if (!message) co_return reactor::failure(message.error());
    co_return Answer<typename Request::Response>{std::move(*bytes), std::move(*message)};
  }
  // Sends a request that gets no answer (Produce with acks=0); done when it is sent.
  template <kafka::ApiMessage Request>
  reactor::Task<reactor::Result<void>> send_only(const Request& request, int16_t version) {
    kafka::Frame frame = kafka::encode_request(request, version, next_correlation_id_, client_id_);
    reactor::Result<std::vector<std::byte>> done = co_await exchange(std::move(frame), Request::kKey, version, false);
    if (!done) co_return reactor::failure(done.error());
    co_return reactor::Result<void>{};
  }
  // Sends bytes as they are: for tests of hostile input.
  reactor::Task<reactor::Result<void>> send_raw(std::vector<std::byte> bytes);
  // True once the other side has closed or the connection failed.
  bool ended() const { return ended_; }
  // Waits until the connection has ended by itself or `deadline` is reached; true if it ended.
  reactor::Task<bool> wait_ended(reactor::Instant deadline);
  // Ends the connection; waiting calls fail with kConnectionClosed. Must be awaited before the object is destroyed, if
  // connect() was successful.
  reactor::Task<void> close();

 private:
  struct Call {
    int32_t correlation_id = 0;
    kafka::Frame frame;
    bool answered_expected = true;
    bool done = false;
    reactor::Result<std::vector<std::byte>> answer = reactor::failure(reactor::Errc::kConnectionClosed);
  };
  reactor::Task<reactor::Result<std::vector<std::byte>>> exchange(kafka::Frame frame, kafka::ApiKey api,
                                                                  int16_t version, bool answer_expected);
  reactor::Task<void> receive_loop();
  reactor::Task<reactor::Result<std::vector<std::byte>>> receive_frame();
  reactor::Task<void> send_loop();
  void fail_all();

  reactor::Core& core_;
  std::string client_id_;
  reactor::Socket socket_;
  reactor::TaskScope scope_;
  reactor::Event changed_;
  int32_t next_correlation_id_ = 1;
  bool connected_ = false;
  bool ended_ = false;
  bool sending_ = false;
  std::deque<std::shared_ptr<Call>> unsent_;
  std::deque<std::shared_ptr<Call>> unanswered_;
};

}  // namespace posthaste::net
