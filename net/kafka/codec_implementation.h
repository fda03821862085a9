// Bodies of the templates of codec.h. A message's .cc file includes this and names its messages in
// POSTHASTE_KAFKA_MESSAGE; no other file does. Also carries records that are no requests (kRules instead of kKey), such
// as the internal topics' keys and values.
#pragma once
#include "net/kafka/codec.h"
#include "net/kafka/decoder.h"
#include "net/kafka/encoder.h"
#include "net/kafka/unserved_apis.h"
#include "reactor/check.h"

namespace posthaste::net::kafka {

template <class M>
consteval VersionRules version_rules() {
  if constexpr (ApiMessage<M>) {
    constexpr const ApiInfo* kInfo = find_messages(M::kKey);
    static_assert(kInfo != nullptr, "the API of this message has no row in kApis nor in kUnservedApis");
    return {kInfo->codec_min, kInfo->codec_max, kInfo->first_flexible};
  } else {
    return M::kRules;
  }
}

template <class M>
reactor::Result<M> decode(Bytes body, int16_t version, size_t allocation_limit) {
  constexpr VersionRules kRules = version_rules<M>();
  if (version < kRules.codec_min || version > kRules.codec_max) return reactor::failure(reactor::Errc::kUnsupported);
  Decoder decoder(body, version, version >= kRules.first_flexible, allocation_limit);
  reactor::Result<M> message;
  decoder.read_structure(*message);
  if (!decoder.ok()) return reactor::failure(decoder.error());
  return message;
}

template <class M>
EncodedSize encoded_size(const M& message, int16_t version) {
  constexpr VersionRules kRules = version_rules<M>();
  CHECK(version >= kRules.codec_min && version <= kRules.codec_max, "version {} cannot be encoded", version);
  Encoder encoder(version, version >= kRules.first_flexible);
  encoder.write_structure(message);
  return encoder.size();
}

template <class M>
void encode(const M& message, int16_t version, Target& target) {
  constexpr VersionRules kRules = version_rules<M>();
  CHECK(version >= kRules.codec_min && version <= kRules.codec_max, "version {} cannot be encoded", version);
  Encoder encoder(version, version >= kRules.first_flexible, target);
  encoder.write_structure(message);
}

}  // namespace posthaste::net::kafka

// Instantiates decode, encoded_size and encode of one message, inside namespace posthaste::net::kafka.
#define POSTHASTE_KAFKA_MESSAGE(M)                                            \
  template ::posthaste::reactor::Result<M> decode<M>(Bytes, int16_t, size_t); \
  template EncodedSize encoded_size<M>(const M&, int16_t);                    \
  template void encode<M>(const M&, int16_t, Target&)
