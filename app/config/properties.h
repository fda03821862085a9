// Reads the text of a `server.properties` (the syntax of Java's properties files): comments, continued lines, escapes,
// `key=value`, `key: value` and `key value`. It knows no key and opens no file.
#pragma once
#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace posthaste::app {

// One setting and where it came from, for error messages: "server.properties:12" or "--override".
struct Property {
  std::string key;
  std::string value;
  std::string source;
};

// Every setting in file order, duplicates included (the last one counts; broker_config.h decides). `name` is used in
// sources and errors. Bytes outside ASCII pass through unchanged (UTF-8), which differs from Java's Latin-1 only in
// comments and values that no Kafka key has. Fails with one readable line: a malformed \u escape, a NUL byte.
std::expected<std::vector<Property>, std::string> parse_properties(std::string_view text, std::string_view name);

// KEY=VALUE as given to --override. Fails with one readable line when there is no `=` or no key.
std::expected<Property, std::string> parse_override(std::string_view text);

// `text` without spaces, tabs, form feeds and line ends on both sides.
std::string_view trimmed(std::string_view text);

}  // namespace posthaste::app
