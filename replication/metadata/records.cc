#include "replication/metadata/records.h"

#include <utility>

#include "net/kafka/record_codec.h"

namespace posthaste::replication {
namespace {

using net::kafka::Bytes;
using net::kafka::Decoder;
using net::kafka::Encoder;
using reactor::Errc;
using reactor::failure;
using reactor::Result;

constexpr uint32_t kFrameVersion = 1;

// What stands before every record.
struct Head {
  uint32_t type = 0;
  uint32_t version = 0;
  Bytes record;
};

Result<Head> read_head(Bytes bytes) {
  constexpr size_t kNoArrays = 0;
  Decoder head(bytes, 0, false, kNoArrays);
  const uint32_t frame = head.read_unsigned_varint();
  if (head.ok() && frame != kFrameVersion) return failure(frame == 0 ? Errc::kCorrupt : Errc::kUnsupported);
  const uint32_t type = head.read_unsigned_varint();
  const uint32_t version = head.read_unsigned_varint();
  if (!head.ok()) return failure(head.error());
  return Head{type, version, head.rest()};
}

template <class R>
Result<MetadataRecord> decode_as(const Head& head) {
  if (head.version > static_cast<uint32_t>(R::kRules.codec_max)) return failure(Errc::kUnsupported);
  return TRY(
      net::kafka::decode_record<R>(head.record, static_cast<int16_t>(head.version), net::kafka::UnknownTags::kRefuse));
}

// The newest, unless the record says that an older one holds it all.
template <class R>
int16_t version_of(const R& record) {
  if constexpr (requires { record.written_version(); }) {
    return record.written_version();
  } else {
    return R::kRules.codec_max;
  }
}

// The alternative of MetadataRecord whose type it is.
template <size_t kIndex = 0>
Result<MetadataRecord> decode_alternative(const Head& head) {
  if constexpr (kIndex == std::variant_size_v<MetadataRecord>) {
    return failure(Errc::kUnsupported);
  } else {
    using R = std::variant_alternative_t<kIndex, MetadataRecord>;
    return head.type == R::kType ? decode_as<R>(head) : decode_alternative<kIndex + 1>(head);
  }
}

}  // namespace

std::string encode(const MetadataRecord& record) {
  return std::visit(
      []<class R>(const R& alternative) {
        const int16_t version = version_of(alternative);
        return net::kafka::encode_record(alternative, version, [version](Encoder& head) {
          head.write_unsigned_varint(kFrameVersion);
          head.write_unsigned_varint(R::kType);
          head.write_unsigned_varint(static_cast<uint32_t>(version));
        });
      },
      record);
}

Result<MetadataRecord> decode_metadata_record(std::string_view bytes) {
  return decode_alternative(TRY(read_head(net::kafka::text_bytes(bytes))));
}

}  // namespace posthaste::replication
