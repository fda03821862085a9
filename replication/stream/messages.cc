#include "replication/stream/messages.h"

#include <algorithm>

#include "net/kafka/record_codec.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::stream {

using net::kafka::Bytes;
using reactor::Errc;
using reactor::failure;
using reactor::Result;

namespace {

constexpr size_t kTypeBytes = sizeof(int16_t);

// What all messages of this protocol share of a record's rules (record_codec.h).
template <class M>
struct Ruled : M {
  static constexpr net::kafka::VersionRules kRules = kStreamRules;
  static constexpr void fields(auto& self, auto& field) { M::fields(self, field); }
};

template <size_t kIndex = 0>
Result<Message> decode_type(MessageType type, Bytes body, int16_t version) {
  if constexpr (kIndex == std::variant_size_v<Message>) {
    return failure(Errc::kUnsupported);
  } else {
    using M = std::variant_alternative_t<kIndex, Message>;
    if (M::kType != type) return decode_type<kIndex + 1>(type, body, version);
    // What a newer release adds is in tags, and may be lost.
    Ruled<M> message = TRY(net::kafka::decode_record<Ruled<M>>(body, version, net::kafka::UnknownTags::kSkip));
    return Message(std::move(static_cast<M&>(message)));
  }
}

template <class M>
Frame encode_as(const M& message, int16_t version) {
  const Ruled<M> ruled{message};
  const net::kafka::EncodedSize size = net::kafka::encoded_size(ruled, version);
  Frame frame;
  frame.owned.resize(net::kafka::kFrameLengthSize + kTypeBytes + size.owned());
  storage::store_be<int32_t>(frame.owned.data(), static_cast<int32_t>(kTypeBytes + size.total));
  storage::store_be<int16_t>(frame.owned.data() + net::kafka::kFrameLengthSize, static_cast<int16_t>(M::kType));
  net::kafka::Target target{
      .owned = frame.owned, .position = net::kafka::kFrameLengthSize + kTypeBytes, .splices = &frame.splices};
  net::kafka::encode(ruled, version, target);
  CHECK(target.position == frame.owned.size());
  return frame;
}

}  // namespace

Frame encode_frame(const Message& message, int16_t version) {
  return std::visit([version](const auto& alternative) { return encode_as(alternative, version); }, message);
}

Result<Message> decode_message(Bytes frame, int16_t version) {
  if (frame.size() < kTypeBytes) return failure(Errc::kTruncated);
  const auto type = static_cast<MessageType>(storage::load_be<int16_t>(frame.data()));
  return decode_type(type, frame.subspan(kTypeBytes), type == MessageType::kOpen ? int16_t{0} : version);
}

Result<int16_t> common_version(const Open& ours, const Open& theirs) {
  const int16_t newest = std::min(ours.version_max, theirs.version_max);
  if (newest < std::max(ours.version_min, theirs.version_min)) return failure(Errc::kUnsupported);
  return newest;
}

}  // namespace posthaste::replication::stream
