#include "tests/durability/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace posthaste::durability {
namespace {

// The filler after "producer sequence size ": cheap, and different for each record and position.
void append_filler(std::string& out, RecordId id, size_t size) {
  uint64_t state = (uint64_t{id.producer} << 32 | id.sequence) * 0x9e3779b97f4a7c15 + 1;
  while (out.size() < size) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    out.push_back(static_cast<char>('!' + state % 90));
  }
}

template <class Number>
std::optional<Number> take_number(std::string_view& text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data() + text.size() || *end != ' ') return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()) + 1);
  return value;
}

// The first of each kind of mistake is worth a line, the others a count.
class Mistakes {
 public:
  void add(const std::string& kind, std::string detail) {
    auto& [count, first] = kinds_[kind];
    if (count++ == 0) first = std::move(detail);
  }
  std::vector<std::string> lines(int32_t partition) const {
    std::vector<std::string> out;
    for (const auto& [kind, entry] : kinds_) {
      out.push_back(fmt::format("partition {}: {} x {}; first: {}", partition, entry.first, kind, entry.second));
    }
    return out;
  }

 private:
  std::map<std::string, std::pair<int, std::string>> kinds_;
};

std::string text(RecordId id) { return fmt::format("{}/{}", id.producer, id.sequence); }

}  // namespace

std::string value_of(RecordId id, size_t size) {
  std::string out = fmt::format("{} {} {} ", id.producer, id.sequence, size);
  append_filler(out, id, size);
  return out;
}

std::optional<RecordId> parse_value(std::string_view value) {
  std::string_view left = value;
  const auto producer = take_number<uint32_t>(left);
  const auto sequence = producer ? take_number<uint32_t>(left) : std::nullopt;
  const auto size = sequence ? take_number<size_t>(left) : std::nullopt;
  if (!size || *size > std::max<size_t>(value.size(), 64)) return std::nullopt;
  const RecordId id{*producer, *sequence};
  return value_of(id, *size) == value ? std::optional(id) : std::nullopt;
}

void Ledger::sent(int32_t partition, RecordId id) {
  const std::lock_guard lock(mutex_);
  partitions_.at(static_cast<size_t>(partition)).sent[id.producer].push_back(id.sequence);
  ++sent_;
}

void Ledger::acknowledged(int32_t partition, int64_t offset, RecordId id) {
  const std::lock_guard lock(mutex_);
  Partition& place = partitions_.at(static_cast<size_t>(partition));
  const auto [found, is_new] = place.acknowledged.emplace(offset, id);
  if (!is_new) {
    place.mistakes.push_back(fmt::format("partition {}: offset {} acknowledged for {} and for {}", partition, offset,
                                         text(found->second), text(id)));
  }
  ++acknowledged_;
}

uint64_t Ledger::sent_count() const {
  const std::lock_guard lock(mutex_);
  return sent_;
}

uint64_t Ledger::acknowledged_count() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_;
}

std::vector<std::string> Ledger::compare(int32_t partition, const std::vector<Found>& log) const {
  const std::lock_guard lock(mutex_);
  const Partition& place = partitions_.at(static_cast<size_t>(partition));
  Mistakes mistakes;
  std::map<int64_t, RecordId> ids;                        // what is at each offset
  std::map<uint32_t, std::vector<uint32_t>> by_producer;  // in the order of the log
  int64_t next = 0;
  for (const Found& found : log) {
    if (found.offset != next) mistakes.add("offset gap", fmt::format("{} where {} was due", found.offset, next));
    next = found.offset + 1;
    if (!found.id) {
      mistakes.add("damaged record", fmt::format("at offset {}", found.offset));
      continue;
    }
    ids[found.offset] = *found.id;
    by_producer[found.id->producer].push_back(found.id->sequence);
  }
  for (const auto& [offset, id] : place.acknowledged) {
    const auto found = ids.find(offset);
    if (found == ids.end()) {
      mistakes.add("acknowledged record lost",
                   fmt::format("{} at offset {}; the log ends at {}", text(id), offset, next));
    } else if (found->second != id) {
      mistakes.add("acknowledged record replaced",
                   fmt::format("{} at offset {}, found {}", text(id), offset, text(found->second)));
    }
  }
  for (const auto& [producer, sequences] : by_producer) {
    const auto sent = place.sent.find(producer);
    const size_t known = sent == place.sent.end() ? 0 : sent->second.size();
    for (size_t i = 0; i < sequences.size(); ++i) {
      if (i < known && sequences[i] == sent->second[i]) continue;
      mistakes.add("record twice, out of order or after a hole",
                   fmt::format("{}, number {} of this producer here; {} was due", text({producer, sequences[i]}), i,
                               i < known ? fmt::format("{}", sent->second[i]) : "nothing"));
      break;  // what follows is shifted too
    }
  }
  std::vector<std::string> lines = mistakes.lines(partition);
  lines.insert(lines.end(), place.mistakes.begin(), place.mistakes.end());
  return lines;
}

}  // namespace posthaste::durability
