// The command line that the programs which take seeds share: [FLAG]... [FIRST_SEED [COUNT]]. It knows no flag itself.
#pragma once
#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace posthaste::tests {

struct SeedArguments {
  uint64_t first = 1;
  uint64_t count = 1;
};

struct SeedFlag {
  std::string_view name;
  bool* value = nullptr;
  std::string* text = nullptr;  // instead: the next word
};

// Sets the flags that are named. Nothing, with the usage on stderr, if a word is neither a flag nor a number.
inline std::optional<SeedArguments> parse_seed_arguments(int argc, char** argv, std::initializer_list<SeedFlag> flags) {
  SeedArguments arguments;
  uint64_t* const numbers[] = {&arguments.first, &arguments.count};
  size_t numbers_seen = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    bool known = false;
    for (const SeedFlag& flag : flags) {
      if (word != flag.name || (flag.text != nullptr && i + 1 == argc)) continue;
      known = true;
      if (flag.text != nullptr) {
        *flag.text = argv[++i];
      } else {
        *flag.value = true;
      }
    }
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (!known && error == std::errc() && end == word.data() + word.size() && numbers_seen < std::size(numbers)) {
      *numbers[numbers_seen++] = number;
      known = true;
    }
    if (known) continue;
    std::string usage;
    for (const SeedFlag& flag : flags) usage += fmt::format(" [{}{}]", flag.name, flag.text == nullptr ? "" : " NAME");
    fmt::print(stderr, "{}: not understood: {}\nusage: {}{} [FIRST_SEED [COUNT]]\n", argv[0], word, argv[0], usage);
    return std::nullopt;
  }
  return arguments;
}

}  // namespace posthaste::tests
