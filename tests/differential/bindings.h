// What the two brokers call differently: topic ids, member ids, producer ids, session ids and generations are drawn by
// each broker. A request is written with a placeholder instead, filled in for each broker with what that broker has
// answered to the step that the placeholder names; in answers the brokers' values become the placeholder again.
//
// Placeholders by type of field (`n` is a number below 256):
//   text      "$tN" topic, "$gN" group (the same name for both brokers); "$mN" the member id that step N was given
//   uuid      topic_id(N): the last id that topic N was seen with
//   int32     generation_of(N): of the JoinGroup of step N; session_of(N): of the Fetch of step N
//   bytes     subscription({N...}): of these topics, as a consumer writes it
// Producer ids stand inside record batches: batch.h.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/differential/value.h"

namespace posthaste::differential {

enum class Side : uint8_t { kKafka, kPosthaste };
inline constexpr std::array kSides = {Side::kKafka, Side::kPosthaste};

template <class T>
struct Both {
  T kafka{};
  T posthaste{};
  T& operator[](Side side) { return side == Side::kKafka ? kafka : posthaste; }
  const T& operator[](Side side) const { return side == Side::kKafka ? kafka : posthaste; }
};

inline constexpr int32_t kGenerationPlaceholder = 0x47'00'00'00;
inline constexpr int32_t kSessionPlaceholder = 0x53'00'00'00;
constexpr int32_t generation_of(int step) { return kGenerationPlaceholder + step; }
constexpr int32_t session_of(int step) { return kSessionPlaceholder + step; }
kafka::Uuid topic_id(int topic);
// Of "$tN" topic_id(N), of the empty name no id, of any other an id that no topic has: one for each name.
kafka::Uuid topic_id_of(std::string_view name);

// Of one sequence and one broker.
class Bindings {
 public:
  // `prefix` begins every name of a topic or group, so that sequences do not meet.
  explicit Bindings(std::string prefix) : prefix_(std::move(prefix)) {}

  // Learns from the answer to step `step`.
  void learn(int step, kafka::ApiKey api, const Value& answer);

  std::string name(std::string_view placeholder) const;  // of a topic or group: without "$", behind the prefix
  std::string text(std::string_view value) const;
  kafka::Uuid uuid(const kafka::Uuid& value) const;
  int32_t number(int32_t value) const;
  std::vector<std::byte> bytes(kafka::Bytes value) const;
  int64_t producer_id(int step) const;

  // Replaces this broker's own values by placeholders, everywhere in `answer`.
  void unname(Value& answer) const;

 private:
  void learn_topic_ids(const Value& value);

  std::string prefix_;
  std::map<int, std::string> members_;
  std::map<int, int32_t> generations_;
  std::map<int, int32_t> sessions_;
  std::map<int, int64_t> producers_;
  std::map<std::string, std::vector<std::string>, std::less<>> topic_ids_;  // by name, in hex, in the order of sight
};

// A subscription placeholder. Its bytes live as long as the program: there are few.
kafka::Bytes subscription(const std::vector<int>& topics);

}  // namespace posthaste::differential
