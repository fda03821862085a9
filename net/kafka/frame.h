// A frame is what travels: int32 length, header, body. This file makes frames out of messages and takes headers off
// received ones. It does not read sockets, and does not decide what an unserved request gets (the connection does).
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "net/kafka/codec.h"

namespace posthaste::net::kafka {

// Bytes of the length in front of each frame; the length does not count itself.
inline constexpr size_t kFrameLengthSize = sizeof(int32_t);

// What stands before every request body. `version` and `client_id` are as the client sent them.
struct RequestHeader {
  ApiKey api{};
  int16_t version = 0;
  int32_t correlation_id = 0;
  NullableString client_id;
};

// Whether the codec can read the body. kUnknownVersion of ApiVersions is answered with a version 0 body and error 35
// (KIP-511); anything else that is not kKnown closes the connection, as Kafka does.
enum class RequestSupport : uint8_t { kKnown, kUnknownApi, kUnknownVersion };

struct ReceivedRequest {
  RequestHeader header;  // client_id only if kKnown: the header's version follows from the API
  RequestSupport support = RequestSupport::kKnown;
  Bytes body;
};

struct ReceivedResponse {
  int32_t correlation_id = 0;
  Bytes body;
};

// An encoded frame: bytes of its own with records of others spliced in. Movable; the spliced bytes must outlive the
// send.
struct Frame {
  reactor::RecycledVector<std::byte> owned;
  reactor::RecycledVector<Splice> splices;  // ascending positions

  // All bytes that go out, length prefix included.
  size_t size() const;
  // Appends the non-empty slices in sending order: the gather list of a sendmsg.
  void append_slices(reactor::RecycledVector<Bytes>& slices) const;
  // One contiguous copy; for tests and small client requests.
  std::vector<std::byte> flatten() const;
};

// Takes the header off `frame` (without its length prefix), which has come to a listener that serves `served`. Any
// core. Fails: kTruncated, kCorrupt.
reactor::Result<ReceivedRequest> decode_request_header(Bytes frame, const ServedApis& served = kServedToClients);

// Takes the header off the response to a request of `api` and `version`. Any core. Fails: kTruncated, kCorrupt,
// kUnsupported.
reactor::Result<ReceivedResponse> decode_response_header(Bytes frame, ApiKey api, int16_t version);

// Version of the header in front of a response: 1 adds a tagged section. ApiVersions always has 0, so that a client can
// read the refusal of a version that the broker does not know (KIP-511).
constexpr int16_t response_header_version(const ApiInfo& info, int16_t version) {
  return info.is_flexible(version) && info.key != ApiKey::kApiVersions ? 1 : 0;
}
constexpr int16_t request_header_version(const ApiInfo& info, int16_t version) {
  return info.is_flexible(version) ? 2 : 1;
}

namespace detail {
// A frame with prefix and header written and room for a body of `body` bytes after them.
Frame start_response(ApiKey api, int16_t version, int32_t correlation_id, EncodedSize body);
Frame start_request(const RequestHeader& header, EncodedSize body);
template <class M>
void append_body(Frame& frame, const M& message, int16_t version, EncodedSize size) {
  Target target{.owned = frame.owned, .position = frame.owned.size() - size.owned(), .splices = &frame.splices};
  encode(message, version, target);
}
}  // namespace detail

// The frame of a response. Its records are spliced, not copied. Any core. Its memory is recycled.
template <ApiMessage M>
Frame encode_response(const M& message, int16_t version, int32_t correlation_id) {
  const EncodedSize size = encoded_size(message, version);
  Frame frame = detail::start_response(M::kKey, version, correlation_id, size);
  detail::append_body(frame, message, version, size);
  return frame;
}

// The frame of a request, for our own clients. Records are spliced as in encode_response.
template <ApiMessage M>
Frame encode_request(const M& message, int16_t version, int32_t correlation_id, NullableString client_id) {
  const EncodedSize size = encoded_size(message, version);
  Frame frame = detail::start_request({M::kKey, version, correlation_id, client_id}, size);
  detail::append_body(frame, message, version, size);
  return frame;
}

}  // namespace posthaste::net::kafka
