// What an unused partition costs: bytes that the allocator has given out for it, in a whole broker, with its share of
// the metadata. Counted, not sampled; a real process shows some more, which the allocator keeps for later.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <thread>

#include "net/kafka/topics.h"
#include "tests/allocations/broker_under_count.h"

namespace posthaste::testing {
namespace {

using net::kafka::CreateTopicsRequest;
using net::kafka::ErrorCode;

constexpr int kTopicsInRequest = 1'000;
constexpr int kTopicsBefore = 2'000;  // what is made once, whatever the number of topics, is there then
constexpr int kTopics = 6'000;
constexpr double kBytesMax = 2'048;

void create_topics(const BrokerUnderCount& broker, int first, int count) {
  Client client(broker);
  for (const int end = first + count; first < end; first += kTopicsInRequest) {
    CreateTopicsRequest request{.timeout_ms = 60'000};
    std::vector<std::string> names;
    for (int number = first; number < first + kTopicsInRequest; ++number)
      names.push_back(fmt::format("idle-{}", number));
    for (const std::string& name : names) {
      request.topics.push_back({.name = name, .num_partitions = 1, .replication_factor = 1});
    }
    for (const auto& topic : client.call(request, 7).topics) CHECK(topic.error_code == ErrorCode::kNone);
  }
}

// Bytes that all threads have from the allocator, with its own word for each block; the least that is seen for a while,
// since work in the background (a table, a snapshot of the metadata) holds some for a moment.
uint64_t bytes_in_use() {
  uint64_t least = UINT64_MAX;
  for (int look = 0; look < 20; ++look) {
    const struct mallinfo2 info = ::mallinfo2();
    least = std::min<uint64_t>(least, info.uordblks + info.hblkhd);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return least;
}

double per_partition(const char* what, uint64_t from, uint64_t to) {
  const double bytes = (static_cast<double>(to) - static_cast<double>(from)) / kTopics;
  std::printf("%-40s %8.0f bytes for each idle partition\n", what, bytes);
  return bytes;
}

TEST(IdlePartition, TakesLittleWhenItWasMade) {
  const BrokerUnderCount broker(2);
  create_topics(broker, 0, kTopicsBefore);
  const uint64_t before = bytes_in_use();
  create_topics(broker, kTopicsBefore, kTopics);
  EXPECT_LE(per_partition("made", before, bytes_in_use()), kBytesMax);
}

TEST(IdlePartition, TakesLittleAfterAStart) {
  BrokerUnderCount broker(2);
  create_topics(broker, 0, kTopicsBefore);
  broker.restart();
  const uint64_t before = bytes_in_use();
  create_topics(broker, kTopicsBefore, kTopics);
  broker.restart();
  EXPECT_LE(per_partition("started", before, bytes_in_use()), kBytesMax);
}

}  // namespace
}  // namespace posthaste::testing
