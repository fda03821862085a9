#include "tests/differential/compare.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace posthaste::differential {
namespace {

constexpr auto kNotCompared = std::to_array<NotCompared>({
    {"throttle_time_ms", "how long a client is asked to wait depends on load"},
    {"error_message", "words are ours; the code is compared"},
    {"batch_index_error_message", "words are ours; which record is at fault is compared"},
    {"documentation", "words are ours"},
    {"cluster_id", "drawn by each cluster"},
    {"port", "each broker has its own"},
    {"log_dir", "each broker has its own folder"},
    {"total_bytes", "of the volume"},
    {"usable_bytes", "of the volume"},
    {"partition_size", "segments hold the same bytes, but each broker counts files its own way"},
    {"api_keys", "Kafka serves more; that ours lie within Kafka's is checked at the start"},
    {"supported_features", "Kafka's own"},
    {"finalized_features", "Kafka's own"},
    {"finalized_features_epoch", "Kafka's own"},
});

bool is_compared(const Value& value) {
  return std::ranges::find(kNotCompared, value.name, &NotCompared::field) == kNotCompared.end();
}

// What names an element among others; what is left of it decides between equals.
std::string key_of(const Value& element) {
  static constexpr std::string_view kKeys[] = {"name",       "topic",         "group_id",          "key",
                                               "topic_id",   "resource_type", "resource_name",     "partition_index",
                                               "partition",  "index",         "group_instance_id", "member_id",
                                               "batch_index"};
  if (element.kind != Value::Kind::kStructure) return element.text;
  std::string key;
  for (const std::string_view name : kKeys) {
    // An id is a key where there is no name.
    if (name == "topic_id" && !key.empty()) continue;
    const Value* child = element.child(name);
    if (child != nullptr && child->children.empty()) key += (key.empty() ? "" : " ") + child->text;
  }
  return key;
}

// Whether all of `a` and `b` but their arrays is the same.
bool same_but_arrays(const Value& a, const Value& b) {
  return std::ranges::equal(a.children, b.children, [](const Value& x, const Value& y) {
    return x.kind == Value::Kind::kArray ? y.kind == Value::Kind::kArray : printed(x) == printed(y);
  });
}

// A topic that a request names twice may be answered in one piece or in two.
void merge_equal(std::vector<Value>& elements) {
  for (size_t i = 1; i < elements.size();) {
    Value& before = elements[i - 1];
    const bool has_array = std::ranges::count(before.children, Value::Kind::kArray, &Value::kind) > 0;
    const bool is_topic =
        before.child("name") != nullptr || before.child("topic") != nullptr || before.child("topic_id") != nullptr;
    if (!has_array || !is_topic || key_of(before) != key_of(elements[i]) || !same_but_arrays(before, elements[i])) {
      ++i;
      continue;
    }
    for (size_t c = 0; c < before.children.size(); ++c) {
      if (before.children[c].kind != Value::Kind::kArray) continue;
      std::ranges::move(elements[i].children[c].children, std::back_inserter(before.children[c].children));
    }
    elements.erase(elements.begin() + static_cast<ptrdiff_t>(i));
  }
}

void leave_out_not_compared(Value& value) {
  std::erase_if(value.children, [](const Value& child) { return !is_compared(child); });
  for (Value& child : value.children) leave_out_not_compared(child);
}

void sort_arrays(Value& value) {
  for (Value& child : value.children) sort_arrays(child);
  const bool named = value.kind == Value::Kind::kArray && !value.children.empty() &&
                     value.children.front().kind == Value::Kind::kStructure;
  if (named) {
    // Equal keys (a partition named twice) stay apart by what else they say.
    const auto order = [](const Value& v) { return std::pair(key_of(v), printed(v)); };
    std::ranges::sort(value.children, {}, order);
    merge_equal(value.children);
    for (Value& child : value.children) sort_arrays(child);
    std::ranges::sort(value.children, {}, order);
  }
}

class Comparison {
 public:
  explicit Comparison(int64_t run_start_ms) : run_start_ms_(run_start_ms) {}
  std::vector<Difference> found;

