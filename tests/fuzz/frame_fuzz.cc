// A whole frame without its length: header, then the body of the API and version that the header names. The same bytes
// as a response of each API, as what members of a group pass through the broker, and as a record of a quorum.
#include "net/kafka/frame.h"

#include "net/kafka/quorum_records.h"
#include "tests/fuzz/message_target.h"

namespace posthaste::fuzz {
namespace {

void check_request(Bytes input) {
  const ExactCopy frame(input);
  const auto request = kafka::decode_request_header(frame.view());
  if (!request || request->support != kafka::RequestSupport::kKnown) return;
  require(request->body.size() <= input.size(), "a body lies in its frame");
  kafka::AllRequests::for_each([&]<class Request> {
    if (Request::kKey == request->header.api) check_body<Request>(request->body, request->header.version);
  });
}

void check_response(Bytes input) {
  const ExactCopy frame(input);
  kafka::AllRequests::for_each([&]<class Request> {
    constexpr kafka::ApiInfo kInfo = *kafka::find_messages(Request::kKey);
    for (const int16_t version : {kInfo.codec_min, kInfo.codec_max}) {
      const auto response = kafka::decode_response_header(frame.view(), Request::kKey, version);
      require(!response || response->body.size() <= input.size(), "a body lies in its frame");
    }
  });
}

void check_group_bytes(Bytes input) {
  const ExactCopy bytes(input);
  const AllocationBudget budget(decode_budget(input.size()));
  (void)kafka::decode_subscription(bytes.view());
  (void)kafka::decode_assignment(bytes.view());
}

// The first byte is the type.
void check_quorum_record(Bytes input) {
  if (input.empty()) return;
  const std::string key = {'\0', '\0', '\0', static_cast<char>(input[0])};
  const ExactCopy bytes(input.subspan(1));
  const std::string_view value(reinterpret_cast<const char*>(bytes.view().data()), bytes.view().size());
  reactor::Result<kafka::QuorumRecord> record;
  {
    const AllocationBudget budget(decode_budget(input.size()));
    record = kafka::decode_quorum_record(key, value);
  }
  if (!record) return;
  const auto again = kafka::decode_quorum_record(kafka::encode_key(*record), kafka::encode_value(*record));
  require(again.has_value() && *again == *record, "a record survives a round trip");
}

}  // namespace

void run_one(Bytes input) {
  check_request(input);
  check_response(input);
  check_group_bytes(input);
  check_quorum_record(input);
}

}  // namespace posthaste::fuzz
