// A request, or one part of it, refused: Kafka's code and a sentence for people. For the pure functions of this folder.
#pragma once
#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "net/kafka/errors.h"

namespace posthaste::replication {

struct Refusal {
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;
  std::string message;

  // Puts it into a result, which has the same two fields.
  void into(auto& result) const {
    result.error = error;
    result.message = message;
  }
};

template <class... Args>
std::optional<Refusal> refuse(net::kafka::ErrorCode error, fmt::format_string<Args...> format, Args&&... args) {
  return Refusal{error, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace posthaste::replication
