// A decoded message as a tree of named values, so that two brokers' answers can be compared field by field and a
// difference can be named. Made by walking the `fields` of the message structs; there is no second schema. The names
// are those of the C++ members, which Clang tells (__builtin_dump_struct).
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "net/kafka/codec.h"
#include "net/kafka/errors.h"
#include "reactor/check.h"

namespace posthaste::differential {

namespace kafka = net::kafka;

struct Value {
  enum class Kind : uint8_t { kNull, kNumber, kText, kBytes, kUuid, kArray, kStructure };

  std::string name;  // of the field; empty for an element of an array
  Kind kind = Kind::kNull;
  std::string text;  // numbers in decimal, error codes by name, bytes and ids in hex
  std::vector<Value> children = {};

  const Value* child(std::string_view wanted) const {
    const auto found = std::ranges::find(children, wanted, &Value::name);
    return found == children.end() ? nullptr : &*found;
  }
};

// The record batches of a Fetch answer, one structure each. What does not form a whole batch at the end is left out: a
// reader ignores it too.
Value batches_value(std::string name, kafka::Bytes records);

std::string hex(kafka::Bytes bytes);

namespace detail {

// Takes what __builtin_dump_struct would print: a member of the outermost structure is indented by two blanks.
struct MemberNames {
  std::vector<std::string>& names;

  template <class... Arguments>
  void operator()(const char* format, Arguments... arguments) const {
    if constexpr (sizeof...(Arguments) >= 3) take(format, arguments...);
  }

 private:
  template <class A, class B, class C, class... Rest>
  void take(std::string_view format, A indent, B, C name, Rest...) const {
    if constexpr (std::is_convertible_v<A, const char*> && std::is_convertible_v<C, const char*>) {
      if (format.starts_with("%s%s %s") && std::string_view(indent) == "  ") names.emplace_back(name);
    }
  }
};

template <class T>
const std::vector<std::string>& member_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    const T value{};
    __builtin_dump_struct(&value, MemberNames{names});
    return names;
  }();
  return kNames;
}

class TreeBuilder {
 public:
  explicit TreeBuilder(int16_t version) : version_(version) {}

  template <class T>
  Value structure(const T& value) {
    Level outer = std::exchange(level_, Level{&member_names<T>()});
    T::fields(value, *this);
    CHECK(level_.at == level_.names->size(), "a structure states {} fields of {}", level_.at, level_.names->size());
    Value made{.kind = Value::Kind::kStructure, .children = std::move(level_.children)};
    level_ = std::move(outer);
    return made;
  }

  template <class T>
  void operator()(const T& value, kafka::Field field = {}) {
    const std::string& name = (*level_.names).at(level_.at++);
    // Names come in the order of declaration; `fields` must keep to it for them to be right.
    CHECK(static_cast<const void*>(&value) > level_.last, "{} is stated out of order", name);
    level_.last = &value;
    if (!field.exists_in(version_)) return;
    Value made = of(value);
    made.name = name;
    level_.children.push_back(std::move(made));
  }
  template <class T>
  void tagged(uint32_t, const T& value, kafka::Field field) {
    operator()(value, field);
  }
  template <class T>
  void tagged(uint32_t, const T& value, kafka::Field field, const std::type_identity_t<T>&) {
    operator()(value, field);
  }

 private:
  struct Level {
    const std::vector<std::string>* names = nullptr;
    size_t at = 0;
    const void* last = nullptr;
    std::vector<Value> children = {};
  };

  template <kafka::Scalar T>
  Value of(const T& value) {
    if constexpr (std::is_same_v<T, kafka::ErrorCode>) {
      return {.kind = Value::Kind::kText, .text = std::string(kafka::to_string(value))};
    } else if constexpr (std::is_enum_v<T>) {
      return of(static_cast<std::underlying_type_t<T>>(value));
    } else {
      return {.kind = Value::Kind::kNumber, .text = fmt::format("{}", value)};
    }
  }
  Value of(const kafka::Uuid& value) { return {.kind = Value::Kind::kUuid, .text = hex(value.bytes)}; }
  Value of(const std::string_view& value) { return {.kind = Value::Kind::kText, .text = std::string(value)}; }
  Value of(const kafka::Bytes& value) { return {.kind = Value::Kind::kBytes, .text = hex(value)}; }
  Value of(const kafka::Records& value) { return value.is_null ? Value{} : batches_value({}, value.whole); }
  template <class T>
  Value of(const std::optional<T>& value) {
    return value ? of(*value) : Value{};
  }
  template <class T, class Allocator>
  Value of(const std::vector<T, Allocator>& values) {
    Value made{.kind = Value::Kind::kArray};
    for (const T& value : values) made.children.push_back(of(value));
    return made;
  }
  template <class T>
    requires(!kafka::Scalar<T>)
  Value of(const T& value) {
    return structure(value);
  }

  int16_t version_;
  Level level_;
};

}  // namespace detail

template <class M>
Value value_of(const M& message, int16_t version) {
  return detail::TreeBuilder(version).structure(message);
}

// On one line, for reports: {name: value, ...}.
std::string printed(const Value& value);

}  // namespace posthaste::differential
