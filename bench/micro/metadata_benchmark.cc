// A new leader epoch of one partition beside few others and beside many: the record, the image that it changes, what
// differs, the snapshot for the cores, and the role that follows. What a change of topics costs a whole broker, with
// its log and its mail, is measured by bench/changes.py.
#include <optional>
#include <random>

#include "bench/micro/measure.h"
#include "broker/partitions/partition_place.h"
#include "replication/metadata/image_delta.h"
#include "replication/metadata/topic_name.h"

namespace posthaste::micro {
namespace {

using namespace replication;

Uuid topic_id(uint32_t number) {
  std::array<uint8_t, 16> random{};
  for (size_t i = 0; i < 4; ++i) random[10 + i] = static_cast<uint8_t>(number >> (8 * i));
  return make_topic_id(random);
}

// A broker with so many topics of one partition, all led by it.
broker::ClusterView view_with(uint32_t topics) {
  broker::ClusterView view{.node_id = 1, .image = {}, .placement = storage::Placement(2)};
  RegisterBrokerRecord self;
  self.broker_id = 1;
  CHECK(view.image.apply(self).has_value());
  for (uint32_t number = 0; number < topics; ++number) {
    PartitionRecord partition;
    partition.partition_id = 0;
    partition.topic_id = topic_id(number);
    partition.replicas = partition.isr = {1};
    partition.leader = 1;
    CHECK(view.image.apply(TopicRecord{fmt::format("topic-{}", number), partition.topic_id}).has_value());
    CHECK(view.image.apply(partition).has_value());
    view.placement.add({partition.topic_id.bytes, 0}, static_cast<reactor::CoreId>(number % 2));
  }
  return view;
}

// Of topics in no order, so that no cache knows the next one: of `among` of them.
void partition_re_elected(benchmark::State& state) {
  const auto topics = static_cast<uint32_t>(state.range(0));
  const auto among = static_cast<uint32_t>(state.range(1));
  broker::ClusterView newest = view_with(topics);
  MetadataImage image = newest.image;
  std::optional<broker::ClusterView> lent(newest);  // what cores have until they adopt the next one
  std::minstd_rand random{1};
  measure(state, [&] {
    const PartitionChangeRecord record{0, topic_id(static_cast<uint32_t>(random()) % among), std::nullopt, 1};
    benchmark::DoNotOptimize(encode(record));
    const ImageDelta delta = delta_of(image, {record});
    CHECK(image.apply(record).has_value());
    broker::ClusterView view{.node_id = 1, .image = image, .placement = newest.placement};
    const TopicImage* topic = view.image.topic(delta.changed.front());
    CHECK(broker::place_of(view, *topic, 0).leads_here());
    benchmark::DoNotOptimize(broker::role_of(view.image, *topic, 0, 1).term.leader_epoch);
    lent.emplace(std::move(view));
  });
}
BENCHMARK(partition_re_elected)
    ->ArgNames({"topics", "among"})
    ->Args({1'000, 1'000})
    ->Args({200'000, 1'000})
    ->Args({200'000, 200'000});

}  // namespace
}  // namespace posthaste::micro