  void compare(const Value& kafka, const Value& posthaste, const std::string& field, const std::string& where) {
    if (kafka.kind != posthaste.kind) return report(kafka, posthaste, field, where);
    if (kafka.kind == Value::Kind::kStructure) return compare_structures(kafka, posthaste, field, where);
    if (kafka.kind == Value::Kind::kArray) return compare_arrays(kafka, posthaste, field, where);
    if (kafka.text != posthaste.text && !are_clocks(kafka, posthaste)) report(kafka, posthaste, field, where);
  }

 private:
  void report(const Value& kafka, const Value& posthaste, const std::string& field, const std::string& where) {
    const size_t open = where.rfind('[');
    const size_t close = where.rfind(']');
    std::string element = open == std::string::npos ? "" : where.substr(open + 1, close - open - 1);
    found.push_back({field, where, std::move(element), shown(kafka), shown(posthaste)});
  }
  static std::string shown(Value value) {
    value.name.clear();
    const bool is_word =
        value.kind == Value::Kind::kText || value.kind == Value::Kind::kNumber || value.kind == Value::Kind::kUuid;
    return is_word ? value.text : printed(value);
  }

  bool are_clocks(const Value& kafka, const Value& posthaste) const {
    if (!kafka.name.contains("time") || kafka.kind != Value::Kind::kNumber) return false;
    const auto is_clock = [this](const std::string& text) {
      int64_t time = 0;
      std::from_chars(text.data(), text.data() + text.size(), time);
      constexpr int64_t kRunMsMax = 24 * 3'600'000;
      return time >= run_start_ms_ && time < run_start_ms_ + kRunMsMax;
    };
    return is_clock(kafka.text) && is_clock(posthaste.text);
  }

  void compare_structures(const Value& kafka, const Value& posthaste, const std::string& field,
                          const std::string& where) {
    const auto below = [](const std::string& path, const std::string& name) {
      return path.empty() ? name : path + "." + name;
    };
    const Value* error = kafka.child("error_code");
    const Value* other_error = posthaste.child("error_code");
    if (error != nullptr && other_error != nullptr && error->text != other_error->text) {
      return report(*error, *other_error, below(field, "error_code"), below(where, "error_code"));
    }
    for (size_t i = 0; i < std::min(kafka.children.size(), posthaste.children.size()); ++i) {
      const std::string& name = kafka.children[i].name;
      compare(kafka.children[i], posthaste.children[i], below(field, name), below(where, name));
    }
  }

  void compare_arrays(const Value& kafka, const Value& posthaste, const std::string& field, const std::string& where) {
    const Value absent{.kind = Value::Kind::kText, .text = std::string(kAbsent)};
    auto a = kafka.children.begin();
    auto b = posthaste.children.begin();
    while (a != kafka.children.end() || b != posthaste.children.end()) {
      const std::string a_key = a == kafka.children.end() ? "" : key_of(*a);
      const std::string b_key = b == posthaste.children.end() ? "" : key_of(*b);
      const bool plain = a != kafka.children.end() && a->kind != Value::Kind::kStructure;
      if (b == posthaste.children.end() || (a != kafka.children.end() && !plain && a_key < b_key)) {
        report(*a++, absent, field, fmt::format("{}[{}]", where, a_key));
      } else if (a == kafka.children.end() || (!plain && b_key < a_key)) {
        report(absent, *b++, field, fmt::format("{}[{}]", where, b_key));
      } else {
        compare(*a++, *b++, field, fmt::format("{}[{}]", where, a_key));
      }
    }
  }

  int64_t run_start_ms_;
};

}  // namespace

std::span<const NotCompared> not_compared() { return kNotCompared; }

std::vector<Difference> differences(Value kafka, Value posthaste, int64_t run_start_ms) {
  for (Value* value : {&kafka, &posthaste}) {
    leave_out_not_compared(*value);
    sort_arrays(*value);
  }
  Comparison comparison(run_start_ms);
  comparison.compare(kafka, posthaste, "", "");
  return std::move(comparison.found);
}

}  // namespace posthaste::differential
