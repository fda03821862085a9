// The ledger of the durability test finds each kind of damage.
#include "tests/durability/ledger.h"

#include <gtest/gtest.h>

namespace posthaste::durability {
namespace {

// Two producers, interleaved in partition 0: 1/0 1/1 2/0 1/2, all sent there; the first three acknowledged.
class LedgerTest : public testing::Test {
 protected:
  LedgerTest() {
    for (const RecordId id : {RecordId{1, 0}, {1, 1}, {1, 2}, {2, 0}}) ledger_.sent(0, id);
    ledger_.acknowledged(0, 0, {1, 0});
    ledger_.acknowledged(0, 1, {1, 1});
    ledger_.acknowledged(0, 2, {2, 0});
  }

  std::string judge(const std::vector<RecordId>& ids) {
    values_.clear();
    for (const RecordId id : ids) values_.push_back(value_of(id, 100));
    return judge_values();
  }
  std::string judge_values() {
    std::vector<Ledger::Found> log;
    for (const std::string& value : values_) log.push_back({static_cast<int64_t>(log.size()), parse_value(value)});
    std::string all;
    for (const std::string& line : ledger_.compare(0, log)) all += line + "\n";
    return all;
  }

  Ledger ledger_{1};
  std::vector<std::string> values_;
};

bool says(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

TEST_F(LedgerTest, AcceptsAcknowledgedRecordsWithAndWithoutUnacknowledgedOnes) {
  EXPECT_EQ(judge({{1, 0}, {1, 1}, {2, 0}}), "");
  EXPECT_EQ(judge({{1, 0}, {1, 1}, {2, 0}, {1, 2}}), "");
}

TEST_F(LedgerTest, FindsLoss) {
  EXPECT_TRUE(says(judge({{1, 0}, {1, 1}}), "acknowledged record lost; first: 2/0 at offset 2; the log ends at 2"));
  EXPECT_TRUE(says(judge({}), "3 x acknowledged record lost"));
}

TEST_F(LedgerTest, FindsDuplicates) { EXPECT_TRUE(says(judge({{1, 0}, {1, 1}, {2, 0}, {1, 1}}), "twice")); }

TEST_F(LedgerTest, FindsReordering) {
  const std::string found = judge({{1, 1}, {1, 0}, {2, 0}});
  EXPECT_TRUE(says(found, "replaced"));
  EXPECT_TRUE(says(found, "out of order"));
}

TEST_F(LedgerTest, FindsRecordsThatNobodySent) {
  EXPECT_TRUE(says(judge({{1, 0}, {1, 1}, {2, 0}, {3, 0}}), "nothing was due"));
}

TEST_F(LedgerTest, FindsHoles) {
  Ledger ledger(1);
  ledger.sent(0, {1, 0});
  ledger.sent(0, {1, 1});
  EXPECT_EQ(ledger.compare(0, {{0, RecordId{1, 1}}}).size(), 1U);
}

TEST_F(LedgerTest, FindsEveryChangedByte) {
  judge({{1, 0}, {1, 1}, {2, 0}});
  for (size_t at = 0; at < values_[1].size(); ++at) {
    const char old = values_[1][at];
    values_[1][at] = old == '0' ? '1' : '0';
    EXPECT_NE(judge_values(), "") << at;
    values_[1][at] = old;
  }
  values_[1].pop_back();
  EXPECT_TRUE(says(judge_values(), "damaged"));
}

TEST_F(LedgerTest, FindsGapsInOffsets) {
  const RecordId a{1, 0};
  const RecordId b{1, 1};
  const RecordId c{2, 0};
  EXPECT_FALSE(ledger_.compare(0, {{0, a}, {1, b}, {3, c}}).empty());
  EXPECT_FALSE(ledger_.compare(0, {{1, a}, {2, b}, {3, c}}).empty());
}

TEST_F(LedgerTest, FindsAnOffsetThatWasAcknowledgedTwice) {
  ledger_.acknowledged(0, 2, {1, 2});
  EXPECT_TRUE(says(judge({{1, 0}, {1, 1}, {2, 0}}), "offset 2 acknowledged for 2/0 and for 1/2"));
}

TEST(Value, RoundTrips) {
  for (const size_t size : {size_t{0}, size_t{20}, size_t{5000}}) {
    EXPECT_EQ(parse_value(value_of({7, 123456}, size)), (RecordId{7, 123456})) << size;
  }
  EXPECT_FALSE(parse_value(""));
  EXPECT_FALSE(parse_value("1 2 99999999999 x"));
}

}  // namespace
}  // namespace posthaste::durability
