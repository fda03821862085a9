// A Kafka client for simulated hosts: one connection, requests out in order, answers back in order, a deadline for each
// exchange. It keeps nothing about topics or groups; the models (producer_model.h and so on) do.
#pragma once
#include <string>
#include <vector>

#include "net/kafka/frame.h"
#include "reactor/file.h"
#include "reactor/scope.h"
#include "reactor/sync.h"
#include "tests/simulation/oracle.h"

namespace posthaste::simulation {

// A decoded response with the bytes that its views point into.
template <class Response>
struct Answer {
  std::vector<std::byte> frame;
  Response body;
};

class KafkaClient {
 public:
  // Reports to `oracle` what no broker may send (answers in another order, bytes that are no answer).
  KafkaClient(reactor::Core& core, std::string address, std::string client_id, Oracle& oracle)
      : core_(core), address_(std::move(address)), client_id_(std::move(client_id)), oracle_(oracle) {}

  // Sends `request` and waits for its answer; connects first if need be. Any error closes the connection, and whether
  // the broker acted is then unknown: kConnectionClosed, kConnectionRefused, kTimedOut, or what decoding says.
  template <class Request>
  reactor::Task<reactor::Result<Answer<typename Request::Response>>> call(const Request& request, int16_t version,
                                                                          reactor::Duration patience) {
    std::vector<Request> one;
    one.push_back(request);
    auto answers = co_await call_all(std::move(one), version, patience);
    if (!answers) co_return reactor::failure(answers.error());
    co_return std::move(answers->front());
  }

  // Sends all requests back to back, then collects the answers in order; all or an error.
  template <class Request>
  reactor::Task<reactor::Result<std::vector<Answer<typename Request::Response>>>> call_all(
      std::vector<Request> requests, int16_t version, reactor::Duration patience) {
    using Response = typename Request::Response;
    std::vector<std::byte> bytes;
    const int32_t first_id = next_correlation_id_;
    for (const Request& request : requests) {
      auto frame = net::kafka::encode_request(request, version, next_correlation_id_++, client_id_).flatten();
      bytes.insert(bytes.end(), frame.begin(), frame.end());
    }
    auto frames = co_await exchange(std::move(bytes), requests.size(), patience);
    if (!frames) co_return reactor::failure(frames.error());
    std::vector<Answer<Response>> answers;
    for (size_t i = 0; i < frames->size(); ++i) {
      Answer<Response> answer{std::move((*frames)[i]), {}};
      auto header = net::kafka::decode_response_header(answer.frame, Request::kKey, version);
      if (!header) co_return wrong(header.error(), "the header of an answer cannot be read");
      if (header->correlation_id != first_id + static_cast<int32_t>(i))
        co_return wrong(reactor::Errc::kOutOfOrder, "answers do not come in the order of their requests");
      auto body = net::kafka::decode<Response>(header->body, version);
      if (!body) co_return wrong(body.error(), "an answer cannot be read");
      answer.body = std::move(*body);
      answers.push_back(std::move(answer));
    }
    co_return answers;
  }

  // Ends the connection, if there is one.
  reactor::Task<void> close();
  // From now on requests go here.
  void set_address(std::string address) { address_ = std::move(address); }

 private:
  std::unexpected<reactor::Errc> wrong(reactor::Errc error, const char* what) {
    oracle_.violation(client_id_ + ": " + what);
    return reactor::failure(error);
  }
  using Frames = std::vector<std::vector<std::byte>>;
  // Sends `bytes` and reads `count` frames, within `patience`.
  reactor::Task<reactor::Result<Frames>> exchange(std::vector<std::byte> bytes, size_t count,
                                                  reactor::Duration patience);
  reactor::Task<reactor::Result<Frames>> exchange_on_socket(const std::vector<std::byte>& bytes, size_t count);
  reactor::Task<void> watch(reactor::Event& done, reactor::Instant deadline, bool& late);

  reactor::Core& core_;
  std::string address_;
  std::string client_id_;
  Oracle& oracle_;
  int32_t next_correlation_id_ = 1;
  reactor::Socket socket_;
};

}  // namespace posthaste::simulation
