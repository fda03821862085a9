// posthaste-wire-compare: our side of the comparison with Kafka's own message classes (RandomMessages.java, which tells
// the form of a line).
//
// usage: posthaste-wire-compare apis               the argument list that RandomMessages wants
//        posthaste-wire-compare make SEED COUNT    COUNT random messages of each kind and version, encoded by us
//        posthaste-wire-compare check              lines from standard input: decoded to the same values, encoded to
//                                                  the same bytes; last line: N passed, M failed
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "net/kafka/testing/all_messages.h"
#include "net/kafka/testing/random_message.h"

namespace {

using namespace posthaste::net::kafka;
using posthaste::reactor::to_string;

std::string to_hex(Bytes bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

template <class M>
std::vector<std::byte> encoded(const M& message, int16_t version) {
  std::vector<std::byte> out(encoded_size(message, version).total);
  Target target{.owned = out};
  encode(message, version, target);
  return out;
}

// Kafka's classes know no double that ours lack, and the other way round: every field of a version is compared.
template <class M>
void make_one(std::mt19937_64& random, int16_t version, const char* kind) {
  auto draw = [&random](uint64_t limit) { return random() % limit; };
  RandomFiller<decltype(draw)> filler(draw, version);
  M message;
  M::fields(message, filler);
  fmt::print("{} {} {} {} {}\n", static_cast<int>(M::kKey), version, kind, to_hex(encoded(message, version)),
             printed(message, version));
}

void make(uint64_t seed, int count) {
  std::mt19937_64 random(seed);
  AllRequests::for_each([&]<class Request> {
    constexpr ApiInfo kInfo = *find_messages(Request::kKey);
    for (int16_t version = kInfo.codec_min; version <= kInfo.codec_max; ++version) {
      for (int i = 0; i < count; ++i) {
        make_one<Request>(random, version, "request");
        make_one<typename Request::Response>(random, version, "response");
      }
    }
  });
}

template <class M>
std::string check_one(Bytes bytes, int16_t version, std::string_view values) {
  const auto message = decode<M>(bytes, version);
  if (!message) return fmt::format("not decoded: {}", to_string(message.error()));
  std::string ours = printed(*message, version);
  while (ours.ends_with(' ')) ours.pop_back();
  if (ours != values) return fmt::format("values are {}", ours);
  const auto again = encoded(*message, version);
  return std::ranges::equal(again, bytes) ? "" : fmt::format("encoded again as {}", to_hex(again));
}

int check() {
  int passed = 0;
  int failed = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream fields(line);
    int key = 0;
    int16_t version = 0;
    std::string kind;
    std::string hex;
    std::string values;
    fields >> key >> version >> kind >> hex >> std::ws;
    std::getline(fields, values);
    // An empty body leaves no hex: what was read is the start of the values.
    if (hex == "{") values = "{ " + values, hex.clear();
    const std::vector<std::byte> bytes = from_hex(hex);
    std::string wrong = "no such API";
    AllRequests::for_each([&]<class Request> {
      if (static_cast<int>(Request::kKey) != key) return;
      wrong = kind == "request" ? check_one<Request>(bytes, version, values)
                                : check_one<typename Request::Response>(bytes, version, values);
    });
    wrong.empty() ? ++passed : ++failed;
    if (!wrong.empty()) fmt::print("FAILED: {} v{} {}: {}\n  {}\n", key, version, kind, wrong, line);
  }
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int count, char** arguments) {
  const std::string command = count > 1 ? arguments[1] : "";
  if (command == "apis") {
    AllRequests::for_each([]<class Request> {
      constexpr ApiInfo kInfo = *find_messages(Request::kKey);
      fmt::print("{}:{}-{} ", static_cast<int>(Request::kKey), kInfo.codec_min, kInfo.codec_max);
    });
    fmt::print("\n");
    return EXIT_SUCCESS;
  }
  if (command == "check") return check();
  if (command != "make" || count != 4) {
    fmt::print(stderr, "usage: posthaste-wire-compare apis | make SEED COUNT | check\n");
    return EXIT_FAILURE;
  }
  make(std::strtoull(arguments[2], nullptr, 10), std::atoi(arguments[3]));
  return EXIT_SUCCESS;
}
