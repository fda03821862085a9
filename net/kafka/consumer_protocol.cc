// Instantiates the codec for consumer_protocol.h and handles the version in front.
#include "net/kafka/consumer_protocol.h"

#include <algorithm>

#include "net/kafka/codec_implementation.h"

namespace posthaste::net::kafka {
namespace {

template <class M>
reactor::Result<M> decode_behind_version(Bytes bytes) {
  constexpr size_t kNoArrays = 0;
  Decoder prefix(bytes, 0, false, kNoArrays);
  const auto version = prefix.read_scalar<int16_t>();
  if (!prefix.ok()) return reactor::failure(prefix.error());
  return decode<M>(prefix.rest(), std::min(version, M::kRules.codec_max));
}

template <class M>
std::vector<std::byte> encode_behind_version(const M& message, int16_t version) {
  std::vector<std::byte> bytes(sizeof(version) + encoded_size(message, version).total);
  Target target{.owned = bytes};
  Encoder(version, false, target).write_scalar(version);
  encode(message, version, target);
  return bytes;
}

}  // namespace

POSTHASTE_KAFKA_MESSAGE(ConsumerSubscription);
POSTHASTE_KAFKA_MESSAGE(ConsumerAssignment);

reactor::Result<ConsumerSubscription> decode_subscription(Bytes bytes) {
  return decode_behind_version<ConsumerSubscription>(bytes);
}
reactor::Result<ConsumerAssignment> decode_assignment(Bytes bytes) {
  return decode_behind_version<ConsumerAssignment>(bytes);
}
std::vector<std::byte> encode_subscription(const ConsumerSubscription& subscription, int16_t version) {
  return encode_behind_version(subscription, version);
}
std::vector<std::byte> encode_assignment(const ConsumerAssignment& assignment, int16_t version) {
  return encode_behind_version(assignment, version);
}

}  // namespace posthaste::net::kafka
