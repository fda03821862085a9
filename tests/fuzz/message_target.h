// What the targets of requests and of responses share. An input names an API and a version, followed by either a body
// as it would arrive, or the choices by which a valid message is made and then damaged in a few places.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "net/kafka/testing/all_messages.h"
#include "net/kafka/testing/random_message.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {

namespace kafka = net::kafka;

// The largest structure of an array element takes some 200 bytes and can claim to need one on the wire; the codec's own
// limit holds above that.
inline size_t decode_budget(size_t input_bytes) {
  return std::min(kafka::kDecodeAllocationLimit, 512 * input_bytes) + 4096;
}

template <class M>
std::vector<std::byte> encoded(const M& message, int16_t version) {
  std::vector<std::byte> out(kafka::encoded_size(message, version).total);
  kafka::Target target{.owned = out};
  kafka::encode(message, version, target);
  require(target.position == out.size(), "encode writes what encoded_size counts");
  return out;
}

// Whatever decodes is encoded to bytes that decode to the same values.
template <class M>
void check_body(Bytes body, int16_t version) {
  const ExactCopy copy(body);
  reactor::Result<M> message;
  {
    const AllocationBudget budget(decode_budget(body.size()));
    message = kafka::decode<M>(copy.view(), version);
  }
  if (!message) return;
  const ExactCopy again(encoded(*message, version));
  const auto second = kafka::decode<M>(again.view(), version);
  require(second.has_value(), "what was encoded decodes");
  require(kafka::printed(*message, version) == kafka::printed(*second, version), "values survive a round trip");
  require(std::ranges::equal(encoded(*second, version), again.view()), "bytes survive a second round trip");
}

template <class M>
void check_made(Choices& choices, int16_t version) {
  auto draw = [&choices](uint64_t limit) { return choices.below(limit); };
  kafka::RandomFiller<decltype(draw)> filler(draw, version);
  M message;
  M::fields(message, filler);
  std::vector<std::byte> bytes = encoded(message, version);
  const auto decoded = kafka::decode<M>(bytes, version);
  require(decoded.has_value(), "a made message decodes");
  require(kafka::printed(message, version) == kafka::printed(*decoded, version), "a made message's values come back");
  // Damage: single bytes, a cut, a repeated piece.
  for (int i = 0; i < 4 && !choices.empty() && !bytes.empty(); ++i) {
    const uint64_t at = choices.below(bytes.size());
    switch (choices.below(4)) {
      case 0:
        bytes[at] = static_cast<std::byte>(choices.number(1));
        break;
      case 1:
        bytes[at] ^= static_cast<std::byte>(1U << choices.below(8));
        break;
      case 2:
        bytes.resize(at);
        break;
      default: {
        const std::vector<std::byte> piece(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.end());
        bytes.insert(bytes.end(), piece.begin(), piece.end());
      }
    }
  }
  check_body<M>(bytes, version);
}

// `M` of the API with the key that the input's first byte names, if there is one.
template <template <class> class MessageOf>
void check_message(Bytes input) {
  Choices choices(input);
  const auto key = static_cast<kafka::ApiKey>(choices.number(1));
  const auto asked = static_cast<int16_t>(choices.number(1));
  const bool made = asked >= 128;
  kafka::AllRequests::for_each([&]<class Request> {
    if (Request::kKey != key) return;
    using M = MessageOf<Request>::Type;
    constexpr kafka::ApiInfo kInfo = *kafka::find_messages(Request::kKey);
    const int16_t version = static_cast<int16_t>(asked % 128);
    if (!kInfo.codec_knows(version)) {
      require(!kafka::decode<M>(choices.rest(), version).has_value(), "a version outside the table is refused");
    } else if (made) {
      check_made<M>(choices, version);
    } else {
      check_body<M>(choices.rest(), version);
    }
  });
}

}  // namespace posthaste::fuzz
