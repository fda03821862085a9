#include "storage/folder_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace posthaste::storage {
namespace {

// NAME_MAX of every file system that is supported.
constexpr size_t kNameBytesMax = 255;
constexpr size_t kBaseDigits = 20;
constexpr std::string_view kDeleted = ".deleted";
constexpr std::array<std::string_view, 5> kEngineEntries = {"journal", "table-0.snap", "table-1.snap", ".lock",
                                                            ".reserve"};
constexpr size_t kNamesListed = 8;
constexpr size_t kNameBytesListed = 64;
constexpr std::array<std::string_view, 3> kExtensions = {".log", ".index", ".snapshot"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_topic_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '_' || c == '-';
}
// Takes the digits off the front of `text`; false if there are none.
bool take_digits(std::string_view& text) {
  const auto digits = static_cast<size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  text.remove_prefix(digits);
  return digits > 0;
}

}  // namespace

std::optional<std::string> partition_folder(std::string_view topic, int32_t partition) {
  if (topic.empty() || partition < 0 || partition >= kPartitionsOfTopicMax) return std::nullopt;
  if (!std::ranges::all_of(topic, is_topic_character)) return std::nullopt;
  std::string name = fmt::format("{}-{}", topic, partition);
  if (name.size() > kNameBytesMax) return std::nullopt;
  return name;
}

bool is_partition_folder(std::string_view name) {
  const size_t dash = name.rfind('-');
  if (dash == std::string_view::npos) return false;
  const std::string_view digits = name.substr(dash + 1);
  int32_t partition = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), partition);
  return parsed.ec == std::errc() && partition_folder(name.substr(0, dash), partition) == name;
}

std::string deleted_folder(Uid uid) { return fmt::format(".{}{}", uid, kDeleted); }
std::string deleted_folder(uint64_t table, uint64_t number) { return fmt::format(".{}-{}{}", table, number, kDeleted); }

bool is_deleted_folder(std::string_view name) {
  if (!name.starts_with('.')) return false;
  name.remove_prefix(1);
  if (!take_digits(name)) return false;
  if (name.starts_with('-')) {
    name.remove_prefix(1);
    if (!take_digits(name)) return false;
  }
  return name == kDeleted;
}

bool is_engine_entry(std::string_view name) { return std::ranges::find(kEngineEntries, name) != kEngineEntries.end(); }

std::string segment_file(int64_t base_offset, std::string_view extension) {
  return fmt::format("{:0{}}.{}", base_offset, kBaseDigits, extension);
}

std::optional<int64_t> segment_file_base(std::string_view name) {
  if (name.size() <= kBaseDigits) return std::nullopt;
  int64_t base = 0;
  const char* const digits_end = name.data() + kBaseDigits;
  const auto parsed = std::from_chars(name.data(), digits_end, base);
  if (parsed.ec != std::errc() || parsed.ptr != digits_end || base < 0) return std::nullopt;
  const std::string_view extension = name.substr(kBaseDigits);
  if (std::ranges::find(kExtensions, extension) == kExtensions.end()) return std::nullopt;
  return base;
}

std::string some_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesListed); ++i) {
    std::string name = names[i].substr(0, kNameBytesListed);
    std::ranges::replace_if(name, [](char c) { return c < ' ' || c > '~'; }, '?');
    text += fmt::format("{}'{}{}'", i == 0 ? "" : ", ", name, names[i].size() > kNameBytesListed ? "..." : "");
  }
  if (names.size() > kNamesListed) text += fmt::format(" and {} more", names.size() - kNamesListed);
  return text;
}

}  // namespace posthaste::storage
