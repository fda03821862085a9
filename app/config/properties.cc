#include "app/config/properties.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

namespace posthaste::app {
namespace {

constexpr std::string_view kBlank = " \t\f";

bool is_blank(char c) { return kBlank.find(c) != std::string_view::npos; }

// Takes one natural line, without its end (\n, \r or \r\n), off `text`.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find_first_of("\r\n");
  const std::string_view line = text.substr(0, end);
  if (end == std::string_view::npos) {
    text = {};
    return line;
  }
  const bool two = text[end] == '\r' && end + 1 < text.size() && text[end + 1] == '\n';
  text.remove_prefix(end + (two ? 2 : 1));
  return line;
}

// A line continues when an odd number of backslashes ends it: an even number is escaped backslashes.
bool continues(std::string_view line) {
  size_t backslashes = 0;
  while (backslashes < line.size() && line[line.size() - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

std::string_view without_leading_blanks(std::string_view line) {
  const size_t start = line.find_first_not_of(kBlank);
  return start == std::string_view::npos ? std::string_view{} : line.substr(start);
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

std::optional<uint32_t> hex4(std::string_view digits) {
  if (digits.size() < 4) return std::nullopt;
  uint32_t value = 0;
  for (const char c : digits.substr(0, 4)) {
    const size_t digit =
        std::string_view("0123456789abcdef").find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  return value;
}

// Resolves the escapes of a key or a value. Nothing for a \u without four hex digits.
std::optional<std::string> unescaped(std::string_view raw) {
  std::string out;
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      out.push_back(raw[i]);
      continue;
    }
    const char escape = raw[++i];
    switch (escape) {
      case 't':
        out.push_back('\t');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'u': {
        const std::optional<uint32_t> code = hex4(raw.substr(i + 1));
        if (!code) return std::nullopt;
        append_utf8(out, *code);
        i += 4;
        break;
      }
      default:
        out.push_back(escape);
    }
  }
  return out;
}

// Where the key of a logical line ends: the first unescaped `=`, `:` or blank.
size_t key_end(std::string_view line) {
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '=' || line[i] == ':' || is_blank(line[i])) {
      return i;
    }
  }
  return line.size();
}

std::string_view value_part(std::string_view after_key) {
  after_key = without_leading_blanks(after_key);
  if (!after_key.empty() && (after_key.front() == '=' || after_key.front() == ':')) after_key.remove_prefix(1);
  return without_leading_blanks(after_key);
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kEdge = " \t\f\r\n";
  const size_t start = text.find_first_not_of(kEdge);
  return start == std::string_view::npos ? std::string_view{}
                                         : text.substr(start, text.find_last_not_of(kEdge) - start + 1);
}

std::expected<std::vector<Property>, std::string> parse_properties(std::string_view text, std::string_view name) {
  if (text.find('\0') != std::string_view::npos) {
    return std::unexpected(fmt::format("{}: holds a NUL byte, it is not a properties file", name));
  }
  std::vector<Property> properties;
  size_t line_number = 0;
  while (!text.empty()) {
    std::string logical(without_leading_blanks(take_line(text)));
    const size_t first_line = ++line_number;
    if (logical.empty() || logical.front() == '#' || logical.front() == '!') continue;
    while (continues(logical)) {
      logical.pop_back();
      if (text.empty()) break;
      logical += without_leading_blanks(take_line(text));
      ++line_number;
    }
    const std::string_view line = logical;
    const size_t end = key_end(line);
    const std::optional<std::string> key = unescaped(line.substr(0, end));
    const std::optional<std::string> value = unescaped(value_part(line.substr(end)));
    const std::string source = fmt::format("{}:{}", name, first_line);
    if (!key || !value) return std::unexpected(fmt::format("{}: \\u must be followed by four hex digits", source));
    properties.push_back({*key, *value, source});
  }
  return properties;
}

std::expected<Property, std::string> parse_override(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view key = trimmed(text.substr(0, equals));
  if (equals == std::string_view::npos || key.empty()) {
    return std::unexpected(fmt::format("--override {}: must have the form KEY=VALUE", text));
  }
  return Property{std::string(key), std::string(trimmed(text.substr(equals + 1))), "--override"};
}

}  // namespace posthaste::app
