// Headers and the gather list; see frame.h.
#include "net/kafka/frame.h"

#include "net/kafka/decoder.h"
#include "net/kafka/encoder.h"
#include "net/kafka/unserved_apis.h"

namespace posthaste::net::kafka {
namespace {

// A header's tagged section holds nothing that we know; reading it skips it.
struct NoFields {
  static constexpr void fields(auto&, auto&) {}
};

void write_request_header(Encoder& encoder, const RequestHeader& header, bool flexible) {
  encoder.write_scalar(header.api);
  encoder.write_scalar(header.version);
  encoder.write_scalar(header.correlation_id);
  encoder.write_plain_string(header.client_id);
  if (flexible) encoder.write_unsigned_varint(0);
}

void write_response_header(Encoder& encoder, int32_t correlation_id, bool flexible) {
  encoder.write_scalar(correlation_id);
  if (flexible) encoder.write_unsigned_varint(0);
}

// Sizes the owned bytes for prefix, header and body, then writes the first two. `write_header` runs twice: to count, to
// write.
Frame start_frame(EncodedSize body, auto write_header) {
  constexpr int16_t kAnyVersion = 0;
  Encoder counter(kAnyVersion, false);
  write_header(counter);
  const size_t header_size = counter.size().total;
  const size_t length = header_size + body.total;
  CHECK(length <= INT32_MAX, "a frame of {} bytes does not fit its length prefix", length);
  Frame frame;
  frame.owned.resize(kFrameLengthSize + header_size + body.owned());
  Target target{.owned = frame.owned};
  Encoder encoder(kAnyVersion, false, target);
  encoder.write_scalar(static_cast<int32_t>(length));
  write_header(encoder);
  return frame;
}

}  // namespace

size_t Frame::size() const {
  size_t total = owned.size();
  for (const Splice& splice : splices) total += splice.bytes.size();
  return total;
}

void Frame::append_slices(reactor::RecycledVector<Bytes>& slices) const {
  const Bytes all = owned;
  size_t sent = 0;
  for (const Splice& splice : splices) {
    if (splice.position > sent) slices.push_back(all.subspan(sent, splice.position - sent));
    slices.push_back(splice.bytes);
    sent = splice.position;
  }
  if (sent < all.size()) slices.push_back(all.subspan(sent));
}

std::vector<std::byte> Frame::flatten() const {
  reactor::RecycledVector<Bytes> slices;
  append_slices(slices);
  std::vector<std::byte> bytes;
  bytes.reserve(size());
  for (const Bytes slice : slices) bytes.insert(bytes.end(), slice.begin(), slice.end());
  return bytes;
}

reactor::Result<ReceivedRequest> decode_request_header(Bytes frame, const ServedApis& served) {
  // The first three fields and client_id have one form in all header versions, so that the decoder starts inflexible.
  constexpr size_t kNoArrays = 0;
  Decoder fixed(frame, 0, false, kNoArrays);
  ReceivedRequest request;
  request.header.api = fixed.read_scalar<ApiKey>();
  request.header.version = fixed.read_scalar<int16_t>();
  request.header.correlation_id = fixed.read_scalar<int32_t>();
  if (!fixed.ok()) return reactor::failure(fixed.error());
  request.body = fixed.rest();
  const ApiInfo* info = served.find(request.header.api);
  if (info == nullptr || !info->codec_knows(request.header.version)) {
    request.support = info == nullptr ? RequestSupport::kUnknownApi : RequestSupport::kUnknownVersion;
    return request;
  }
  fixed(request.header.client_id, since(0).nullable());
  if (!fixed.ok()) return reactor::failure(fixed.error());
  Decoder tags(fixed.rest(), 0, info->is_flexible(request.header.version), kNoArrays);
  NoFields none;
  tags.read_structure(none);
  if (!tags.ok()) return reactor::failure(tags.error());
  request.body = tags.rest();
  return request;
}

reactor::Result<ReceivedResponse> decode_response_header(Bytes frame, ApiKey api, int16_t version) {
  const ApiInfo* info = find_messages(api);
  if (info == nullptr) return reactor::failure(reactor::Errc::kUnsupported);
  constexpr size_t kNoArrays = 0;
  Decoder decoder(frame, 0, response_header_version(*info, version) == 1, kNoArrays);
  ReceivedResponse response{.correlation_id = decoder.read_scalar<int32_t>()};
  NoFields none;
  decoder.read_structure(none);
  if (!decoder.ok()) return reactor::failure(decoder.error());
  response.body = decoder.rest();
  return response;
}

namespace detail {

Frame start_response(ApiKey api, int16_t version, int32_t correlation_id, EncodedSize body) {
  const ApiInfo* info = find_messages(api);
  CHECK(info != nullptr, "no row in kApis nor in kUnservedApis for {}", to_string(api));
  const bool flexible = response_header_version(*info, version) == 1;
  return start_frame(body, [&](Encoder& encoder) { write_response_header(encoder, correlation_id, flexible); });
}

Frame start_request(const RequestHeader& header, EncodedSize body) {
  const ApiInfo* info = find_messages(header.api);
  CHECK(info != nullptr, "no row in kApis nor in kUnservedApis for {}", to_string(header.api));
  const bool flexible = request_header_version(*info, header.version) == 2;
  return start_frame(body, [&](Encoder& encoder) { write_request_header(encoder, header, flexible); });
}

}  // namespace detail
}  // namespace posthaste::net::kafka
