#include "broker/partitions/partition_work.h"

#include <algorithm>

#include "broker/broker_host.h"
#include "broker/job_elsewhere.h"
#include "reactor/pace.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using storage::Placement;

Task<void> create_one(storage::Engine& engine, const PartitionToMake& to_make, PartitionWork& work) {
  const Placement::Key key{to_make.spec.topic_id, to_make.spec.partition};
  Result<storage::Partition*> created = co_await engine.create_partition(to_make.spec);
  if (!created && created.error() != Errc::kExists) {
    work.failed.push_back({.key = key, .error = created.error()});
    co_return;
  }
  storage::Partition* const partition = engine.find(key.topic_id, key.partition);
  CHECK(partition != nullptr, "a partition that was made is not there");
  take_role(to_make.role, replication::Replica::of(*partition));
}

// Partitions that are made or removed side by side, so that their journal records share commits: some 10 ms of a core,
// in which others have their turns too.
constexpr size_t kChangedAtOnce = 128;
// Of these, begun in one step: a few hundred microseconds.
constexpr size_t kBegunAtOnce = 16;

Task<void> remove_one(storage::Engine& engine, Placement::Key key, PartitionWork& work) {
  storage::Partition* partition = engine.find(key.topic_id, key.partition);
  if (partition == nullptr) co_return;
  const Result<void> removed = co_await engine.delete_partition(*partition);
  if (!removed) work.failed.push_back({.key = key, .error = removed.error(), .is_removal = true});
}

// Runs `begin(item)` for all of them.
template <class Item, class Begin>
Task<void> in_steps(Core& core, const std::vector<Item>& items, Begin begin) {
  reactor::TaskScope scope(core);
  reactor::Pace pace(kBegunAtOnce);
  for (size_t next = 0; next < items.size();) {
    const size_t end = std::min(next + kChangedAtOnce, items.size());
    for (; next < end; ++next) {
      scope.spawn(begin(items[next]));
      if (pace.is_due(1)) co_await core.yield(reactor::CpuClass::kBackground);
    }
    co_await scope.join();
  }
}

// Runs on the owning core. It may wait for room, or for a folder that is on its way out.
Task<void> do_partition_work(BrokerCore& there, PartitionWork& work) {
  storage::Engine& engine = there.engine();
  co_await in_steps(there.core(), work.create,
                    [&](const PartitionToMake& to_make) { return create_one(engine, to_make, work); });
  co_await in_steps(there.core(), work.remove,
                    [&](const Placement::Key& key) { return remove_one(engine, key, work); });
}

Task<void> mail_partition_work(BrokerCore& from, CoreId to, PartitionWork& work) {
  auto run = [&](BrokerCore& there) { return do_partition_work(there, work); };
  co_await job_elsewhere(from, to, reactor::MessageClass::kRequest, run);
}

Task<void> mail_view(BrokerCore& from, CoreId to, reactor::Loan<ClusterView> loan) {
  auto adopt = [&](Core& there) { return from.there(there).adopt_view(loan); };
  co_await reactor::on_core(from.core(), to, std::move(adopt));
}

Task<void> mail_deleted_topics(BrokerCore& from, CoreId to, const std::vector<std::string>& topics) {
  auto tell = [&](Core& there) {
    from.there(there).groups().for_each([&](int32_t, GroupPartition& partition) { partition.topics_deleted(topics); });
  };
  co_await reactor::on_core(from.core(), to, std::move(tell));
}

}  // namespace

Task<void> spread_partition_work(BrokerCore& from, std::vector<PartitionWork>& work) {
  reactor::TaskScope scope(from.core());
  for (size_t to = 0; to < work.size(); ++to) {
    if (work[to].create.empty() && work[to].remove.empty()) continue;
    scope.spawn(mail_partition_work(from, static_cast<CoreId>(to), work[to]));
  }
  co_await scope.join();
}

Task<void> spread_view(BrokerCore& from, CoreId cores, std::unique_ptr<const ClusterView> view) {
  const reactor::Loan<ClusterView> loan = from.host().views().lend(std::move(view), cores);
  reactor::TaskScope scope(from.core());
  for (CoreId to = 0; to < cores; ++to) scope.spawn(mail_view(from, to, loan));
  co_await scope.join();
}

Task<void> spread_deleted_topics(BrokerCore& from, CoreId cores, std::vector<std::string> topics) {
  reactor::TaskScope scope(from.core());
  for (CoreId to = 0; to < cores; ++to) scope.spawn(mail_deleted_topics(from, to, topics));
  co_await scope.join();
}

}  // namespace posthaste::broker
