// Look-ups in the index of a whole segment, and the state of producers that every batch of theirs is checked against.
#include <random>

#include "bench/micro/measure.h"
#include "reactor/check.h"
#include "storage/log/producer_state.h"
#include "storage/log/segment_index.h"

namespace posthaste::micro {
namespace {

constexpr int64_t kSegmentBytes = int64_t{1} << 30;

// A segment of 1 GiB: some 16,000 entries.
struct WholeSegment {
  WholeSegment() {
    storage::Bytes batch = make_batch(16, 1'000);
    for (int64_t bytes = 0; bytes + static_cast<int64_t>(batch.size()) < kSegmentBytes;
         bytes += static_cast<int64_t>(batch.size())) {
      storage::patch_offset_and_epoch(batch, next_offset, 0);
      const auto view = storage::RecordBatchView::parse(batch);
      CHECK(view && builder.add_batch(*view).has_value());
      next_offset = view->next_offset();
    }
  }
  storage::SegmentIndexBuilder builder{0};
  int64_t next_offset = 0;
  std::minstd_rand random{1};
};

void index_find_offset(benchmark::State& state) {
  WholeSegment segment;
  measure(state, [&] {
    const auto offset = static_cast<int64_t>(segment.random()) % segment.next_offset;
    benchmark::DoNotOptimize(segment.builder.index().find_offset(offset));
  });
}
BENCHMARK(index_find_offset);

void index_find_timestamp(benchmark::State& state) {
  WholeSegment segment;
  measure(state, [&] { benchmark::DoNotOptimize(segment.builder.index().find_timestamp(1'000)); });
}
BENCHMARK(index_find_timestamp);

// `producers` known ones, each with its next batch.
void producer_check_and_append(benchmark::State& state) {
  constexpr reactor::WallMillis kNow{1'000};
  const auto producers = static_cast<int32_t>(state.range(0));
  storage::ProducerState known;
  std::vector<storage::Bytes> batches;
  std::vector<int32_t> sequences(static_cast<size_t>(producers));
  for (int64_t id = 0; id < producers; ++id) {
    batches.push_back(make_batch(1, 100, {.producer_id = id, .producer_epoch = 0, .base_sequence = 0}));
    known.append(*storage::RecordBatchView::parse(batches.back()), kNow);
  }
  constexpr size_t kBaseSequenceAt = 53;  // in the batch's header
  std::minstd_rand random{1};
  measure(state, [&] {
    const auto id = static_cast<size_t>(random()) % batches.size();
    storage::store_be<int32_t>(batches[id].data() + kBaseSequenceAt, ++sequences[id]);
    const auto batch = storage::RecordBatchView::parse(batches[id]);
    CHECK(known.check(*batch).kind == storage::ProducerVerdict::Kind::kAccepted);
    known.append(*batch, kNow);
  });
}
BENCHMARK(producer_check_and_append)->ArgName("producers")->Arg(1)->Arg(1'000);

}  // namespace
}  // namespace posthaste::micro
