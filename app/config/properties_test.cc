// The syntax of properties files, with the corners that Java's own reader has.
#include "app/config/properties.h"

#include <gtest/gtest.h>

namespace posthaste::app {
namespace {

struct Pair {
  std::string key, value;
  friend bool operator==(const Pair&, const Pair&) = default;
};
void PrintTo(const Pair& pair, std::ostream* out) { *out << '[' << pair.key << '|' << pair.value << ']'; }

std::vector<Pair> parsed(std::string_view text) {
  const auto properties = parse_properties(text, "f");
  if (!properties) return {{"error", properties.error()}};
  std::vector<Pair> pairs;
  for (const Property& property : *properties) pairs.push_back({property.key, property.value});
  return pairs;
}
using Pairs = std::vector<Pair>;

TEST(Properties, SeparatorsAreEqualsColonAndBlank) {
  EXPECT_EQ(parsed("a=1\nb:2\nc 3\n d \t = \t4\ne\t5"),
            (Pairs{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "4"}, {"e", "5"}}));
}

TEST(Properties, OnlyOneSeparatorIsTaken) {
  EXPECT_EQ(parsed("a==1\nb = :2\nc  d=3"), (Pairs{{"a", "=1"}, {"b", ":2"}, {"c", "d=3"}}));
}

TEST(Properties, KeyWithoutValue) { EXPECT_EQ(parsed("a\nb=\n=c"), (Pairs{{"a", ""}, {"b", ""}, {"", "c"}})); }

TEST(Properties, CommentsAndBlankLines) {
  EXPECT_EQ(parsed("# one\n  ! two\n\n   \n a=b # part of the value\n#c=d\\\ne=f"),
            (Pairs{{"a", "b # part of the value"}, {"e", "f"}}));
}

TEST(Properties, LineEnds) { EXPECT_EQ(parsed("a=1\r\nb=2\rc=3\n"), (Pairs{{"a", "1"}, {"b", "2"}, {"c", "3"}})); }

TEST(Properties, ContinuedLines) {
  EXPECT_EQ(parsed("a=1,\\\n   2,\\\r\n\t3\nb=x\\\\\nc=\\"), (Pairs{{"a", "1,2,3"}, {"b", "x\\"}, {"c", ""}}));
  EXPECT_EQ(parsed("a=1\\\n# not a comment"), (Pairs{{"a", "1# not a comment"}}));
}

TEST(Properties, Escapes) {
  EXPECT_EQ(parsed(R"(a\ b\:c\=d=\t|\n|\\|\q)"), (Pairs{{"a b:c=d", "\t|\n|\\|q"}}));
  EXPECT_EQ(parsed(R"(a=\u0041\u00e9\u20AC)"), (Pairs{{"a", "A\u00e9\u20ac"}}));
}

TEST(Properties, TrailingBlanksBelongToTheValue) { EXPECT_EQ(parsed("a= x \n"), (Pairs{{"a", "x "}})); }

TEST(Properties, ErrorsNameTheLine) {
  EXPECT_EQ(parse_properties("a=1\n\nb=\\u12", "s.properties").error(),
            "s.properties:3: \\u must be followed by four hex digits");
  EXPECT_FALSE(parse_properties(std::string_view("a=\0b", 4), "s"));
}

TEST(Properties, SourceIsTheFirstLineOfASetting) {
  const auto properties = parse_properties("#\na=1\\\n2\nb=3", "s");
  ASSERT_TRUE(properties);
  EXPECT_EQ(properties->at(0).source, "s:2");
  EXPECT_EQ(properties->at(1).source, "s:4");
}

TEST(Properties, Override) {
  EXPECT_EQ(parse_override("a=b=c")->value, "b=c");
  EXPECT_EQ(parse_override("a=")->value, "");
  EXPECT_FALSE(parse_override("a"));
  EXPECT_FALSE(parse_override("=b"));
}

}  // namespace
}  // namespace posthaste::app
