#include "app/cli/output.h"

#include <fmt/format.h>

#include <algorithm>

#include "reactor/check.h"

namespace posthaste::app {
namespace {

constexpr std::string_view kColumnGap = "  ";

bool is_number(std::string_view cell) {
  return cell == "-" ||
         (!cell.empty() && cell.find_first_not_of("0123456789", cell.front() == '-' && cell.size() > 1 ? 1 : 0) ==
                               std::string_view::npos);
}

// Bytes that continue a UTF-8 character take no column.
size_t columns(std::string_view cell) {
  return static_cast<size_t>(std::ranges::count_if(cell, [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

Table::Table(std::vector<std::string> titles) { rows_.push_back(std::move(titles)); }

void Table::add(std::vector<std::string> row) {
  CHECK(row.size() == rows_.front().size());
  std::ranges::transform(row, row.begin(), printable);
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  const size_t count = rows_.front().size();
  std::vector<size_t> widths(count, 0);
  std::vector<bool> right(count, rows_.size() > 1);
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (size_t column = 0; column < count; ++column) {
      widths[column] = std::max(widths[column], columns(rows_[row][column]));
      if (row > 0 && !is_number(rows_[row][column])) right[column] = false;
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (size_t column = 0; column < count; ++column) {
      if (column > 0) line += kColumnGap;
      const std::string padding(widths[column] - columns(row[column]), ' ');
      line += right[column] ? padding + row[column] : row[column] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
  return out;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

int fail(const CliError& error) {
  fmt::print(stderr, "error: {}\n", printable(error.message));
  return static_cast<int>(error.code);
}

}  // namespace posthaste::app
