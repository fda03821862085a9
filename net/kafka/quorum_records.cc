// Keys and values of a quorum's control records; see quorum_records.h.
#include "net/kafka/quorum_records.h"

#include "net/kafka/record_codec.h"

namespace posthaste::net::kafka {
namespace {

using reactor::Errc;
using reactor::failure;
using reactor::Result;

constexpr int16_t kKeyVersion = 0;
constexpr size_t kNoArrays = 0;

Result<ControlRecordType> read_key(std::string_view key) {
  Decoder decoder(text_bytes(key), kKeyVersion, false, kNoArrays);
  const auto version = decoder.read_scalar<int16_t>();
  const auto type = decoder.read_scalar<ControlRecordType>();
  if (!decoder.ok()) return failure(decoder.error());
  if (version < kKeyVersion) return failure(Errc::kCorrupt);
  return type;
}

// The version stands in the record's first field, where every version has it.
template <class R>
Result<QuorumRecord> decode_value(std::string_view value) {
  Decoder decoder(text_bytes(value), 0, false, kNoArrays);
  const auto version = decoder.read_scalar<int16_t>();
  if (!decoder.ok()) return failure(decoder.error());
  return TRY(decode_record<R>(text_bytes(value), version, UnknownTags::kSkip));
}

template <size_t kIndex = 0>
Result<QuorumRecord> decode_alternative(ControlRecordType type, std::string_view value) {
  if constexpr (kIndex == std::variant_size_v<QuorumRecord>) {
    return failure(Errc::kUnsupported);
  } else {
    using R = std::variant_alternative_t<kIndex, QuorumRecord>;
    return type == R::kType ? decode_value<R>(value) : decode_alternative<kIndex + 1>(type, value);
  }
}

}  // namespace

std::string encode_key(const QuorumRecord& record) {
  const auto type = std::visit([]<class R>(const R&) { return R::kType; }, record);
  const auto write = [type](Encoder& encoder) {
    encoder.write_scalar(kKeyVersion);
    encoder.write_scalar(type);
  };
  Encoder counter(kKeyVersion, false);
  write(counter);
  std::string key(counter.size().total, '\0');
  Target target{.owned = std::as_writable_bytes(std::span(key))};
  Encoder encoder(kKeyVersion, false, target);
  write(encoder);
  return key;
}

std::string encode_value(const QuorumRecord& record) {
  return std::visit([](const auto& value) { return encode_record(value, value.version, [](Encoder&) {}); }, record);
}

Result<QuorumRecord> decode_quorum_record(std::string_view key, std::string_view value) {
  return decode_alternative(TRY(read_key(key)), value);
}

}  // namespace posthaste::net::kafka
