// What commands print: tables for people. nlohmann's library prints JSON; a command builds one value and dumps it.
#pragma once
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/cli/result.h"

namespace posthaste::app {

// Columns as wide as their widest cell, two blanks between them, none at the end of a line. A column whose cells (not
// counting its title) are all numbers is aligned to the right. Control characters in cells are shown as '?': names come
// from the network and must not steer a terminal.
class Table {
 public:
  explicit Table(std::vector<std::string> titles);
  void add(std::vector<std::string> row);  // as many cells as titles
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the first holds the titles
};

// `text` with control characters replaced by '?'.
std::string printable(std::string_view text);

// Writes to standard output. A closed pipe is not an error: the reader has seen enough.
void print(std::string_view text);

// "error: MESSAGE" to standard error; returns the exit code for main.
int fail(const CliError& error);

}  // namespace posthaste::app
