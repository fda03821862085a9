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
  static constexpr int16_t kVersion = wire::kVoteVersion;
  using Asked = quorum::VoteRequest;
  static bool fits(const Asked& asked, const quorum::VoteResponse& answer) {
    return answer.asked_epoch == asked.epoch && answer.is_pre_vote == asked.is_pre_vote && answer.voter == asked.voter;
  }
};
template <>
struct AnswerRules<quorum::BeginEpochResponse> {
  static constexpr int16_t kVersion = wire::kEpochVersion;
  using Asked = quorum::BeginEpochRequest;
  static bool fits(const Asked& /*asked*/, const quorum::BeginEpochResponse& /*answer*/) { return true; }
};
template <>
struct AnswerRules<quorum::FetchResponse> {
  static constexpr int16_t kVersion = wire::kFetchVersion;
  using Asked = quorum::FetchRequest;
  static bool fits(const Asked& asked, const quorum::FetchResponse& answer) { return answer.fetched == asked.end; }
};
template <>
struct AnswerRules<quorum::FetchSnapshotResponse> {
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

template <class Wire>
QuorumReply refusal(const kafka::RequestHeader& header, ErrorCode error) {
  return {.frame =
              kafka::encode_response(refusal_of<typename Wire::Response>(error), header.version, header.correlation_id),
          .payload = {}};
}

bool is_settled(const kafka::RequestHeader& header) {
  const auto* const api = std::ranges::find(wire::kQuorumApis, header.api, &RequiredApi::key);
  return api != wire::kQuorumApis.end() && api->version == header.version;
}

}  // namespace

QuorumDesk::QuorumDesk(reactor::Core& core, const QuorumIdentity& us, QuorumMember& member, reactor::Duration patience)
    : CoreOwned(core), core_(core), us_(us), member_(member), patience_(patience) {}

Task<std::optional<QuorumReply>> QuorumDesk::serve(kafka::RequestHeader header, kafka::Bytes body) {
  check_core();
  ++stats_.requests;
  if (is_closed_ || !is_settled(header)) co_return std::nullopt;
  switch (header.api) {
    case ApiKey::kVote:
      co_return co_await serve_as<wire::VoteRequest>(header, body);
    case ApiKey::kBeginQuorumEpoch:
      co_return co_await serve_as<kafka::BeginQuorumEpochRequest>(header, body);
    case ApiKey::kEndQuorumEpoch:
      co_return co_await serve_as<kafka::EndQuorumEpochRequest>(header, body);
    case ApiKey::kFetch:
      co_return co_await serve_as<wire::FetchRequest>(header, body);
    case ApiKey::kFetchSnapshot:
      co_return co_await serve_as<kafka::FetchSnapshotRequest>(header, body);
    default:
      co_return std::nullopt;
  }
}

template <class Wire>
Task<std::optional<QuorumReply>> QuorumDesk::serve_as(kafka::RequestHeader header, kafka::Bytes body) {
  const auto request = kafka::decode<Wire>(body, header.version);
  if (!request) co_return std::nullopt;
  const auto asked = from_wire(*request, us_);
  if (!asked) {
    ++stats_.refused;
    core_.log(reactor::LogLevel::kWarning, "quorum.request_refused",
              fmt::format("api={} error={} why=\"{}\"", to_string(header.api), to_string(asked.error().error),
                          asked.error().why));
    co_return refusal<Wire>(header, asked.error().error);
  }
  if constexpr (std::is_same_v<Wire, kafka::EndQuorumEpochRequest>) {
    member_.received(sender_of(*asked), {.message = *asked, .payload = {}});
    co_return QuorumReply{
        .frame = kafka::encode_response(end_epoch_heard(asked->epoch), header.version, header.correlation_id),
        .payload = {}};
  } else {
    co_return co_await wait_answer<Wire>(header, *asked);
  }
}

template <class Wire, class Asked>
Task<std::optional<QuorumReply>> QuorumDesk::wait_answer(kafka::RequestHeader header, Asked asked) {
  Waiting waiting(core_, sender_of(asked), asked, header.correlation_id);
  supersede(waiting.sender, waiting.asked.index());
  if (waiting_.count() >= kQuorumRequestsMax) co_return refusal<Wire>(header, ErrorCode::kBrokerNotAvailable);
  waiting_.push_back(waiting);
  member_.received(waiting.sender, {.message = asked, .payload = {}});
  (void)co_await waiting.answered.wait_until(core_.now() + patience_);
  waiting.unlink();
  if (waiting.reply) co_return std::move(*waiting.reply);
  ++stats_.abandoned;
  co_return refusal<Wire>(header, ErrorCode::kRequestTimedOut);
}

// Whoever asks again has given the first request up.
void QuorumDesk::supersede(NodeId sender, size_t kind) {
  waiting_.for_each([&](Waiting& one) {
    if (one.sender != sender || one.asked.index() != kind) return;
    one.unlink();
    one.answered.set();
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
  QuorumReply& reply = found->reply.emplace();
  reply.payload = std::move(payload);
  reply.frame = kafka::encode_response(on_wire(answer, reply.payload), Rules::kVersion, found->correlation_id);
  found->unlink();
  found->answered.set();
}

void QuorumDesk::close() {
  check_core();
  is_closed_ = true;
  waiting_.for_each([&](Waiting& one) {
    one.unlink();
    one.answered.set();
  });
}

}  // namespace posthaste::replication::peers
