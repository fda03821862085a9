// The command line of the programs that take seeds: [FLAG]... [FIRST_SEED [COUNT]]. Each program names the
// flags that it has.
#pragma once
#include <fmt/format.h>

#include <algorithm>
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

// What the flags set that most of these programs have.
struct SeedSettings {
  bool twice = false;      // each seed is run twice and must leave one trace hash
  bool quiet = false;      // no line for a seed that passed
  bool verbose = false;    // the log of the simulated hosts is printed
  bool hashes = false;     // of each seed only its trace hash, and no totals
  bool list_bugs = false;  // print the planted bugs and end
  std::string bug;         // plant this one and stop at the first seed that shows it
};

struct SeedFlag {
  std::string_view name;
  bool* value = nullptr;
  std::string* text = nullptr;  // instead: the next word
  uint32_t* number = nullptr;   // instead: the next word, a number from 1 to number_max
  uint32_t number_max = 0;

  bool takes_word() const { return text != nullptr || number != nullptr; }
};

namespace detail {

// False if `word` is not a whole number of this type.
template <class Number>
bool read_number(std::string_view word, Number& number) {
  const char* const end = word.data() + word.size();
  const auto [stopped_at, error] = std::from_chars(word.data(), end, number);
  return error == std::errc() && stopped_at == end;
}

inline void print_usage(std::string_view program, std::string_view word, std::initializer_list<SeedFlag> flags) {
  std::string usage;
  for (const SeedFlag& flag : flags) {
    usage += fmt::format(" [{}{}]", flag.name, flag.text != nullptr ? " NAME" : flag.number != nullptr ? " COUNT" : "");
  }
  fmt::print(stderr, "{}: not understood: {}\nusage: {}{} [FIRST_SEED [COUNT]]\n", program, word, program, usage);
}

// Sets what `flag` points at; `word` is the next one of the command line. False, with a line on stderr, if that is no
// number in the flag's range.
inline bool set_flag(const SeedFlag& flag, std::string_view word) {
  if (flag.text != nullptr) {
    *flag.text = word;
  } else if (flag.number == nullptr) {
    *flag.value = true;
  } else if (!read_number(word, *flag.number) || *flag.number < 1 || *flag.number > flag.number_max) {
    fmt::print(stderr, "{} takes a number from 1 to {}, not {}\n", flag.name, flag.number_max, word);
    return false;
  }
  return true;
}

}  // namespace detail

// Sets the flags that are named. Nothing, with a line on stderr, if a word is neither a flag nor a number, or if a
// flag's number is out of its range.
inline std::optional<SeedArguments> parse_seed_arguments(int argc, char** argv, std::initializer_list<SeedFlag> flags) {
  SeedArguments arguments;
  uint64_t* const numbers[] = {&arguments.first, &arguments.count};
  size_t numbers_seen = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool is_last = i + 1 == argc;
    const auto* const flag = std::ranges::find_if(
        flags, [&](const SeedFlag& known) { return known.name == word && !(known.takes_word() && is_last); });
    if (flag != flags.end()) {
      if (!detail::set_flag(*flag, flag->takes_word() ? argv[++i] : "")) return std::nullopt;
    } else if (numbers_seen < std::size(numbers) && detail::read_number(word, *numbers[numbers_seen])) {
      ++numbers_seen;
    } else {
      detail::print_usage(argv[0], word, flags);
      return std::nullopt;
    }
  }
  return arguments;
}

}  // namespace posthaste::tests
