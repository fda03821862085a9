#include "broker/key_walk.h"

#include <algorithm>

namespace posthaste::broker {

KeyWalk::KeyWalk(const storage::RecordBatchView& batch)
    : source_(make_decompressor(batch.compression(), batch.records())), count_(batch.record_count()) {}

bool KeyWalk::step() {
  const auto piece = source_->next();
  if (!piece || piece->empty()) {
    unreadable_ = unreadable_ || !piece || index_ < count_;
    return false;
  }
  unpacked_bytes_ += piece->size();
  take(*piece);
  unreadable_ = unreadable_ || unpacked_bytes_ > kUnpackedBytesMax;
  return !unreadable_ && index_ < count_;
}

void KeyWalk::take(storage::ByteView piece) {
  while (!piece.empty() && !unreadable_ && index_ < count_) {
    if (field_ != Field::kRest) {
      take_byte(piece.front());
      piece = piece.subspan(1);
      continue;
    }
    const auto skipped = static_cast<size_t>(std::min<uint64_t>(left_, piece.size()));
    left_ -= skipped;
    piece = piece.subspan(skipped);
    if (left_ == 0) end_record();
  }
}

void KeyWalk::take_byte(std::byte byte) {
  constexpr int kBits = 64;
  if (field_ != Field::kLength) {
    if (left_ == 0) {
      unreadable_ = true;
      return;
    }
    --left_;
  }
  if (field_ == Field::kAttributes) {
    field_ = Field::kTimestampDelta;
    return;
  }
  if (shift_ >= kBits) {
    unreadable_ = true;
    return;
  }
  const auto bits = std::to_integer<uint64_t>(byte);
  number_ |= (bits & 0x7f) << shift_;
  shift_ += 7;
  if ((bits & 0x80) == 0) end_number();
}

void KeyWalk::end_number() {
  const auto value = static_cast<int64_t>((number_ >> 1) ^ (0 - (number_ & 1)));
  number_ = 0;
  shift_ = 0;
  switch (field_) {
    case Field::kLength:
      unreadable_ = value <= 0 || value > INT32_MAX;
      left_ = static_cast<uint64_t>(value);
      field_ = Field::kAttributes;
      break;
    case Field::kTimestampDelta:
      field_ = Field::kOffsetDelta;
      break;
    case Field::kOffsetDelta:
      field_ = Field::kKeyLength;
      break;
    case Field::kKeyLength:
      if (value < 0 && without_key_.size() < kListedMax) without_key_.push_back(index_);
      unreadable_ = value > static_cast<int64_t>(left_);
      field_ = Field::kRest;
      if (left_ == 0) end_record();
      break;
    case Field::kAttributes:
    case Field::kRest:
      break;
  }
}

void KeyWalk::end_record() {
  ++index_;
  field_ = Field::kLength;
}

}  // namespace posthaste::broker
