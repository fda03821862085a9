// The byte vectors that Kafka's own library made, as tests read them (their form: tests/wire/WireVectors.java). Test
// code only.
#pragma once
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "net/kafka/codec.h"
#include "reactor/check.h"

namespace posthaste::net::kafka {

struct Vector {
  ApiKey key{};
  int16_t version = 0;
  std::string kind;
  std::string variant;
  std::vector<std::byte> bytes;

  std::string name() const {
    return std::string(to_string(key)) + " v" + std::to_string(version) + " " + kind + " " + variant;
  }
};

inline std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

class VectorFile {
 public:
  explicit VectorFile(const char* path) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      int key = 0;
      std::string hex;
      Vector vector;
      fields >> key >> vector.version >> vector.kind >> vector.variant >> hex;
      vector.key = static_cast<ApiKey>(key);
      vector.bytes = from_hex(hex);
      vectors_.push_back(std::move(vector));
    }
    CHECK(!vectors_.empty(), "no vectors in {}", path);
  }

  const std::vector<Vector>& all() const { return vectors_; }

  // CHECKs that there is one.
  const Vector& find(ApiKey key, int16_t version, std::string_view kind, std::string_view variant) const {
    for (const Vector& vector : vectors_) {
      if (vector.key == key && vector.version == version && vector.kind == kind && vector.variant == variant) {
        return vector;
      }
    }
    CHECK(false, "no vector for {} v{} {} {}", to_string(key), version, kind, variant);
  }

 private:
  std::vector<Vector> vectors_;
};

}  // namespace posthaste::net::kafka
