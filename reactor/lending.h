// Snapshots that one core makes and all cores read. The lender, on the core that makes them, keeps each alive until
// every core has given it back; a borrower, one per core, hands the newest one to requests, and gives an older one back
// when the last request of its core that uses it has ended.
//
// Why no count that cores share is needed:
// - A snapshot does not change, and the core that made it destroys it: the counts inside it (cow.h) and the number of
//   cores that still have it are plain numbers of that one core.
// - Each core counts for itself how many of its requests use a snapshot, again in a plain number.
// - It comes to a core by mail, and is given back by mail. A message happens after everything that its sender did
// before,
//   and before everything that its receiver does afterwards. So a snapshot is made before any core reads it, and
//   destroyed after every core's last use.
// The newest one is never given back; it is destroyed with the lender, which outlives all uses.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "reactor/backend.h"
#include "reactor/check.h"

namespace posthaste::reactor {

// One core's right to read a snapshot, until it gives back the number.
template <class T>
struct Loan {
  uint64_t number = 0;  // 1, 2, ... in the order in which they were made
  const T* snapshot = nullptr;
};

// On the core that makes the snapshots.
template <class T>
class Lender {
 public:
  Lender() = default;
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;

  // Each of `cores` cores gets this loan, in the order of their numbers, and gives it back once.
  Loan<T> lend(std::unique_ptr<const T> snapshot, CoreId cores) {
    CHECK(snapshot != nullptr && cores > 0, "nothing is lent to {} cores", cores);
    const Loan<T> loan{.number = next_++, .snapshot = snapshot.get()};
    lent_.emplace(loan.number, Lent{.snapshot = std::move(snapshot), .cores = cores});
    return loan;
  }
  // One core does not read it any more. After the last core it is destroyed.
  void given_back(uint64_t number) {
    const auto found = lent_.find(number);
    CHECK(found != lent_.end(), "snapshot {} is not lent, or not any more", number);
    CHECK(found->second.cores > 0);
    if (--found->second.cores == 0) lent_.erase(found);
  }
  size_t size() const { return lent_.size(); }

 private:
  struct Lent {
    std::unique_ptr<const T> snapshot;
    CoreId cores;
  };
  uint64_t next_ = 1;
  std::map<uint64_t, Lent> lent_;
};

// On each core.
template <class T>
class Borrower {
  struct Held {
    const T* snapshot;
    uint32_t uses = 0;
  };
  using Loans = std::map<uint64_t, Held>;

 public:
  // A request's hold on the snapshot that was the newest when it took it. On this core only; destroyed before
  // the borrower.
  class Use {
   public:
    Use(Use&& other) noexcept : of_(std::exchange(other.of_, nullptr)), held_(other.held_) {}
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (of_ != nullptr) of_->end(held_);
    }
    const T& operator*() const { return *held_->second.snapshot; }
    const T* operator->() const { return held_->second.snapshot; }

   private:
    friend class Borrower;
    Use(Borrower& of, Loans::iterator held) : of_(&of), held_(held) { ++held_->second.uses; }
    Borrower* of_;
    Loans::iterator held_;
  };

  // `give_back(number)`: mails the number to the lender. It may be called where a request ends, so it may only
  // start a job.
  explicit Borrower(std::function<void(uint64_t)> give_back) : give_back_(std::move(give_back)) {}
  Borrower(const Borrower&) = delete;
  Borrower& operator=(const Borrower&) = delete;

  // `loan` is the newest from now on. CHECK: it is newer than the one before.
  void take(Loan<T> loan) {
    CHECK(loans_.empty() || newest_number() < loan.number, "snapshot {} came after a newer one", loan.number);
    loans_.emplace_hint(loans_.end(), loan.number, Held{.snapshot = loan.snapshot});
    if (loans_.size() == 1) return;
    const auto before = std::prev(loans_.end(), 2);
    if (before->second.uses == 0) drop(before);
  }
  // Null before the first one. For use until the caller next waits.
  const T* newest() const { return loans_.empty() ? nullptr : std::prev(loans_.end())->second.snapshot; }
  uint64_t newest_number() const { return loans_.empty() ? 0 : std::prev(loans_.end())->first; }
  // Keeps it over waits.
  Use use() {
    CHECK(!loans_.empty(), "there is no snapshot yet");
    return Use(*this, std::prev(loans_.end()));
  }
  size_t size() const { return loans_.size(); }

 private:
  void end(Loans::iterator held) {
    CHECK(held->second.uses > 0);
    if (--held->second.uses == 0 && std::next(held) != loans_.end()) drop(held);
  }
  void drop(Loans::iterator held) {
    const uint64_t number = held->first;
    loans_.erase(held);
    give_back_(number);
  }

  std::function<void(uint64_t)> give_back_;
  Loans loans_;  // the last is the newest; those before it are in use
};

}  // namespace posthaste::reactor
