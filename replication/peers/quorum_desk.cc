#include "replication/peers/quorum_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "reactor/check.h"

namespace posthaste::replication::peers {

namespace kafka = net::kafka;
using kafka::ApiKey;
using kafka::ErrorCode;
using quorum::NodeId;
using reactor::Task;

namespace {

// What each answer is on the wire, and whether it is one to this request.
template <class Answer>
struct AnswerRules;
template <>
struct AnswerRules<quorum::VoteResponse> {
  using Wire = wire::VoteRequest;
  static constexpr int16_t kVersion = wire::kVoteVersion;
  using Asked = quorum::VoteRequest;
  static bool fits(const Asked& asked, const quorum::VoteResponse& answer) {
    return answer.asked_epoch == asked.epoch && answer.is_pre_vote == asked.is_pre_vote && answer.voter == asked.voter;
  }
};
template <>
struct AnswerRules<quorum::BeginEpochResponse> {
  using Wire = kafka::BeginQuorumEpochRequest;
  static constexpr int16_t kVersion = wire::kEpochVersion;
  using Asked = quorum::BeginEpochRequest;
  static bool fits(const Asked& /*asked*/, const quorum::BeginEpochResponse& /*answer*/) { return true; }
};
template <>
struct AnswerRules<quorum::FetchResponse> {
  using Wire = wire::FetchRequest;
  static constexpr int16_t kVersion = wire::kFetchVersion;
  using Asked = quorum::FetchRequest;
  static bool fits(const Asked& asked, const quorum::FetchResponse& answer) { return answer.fetched == asked.end; }
};
template <>
struct AnswerRules<quorum::FetchSnapshotResponse> {
  using Wire = kafka::FetchSnapshotRequest;
  static constexpr int16_t kVersion = wire::kFetchSnapshotVersion;
  using Asked = quorum::FetchSnapshotRequest;
  static bool fits(const Asked& asked, const quorum::FetchSnapshotResponse& answer) {
    return answer.id == asked.id && answer.position == asked.position;
  }
};

auto on_wire(const quorum::VoteResponse& answer, kafka::Bytes /*payload*/) { return to_wire(answer); }
auto on_wire(const quorum::BeginEpochResponse& answer, kafka::Bytes /*payload*/) { return to_wire(answer); }
auto on_wire(const quorum::FetchResponse& answer, kafka::Bytes payload) { return to_wire(answer, payload); }
auto on_wire(const quorum::FetchSnapshotResponse& answer, kafka::Bytes payload) { return to_wire(answer, payload); }

template <class Message>
net::Response respond(const Message& message, int16_t version, int32_t correlation_id) {
  net::Response response;
  response.frame = kafka::encode_response(message, version, correlation_id);
  return response;
}

template <class Wire>
net::Response refusal(const kafka::RequestHeader& header, ErrorCode error) {
  return respond(refusal_of<typename Wire::Response>(error), header.version, header.correlation_id);
}

bool is_settled(const kafka::RequestHeader& header) {
  const auto* const api = std::ranges::find(wire::kQuorumApis, header.api, &RequiredApi::key);
  return api != wire::kQuorumApis.end() && api->version == header.version;
}

}  // namespace

class QuorumDesk::Records final : public net::ResponseHold {
 public:
  Records(QuorumDesk& desk, storage::Bytes bytes) : desk_(desk), bytes_(std::move(bytes)) {
    desk_.record_bytes_ += bytes_.size();
  }
  ~Records() override {
    CHECK(bytes_.size() <= desk_.record_bytes_);
    desk_.record_bytes_ -= bytes_.size();
  }
  kafka::Bytes bytes() const { return bytes_; }

