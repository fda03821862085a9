// One step of a sequence: a request with placeholders (bindings.h) that becomes one frame for each broker, and the
// reading of what comes back. What is known of a step without its message's type is in Step; ApiStep adds the type.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "net/kafka/frame.h"
#include "tests/differential/batch.h"
#include "tests/differential/bindings.h"
#include "tests/differential/value.h"

namespace posthaste::differential {

// What is done to a frame after it was made.
struct Damage {
  std::optional<int16_t> version;  // in the header, instead of the one it is written in
  std::optional<int16_t> api;
  std::optional<int32_t> length;  // of the frame, in its prefix
  size_t cut = 0;                 // bytes taken off the end; the length follows
  size_t add = 0;                 // bytes 0xFF added; the length follows

  bool any() const { return version || api || length || cut > 0 || add > 0; }
};

class Step {
 public:
  virtual ~Step() = default;

  kafka::ApiKey api{};
  int16_t version = 0;
  int number = 0;                 // in its sequence; what placeholders name it by
  int connection = 0;             // of the sequence
  bool may_be_held_back = false;  // the broker may rightly wait before it answers
  bool unanswered = false;        // acks=0: nothing comes back
  bool is_state = false;          // looks at the state that the sequence left
  Damage damage;
  // Names of what is special about this request, for the conditions of accepted differences.
  std::set<std::string, std::less<>> traits;

  // Where this version names topics by id, puts the id in that stands for each name of the message (topic_id_of).
  virtual void name_topics_by_id() = 0;
  virtual std::vector<std::byte> frame(const Bindings& bindings, int32_t correlation_id) const = 0;
  // The answer as values; nothing when it is none to this request.
  virtual std::optional<Value> read(kafka::Bytes frame) const = 0;
  virtual std::string request() const = 0;

 protected:
  std::vector<std::byte> damaged(std::vector<std::byte> frame) const;
};

namespace detail {

// Fills the placeholders of a message in, in place.
class Filler {
 public:
  Filler(const Bindings& bindings, const std::vector<BatchRecipe>& batches) : bindings_(bindings), batches_(batches) {}

  template <class T>
  void operator()(T& value, kafka::Field = {}) {
    fill(value);
  }
  template <class T>
  void tagged(uint32_t, T& value, kafka::Field) {
    fill(value);
  }
  template <class T>
  void tagged(uint32_t, T& value, kafka::Field, const std::type_identity_t<T>&) {
    fill(value);
  }

 private:
  template <kafka::Scalar T>
  void fill(T& value) {
    if constexpr (std::is_same_v<T, int32_t>) value = bindings_.number(value);
  }
  void fill(kafka::Uuid& value) { value = bindings_.uuid(value); }
  void fill(std::string_view& value) { value = texts_.emplace_back(bindings_.text(value)); }
  void fill(kafka::Bytes& value) { value = blobs_.emplace_back(bindings_.bytes(value)); }
  void fill(kafka::Records& value) {
    if (value.whole.empty()) return;
    const BatchRecipe& recipe = batches_.at(std::to_integer<size_t>(value.whole.front()));
    value.is_null = recipe.flaw == Flaw::kNull;
    value.whole = blobs_.emplace_back(make_batch(recipe, bindings_));
  }
  template <class T>
  void fill(std::optional<T>& value) {
    if (value) fill(*value);
  }
  template <class T, class Allocator>
  void fill(std::vector<T, Allocator>& values) {
    for (T& value : values) fill(value);
  }
  template <class T>
    requires(!kafka::Scalar<T>)
  void fill(T& value) {
    T::fields(value, *this);
  }

  const Bindings& bindings_;
  const std::vector<BatchRecipe>& batches_;
  std::deque<std::string> texts_;
  std::deque<std::vector<std::byte>> blobs_;
};

// Gives every topic of a message the id that stands for its name.
class TopicIds {
 public:
  template <class T>
  void operator()(T& value, kafka::Field = {}) {
    visit(value);
  }
  template <class T>
  void tagged(uint32_t, T& value, kafka::Field, const auto&...) {
    visit(value);
  }

 private:
  void visit(auto& /*scalar*/) {}
  template <class T>
  void visit(std::optional<T>& value) {
    if (value) visit(*value);
  }
  template <class T, class Allocator>
  void visit(std::vector<T, Allocator>& values) {
    for (T& value : values) visit(value);
  }
  template <class T>
    requires requires(T& value, TopicIds& self) { T::fields(value, self); }
  void visit(T& value) {
    if constexpr (requires { value.topic_id = topic_id_of(value.topic); }) value.topic_id = topic_id_of(value.topic);
    if constexpr (requires { value.topic_id = topic_id_of(value.name); }) value.topic_id = topic_id_of(value.name);
    T::fields(value, *this);
  }
};

}  // namespace detail

template <class Request>
class ApiStep final : public Step {
 public:
  explicit ApiStep(int16_t of_version) {
    api = Request::kKey;
    version = of_version;
  }

  Request message;
  std::vector<BatchRecipe> batches;

  // Text that the message refers to lives as long as the step.
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }
  // Records for one partition: a recipe instead of bytes.
  kafka::Records records(const BatchRecipe& recipe) {
    const std::string_view index = keep(std::string(1, static_cast<char>(batches.size())));
    batches.push_back(recipe);
    return {.whole = std::as_bytes(std::span(index))};
  }

  void name_topics_by_id() override {
    if (!kafka::find_api(api)->is_by_topic_id(version)) return;
    detail::TopicIds ids;
    Request::fields(message, ids);
  }

  std::vector<std::byte> frame(const Bindings& bindings, int32_t correlation_id) const override {
    Request filled = message;
    detail::Filler filler(bindings, batches);
    Request::fields(filled, filler);
    return damaged(kafka::encode_request(filled, version, correlation_id, "differential").flatten());
  }

  std::optional<Value> read(kafka::Bytes frame) const override {
    // What the broker does not know of ApiVersions is answered as version 0 (KIP-511).
    const int16_t as = damage.version && api == kafka::ApiKey::kApiVersions ? int16_t{0} : version;
    const auto header = kafka::decode_response_header(frame, api, as);
    if (!header) return std::nullopt;
    const auto response = kafka::decode<typename Request::Response>(header->body, as, size_t{64} << 20);
    if (!response) return std::nullopt;
    return value_of(*response, as);
  }

  std::string request() const override {
    std::string text = printed(value_of(message, version));
    for (size_t i = 0; i < batches.size(); ++i) text += fmt::format(" {}: {}", i, printed(batches[i]));
    return text;
  }

 private:
  std::deque<std::string> texts_;
};

using Sequence = std::vector<std::unique_ptr<Step>>;

}  // namespace posthaste::differential
