#include "tests/differential/value.h"

#include "storage/batch/record_batch.h"

namespace posthaste::differential {
namespace {

Value number(std::string name, int64_t value) {
  return {.name = std::move(name), .kind = Value::Kind::kNumber, .text = fmt::format("{}", value)};
}

}  // namespace

std::string hex(kafka::Bytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

Value batches_value(std::string name, kafka::Bytes records) {
  Value made{.name = std::move(name), .kind = Value::Kind::kArray};
  storage::BatchCursor cursor(records);
  while (const auto batch = cursor.next()) {
    Value& one = made.children.emplace_back(Value{.kind = Value::Kind::kStructure});
    one.children.push_back(number("base_offset", batch->base_offset()));
    one.children.push_back(number("leader_epoch", batch->leader_epoch()));
    one.children.push_back(number("attributes", batch->attributes()));
    one.children.push_back(number("last_offset_delta", batch->last_offset_delta()));
    one.children.push_back(number("base_timestamp", batch->base_timestamp()));
    one.children.push_back(number("max_timestamp", batch->max_timestamp()));
    one.children.push_back(number("producer_id", batch->producer_id()));
    one.children.push_back(number("producer_epoch", batch->producer_epoch()));
    one.children.push_back(number("base_sequence", batch->base_sequence()));
    one.children.push_back(number("record_count", batch->record_count()));
    one.children.push_back(
        {.name = "crc_matches", .kind = Value::Kind::kNumber, .text = fmt::format("{}", batch->crc_matches())});
    one.children.push_back({.name = "records", .kind = Value::Kind::kBytes, .text = hex(batch->records())});
  }
  return made;
}

std::string printed(const Value& value) {
  std::string text = value.name.empty() ? "" : value.name + ": ";
  switch (value.kind) {
    case Value::Kind::kNull:
      return text + "null";
    case Value::Kind::kNumber:
      return text + value.text;
    case Value::Kind::kText:
      return text + "\"" + value.text + "\"";
    case Value::Kind::kBytes:
    case Value::Kind::kUuid:
      return text + "x" + (value.text.size() > 80 ? value.text.substr(0, 80) + "..." : value.text);
    case Value::Kind::kArray:
    case Value::Kind::kStructure:
      break;
  }
  const bool array = value.kind == Value::Kind::kArray;
  text += array ? "[" : "{";
  for (size_t i = 0; i < value.children.size(); ++i) text += (i == 0 ? "" : ", ") + printed(value.children[i]);
  return text + (array ? "]" : "}");
}

}  // namespace posthaste::differential
