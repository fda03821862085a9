// Lending of snapshots: each stays as long as a request uses it and no longer, on plain objects and on real cores (for
// ThreadSanitizer too, preset tsan).
#include "reactor/lending.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "reactor/cow_map.h"
#include "reactor/mail.h"
#include "reactor/uring/host.h"

namespace posthaste::reactor {
namespace {

// Counts how many there are.
struct Counted {
  int number;
  static inline int alive = 0;
  explicit Counted(int value) : number(value) { ++alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive; }
};

// Two borrowers whose mail arrives at once.
struct Lending {
  Lender<Counted> lender;
  Borrower<Counted> first{[this](uint64_t number) { lender.given_back(number); }};
  Borrower<Counted> second{[this](uint64_t number) { lender.given_back(number); }};
  void publish(int number) {
    const Loan<Counted> loan = lender.lend(std::make_unique<Counted>(number), 2);
    first.take(loan);
    second.take(loan);
  }
};

TEST(Lending, TheNewestStaysAndTheOthersGo) {
  Lending lending;
  EXPECT_EQ(lending.first.newest(), nullptr);
  for (int i = 1; i <= 5; ++i) {
    lending.publish(i);
    EXPECT_EQ(Counted::alive, 1);
    EXPECT_EQ(lending.first.newest()->number, i);
    EXPECT_EQ(lending.second.newest_number(), static_cast<uint64_t>(i));
  }
}

TEST(Lending, WhatIsUsedStaysUntilTheLastUseOfTheLastCore) {
  Lending lending;
  lending.publish(1);
  std::optional<Borrower<Counted>::Use> one(lending.first.use());
  std::optional<Borrower<Counted>::Use> other(lending.first.use());
  std::optional<Borrower<Counted>::Use> elsewhere(lending.second.use());
  lending.publish(2);
  lending.publish(3);
  EXPECT_EQ(Counted::alive, 2) << "the second one was used by nobody";
  EXPECT_EQ((*one)->number, 1);
  EXPECT_EQ(lending.first.newest()->number, 3);
  one.reset();
  other.reset();
  EXPECT_EQ(lending.first.size(), 1U);
  EXPECT_EQ(Counted::alive, 2) << "another core uses it";
  elsewhere.reset();
  EXPECT_EQ(Counted::alive, 1);
  EXPECT_EQ(lending.lender.size(), 1U);
}

TEST(Lending, AUseMovesAlong) {
  Lending lending;
  lending.publish(1);
  std::optional<Borrower<Counted>::Use> moved;
  {
    Borrower<Counted>::Use use = lending.first.use();
    moved.emplace(std::move(use));
  }
  lending.publish(2);
  EXPECT_EQ((**moved).number, 1);
  moved.reset();
  EXPECT_EQ(Counted::alive, 1);
}

TEST(Lending, SnapshotsComeInOrder) {
  Lending lending;
  lending.publish(1);
  lending.publish(2);
  EXPECT_DEATH(lending.first.take({.number = 2, .snapshot = nullptr}), "came after a newer one");
  EXPECT_DEATH(lending.lender.given_back(1), "is not lent");
}

// --- on real cores ---------------------------------------------------------------------------------------------------

struct Entry {
  std::string name;
  uint64_t version = 0;
};
struct EntryName {
  using View = std::string_view;
  using Key = std::string;
  static View view_of(const Entry& entry) { return entry.name; }
  static View view_of(const std::string& name) { return name; }
};
struct Snapshot {
  uint64_t version = 0;
  CowMap<Entry, EntryName> entries;
};

constexpr uint64_t kVersions = 1'000;
constexpr int kEntries = 200;
constexpr int kReaders = 8;

// What the cores of one run share: each borrower is used by its core only, the lender by core 0.
struct Shared {
  Lender<Snapshot> lender;
  std::vector<std::unique_ptr<Borrower<Snapshot>>> borrowers{kCoresMax};
  size_t here = 0;  // cores that have their borrower, as core 0 knows
};

Task<void> mail_back(Core& core, Shared& shared, uint64_t number) {
  auto give_back = [&](Core&) { shared.lender.given_back(number); };
  co_await on_core(core, 0, std::move(give_back), MessageClass::kPush);
}

Task<void> mail_loan(Core& core, Shared& shared, CoreId to, Loan<Snapshot> loan) {
  auto take = [&](Core& there) { shared.borrowers[there.id()]->take(loan); };
  co_await on_core(core, to, std::move(take));
}

// Changes its own copy and lends out copies of it.
Task<void> publish_all(Core& core, Shared& shared) {
  Snapshot now;
  for (int i = 0; i < kEntries; ++i) now.entries.insert(Cow(Entry{.name = std::to_string(i), .version = 0}));
  for (now.version = 1; now.version <= kVersions; ++now.version) {
    const std::string name = std::to_string(core.random() % kEntries);
    if (Cow<Entry>* held = now.entries.find_to_write(name); held != nullptr && core.random() % 4 != 0) {
      held->write().version = now.version;
    } else if (!now.entries.erase(name)) {
      now.entries.insert(Cow(Entry{.name = name, .version = now.version}));
    }
    const Loan<Snapshot> loan = shared.lender.lend(std::make_unique<const Snapshot>(now), core.core_count());
    TaskScope scope(core);
    for (CoreId to = 0; to < core.core_count(); ++to) scope.spawn(mail_loan(core, shared, to, loan));
    co_await scope.join();
  }
}

// Nothing in a snapshot is newer than it, now and after a wait.
Task<void> read_until_the_last(Core& core, Shared& shared) {
  Borrower<Snapshot>& borrower = *shared.borrowers[core.id()];
  while (borrower.newest() == nullptr) co_await core.sleep(100us);
  for (uint64_t version = 0; version < kVersions;) {
    const Borrower<Snapshot>::Use use = borrower.use();
    version = use->version;
    for (int round = 0; round < 2; ++round) {
      size_t count = 0;
      use->entries.for_each([&](const Entry& entry) {
        CHECK(entry.version <= version, "{} in {}", entry.version, version);
        ++count;
      });
      CHECK(count == use->entries.size());
      co_await core.sleep(std::chrono::microseconds(core.random() % 300));
    }
  }
}

Task<void> run_core(Core& core, Shared& shared) {
  TaskScope back(core);
  shared.borrowers[core.id()] =
      std::make_unique<Borrower<Snapshot>>([&](uint64_t number) { back.spawn_job(mail_back(core, shared, number)); });
  co_await on_core(core, 0, [&](Core&) { ++shared.here; });
  TaskScope readers(core);
  for (int i = 0; i < kReaders; ++i) readers.spawn(read_until_the_last(core, shared));
  if (core.id() == 0) {
    while (shared.here < core.core_count()) co_await core.sleep(1ms);
    co_await publish_all(core, shared);
  }
  co_await readers.join();
  co_await back.join();
}

TEST(Lending, CoresReadWhileOneCoreChangesAndDrops) {
  auto shared = std::make_shared<Shared>();
  auto host = uring::Host::start({.cores = 3}, {}, [shared](Core& core) { return run_core(core, *shared); });
  ASSERT_TRUE(host.has_value()) << host.error();
  (*host)->wait();
  EXPECT_EQ(shared->lender.size(), 1U) << "all but the newest are gone";
}

}  // namespace
}  // namespace posthaste::reactor