 private:
  QuorumDesk& desk_;
  const storage::Bytes bytes_;
};

QuorumDesk::QuorumDesk(reactor::Core& core, const QuorumIdentity& us, QuorumMember& member, reactor::Duration patience)
    : CoreOwned(core), core_(core), us_(us), member_(member), patience_(patience) {}

Task<net::Response> QuorumDesk::serve(net::ConnectionContext& context, net::Request& request) {
  check_core();
  ++stats_.requests;
  if (is_closed_) co_return net::Response::closing(net::CloseReason::kStopping);
  if (!is_settled(request.header)) co_return net::Response::closing(net::CloseReason::kUnsupportedVersion);
  switch (request.header.api) {
    case ApiKey::kVote:
      co_return co_await serve_as<wire::VoteRequest>(context, request);
    case ApiKey::kBeginQuorumEpoch:
      co_return co_await serve_as<kafka::BeginQuorumEpochRequest>(context, request);
    case ApiKey::kEndQuorumEpoch:
      co_return co_await serve_as<kafka::EndQuorumEpochRequest>(context, request);
    case ApiKey::kFetch:
      co_return co_await serve_as<wire::FetchRequest>(context, request);
    case ApiKey::kFetchSnapshot:
      co_return co_await serve_as<kafka::FetchSnapshotRequest>(context, request);
    default:
      CHECK(false, "{} is no request of the quorum", to_string(request.header.api));
  }
  co_return net::Response::none();
}

template <class Wire>
Task<net::Response> QuorumDesk::serve_as(net::ConnectionContext& context, net::Request& request) {
  const auto decoded = kafka::decode<Wire>(request.body, request.header.version);
  if (!decoded) co_return net::Response::closing(net::CloseReason::kBodyCorrupt);
  const auto asked = from_wire(*decoded, us_);
  if (!asked) {
    ++stats_.refused;
    core_.log(reactor::LogLevel::kWarning, "quorum.request_refused",
              fmt::format("from={} api={} error={} why=\"{}\"", context.client_address, to_string(request.header.api),
                          to_string(asked.error().error), asked.error().why));
    co_return refusal<Wire>(request.header, asked.error().error);
  }
  if constexpr (std::is_same_v<Wire, kafka::EndQuorumEpochRequest>) {
    member_.received(sender_of(*asked), {.message = *asked, .payload = {}});
    co_return respond(end_epoch_heard(asked->epoch), request.header.version, request.header.correlation_id);
  } else {
    co_return co_await wait_answer<Wire>(context, request, *asked);
  }
}

template <class Wire, class Asked>
Task<net::Response> QuorumDesk::wait_answer(net::ConnectionContext& context, net::Request& request, Asked asked) {
  request.release();
  Waiting waiting(core_, sender_of(asked), asked, request.header.correlation_id);
  supersede(waiting.sender, waiting.asked.index());
  if (waiting_.count() >= kQuorumRequestsMax || context.closing()) {
    co_return refusal<Wire>(request.header, ErrorCode::kBrokerNotAvailable);
  }
  waiting_.push_back(waiting);
  context.watch(waiting.watcher);
  member_.received(waiting.sender, {.message = asked, .payload = {}});
  (void)co_await waiting.over.wait_until(core_.now() + patience_);
  waiting.unlink();
  if (waiting.reply) co_return std::move(*waiting.reply);
  ++stats_.abandoned;
  co_return refusal<Wire>(request.header, ErrorCode::kRequestTimedOut);
}

// Whoever asks again has given the first request up.
void QuorumDesk::supersede(NodeId sender, size_t kind) {
  waiting_.for_each([&](Waiting& one) {
    if (one.sender != sender || one.asked.index() != kind) return;
    one.unlink();
    one.over.set();
  });
}

void QuorumDesk::answer(NodeId to, const quorum::Message& message, storage::Bytes payload) {
  check_core();
  std::visit(
      [&]<class Answer>(const Answer& answer) {
        if constexpr (requires { AnswerRules<Answer>::kVersion; }) {
          give(to, answer, std::move(payload));
        } else {
          CHECK(false, "a request is not sent as an answer");
        }
      },
      message);
}

template <class Answer>
void QuorumDesk::give(NodeId to, const Answer& answer, storage::Bytes payload) {
  using Rules = AnswerRules<Answer>;
  Waiting* found = nullptr;
  waiting_.for_each([&](Waiting& one) {
    const auto* const asked = std::get_if<typename Rules::Asked>(&one.asked);
    if (one.sender == to && asked != nullptr && Rules::fits(*asked, answer)) found = &one;
  });
  if (found == nullptr) {
    ++stats_.unasked;
    return;
  }
  found->reply = reply_to(*found, answer, std::move(payload));
  found->unlink();
  found->over.set();
}

template <class Answer>
net::Response QuorumDesk::reply_to(const Waiting& waiting, const Answer& answer, storage::Bytes payload) {
  using Rules = AnswerRules<Answer>;
  if (payload.empty()) return respond(on_wire(answer, {}), Rules::kVersion, waiting.correlation_id);
  if (record_bytes_ > 0 && record_bytes_ + payload.size() > kQuorumRecordBytesMax) {
    ++stats_.crowded;
    return refusal<typename Rules::Wire>({.version = Rules::kVersion, .correlation_id = waiting.correlation_id},
                                         ErrorCode::kBrokerNotAvailable);
  }
  auto records = std::make_unique<Records>(*this, std::move(payload));
  net::Response response = respond(on_wire(answer, records->bytes()), Rules::kVersion, waiting.correlation_id);
  response.hold = std::move(records);
  return response;
}

void QuorumDesk::close() {
  check_core();
  is_closed_ = true;
  waiting_.for_each([&](Waiting& one) {
    one.unlink();
    one.over.set();
  });
}

}  // namespace posthaste::replication::peers
