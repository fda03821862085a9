#include "reactor/mail.h"

#include "reactor/planted_bugs.h"

namespace posthaste::reactor {

Mailroom::Mailroom(CoreId cores) : cores_(cores), doors_(std::make_unique<Door[]>(cores)) {
  CHECK(cores >= 1 && cores <= kCoresMax, "{} cores", cores);
  for (size_t i = 0; i < static_cast<size_t>(cores) * cores; ++i) {
    pairs_.push_back(i / cores == i % cores ? nullptr : std::make_unique<detail::MailPair>());
  }
}

void Mailroom::request_stop() {
  for (CoreId core = 0; core < cores_; ++core) {
    doors_[core].stop.store(1, std::memory_order_seq_cst);
    if (Backend* backend = doors_[core].backend.load(std::memory_order_acquire)) backend->wake(core);
  }
}

Mail::Mail(Core& core, Mailroom& mailroom) : core_(core), mailroom_(mailroom), peers_(mailroom.cores()) {
  mailroom_.doors_[core.id()].backend.store(&core.backend(), std::memory_order_release);
}

Mail::~Mail() { mailroom_.doors_[core_.id()].backend.store(nullptr, std::memory_order_release); }

void RemoteCallBase::start_call() {
  CHECK(!started_, "a call is started twice");
  CHECK(running_now.core == &home_ || running_now.core == nullptr,
        "a call is started on another core than its sender's");
  CHECK(running_now.rank < rank_of(class_), "work of rank {} starts a call of rank {} to core {}", running_now.rank,
        rank_of(class_), to_);
  started_ = true;
  if (to_ == home_.id()) {
    const RunningAs as(rank_of(class_));
    run_(*this, home_);
  } else {
    home_.mail().send(*this);
  }
}

void RemoteCallBase::finish_on(Core& there) {
  CHECK(started_ && there.id() == to_, "a call to core {} is finished on core {}", to_, there.id());
  if (to_ == home_.id()) {
    complete_at_home();
  } else {
    there.mail().send_reply(*this, home_);
  }
}

void RemoteCallBase::complete_at_home() {
  CHECK(started_ && !done_, "a reply to a call that waits for none");
  done_ = true;
  if (on_reply_ != nullptr) {
    on_reply_(*this);
  } else if (waits_) {
    home_.schedule(waiter_);
  }
}

void Mail::send(RemoteCallBase& call) {
  CHECK(call.to_ < mailroom_.cores() && call.to_ != core_.id(), "no ring leads to core {}", call.to_);
  Peer& peer = peers_[call.to_];
  const auto c = static_cast<size_t>(call.class_);
  if (peer.credits[c] == 0 || !peer.waiting[c].empty()) {
    peer.waiting[c].push_back(call);
    return;
  }
  push_now(call);
}

void Mail::push_now(RemoteCallBase& call) {
  Peer& peer = peers_[call.to_];
  const auto c = static_cast<size_t>(call.class_);
  CHECK(peer.credits[c] > 0, "a call to core {} without a credit", call.to_);
  --peer.credits[c];
  const bool pushed = mailroom_.pair(core_.id(), call.to_).calls[c].push(&call);
  CHECK(pushed, "a credit is a slot");
  peer.ring_needed = any_ring_needed_ = true;
}

void Mail::send_reply(RemoteCallBase& call, Core& home) {
  const CoreId to = home.id();
  const bool pushed = mailroom_.pair(core_.id(), to).replies.push(&call);
  CHECK(pushed, "a credit reserves the reply's slot");
  peers_[to].ring_needed = any_ring_needed_ = true;
}

void Mail::receive() {
  uint64_t bells = mailroom_.doors_[core_.id()].bell.exchange(0, std::memory_order_acq_rel);
  while (bells != 0) {
    const auto from = static_cast<CoreId>(__builtin_ctzll(bells));
    bells &= bells - 1;
    receive_from(from);
  }
}

void Mail::receive_from(CoreId from) {
  detail::MailPair& inbound = mailroom_.pair(from, core_.id());
  Peer& peer = peers_[from];
  while (RemoteCallBase* call = inbound.replies.pop()) {
    if (planted(kBugs["reply-slot-reused"])) {
      if (RemoteCallBase* later = inbound.replies.pop()) call = later;
    }
    const auto c = static_cast<size_t>(call->class_);
    CHECK(&call->home_ == &core_ && call->to_ == from, "a reply of core {} came from core {}", call->to_, from);
    CHECK(peer.credits[c] < kMailCredits, "more replies from core {} than calls", from);
    ++peer.credits[c];
    running_now.rank = kJobRank;
    call->complete_at_home();
    if (!peer.waiting[c].empty()) push_now(peer.waiting[c].pop_front());
  }
  for (size_t c = kMessageClasses; c-- > 0;) {
    while (RemoteCallBase* call = inbound.calls[c].pop()) {
      CHECK(call->to_ == core_.id(), "a call to core {} came to core {}", call->to_, core_.id());
      running_now.rank = rank_of(call->class_);
      call->run_(*call, core_);
    }
  }
}

void Mail::ring_doorbells() {
  if (!any_ring_needed_) return;
  any_ring_needed_ = false;
  for (CoreId to = 0; to < mailroom_.cores(); ++to) {
    if (!std::exchange(peers_[to].ring_needed, false)) continue;
    Mailroom::Door& door = mailroom_.doors_[to];
    // seq_cst on both sides: either we see the sleeper, or it sees the bell before it sleeps.
    door.bell.fetch_or(uint64_t{1} << core_.id(), std::memory_order_seq_cst);
    if (door.sleeping.load(std::memory_order_seq_cst) != 0 &&
        door.sleeping.exchange(0, std::memory_order_seq_cst) != 0) {
      core_.backend().wake(to);
    }
  }
}

bool Mail::prepare_sleep() {
  Mailroom::Door& door = mailroom_.doors_[core_.id()];
  door.sleeping.store(1, std::memory_order_seq_cst);
  if (door.bell.load(std::memory_order_seq_cst) == 0 && (door.stop.load() == 0 || core_.stopping())) return true;
  door.sleeping.store(0, std::memory_order_relaxed);
  return false;
}

void Mail::woke() { mailroom_.doors_[core_.id()].sleeping.store(0, std::memory_order_relaxed); }

bool Mail::stop_requested() const { return mailroom_.doors_[core_.id()].stop.load(std::memory_order_relaxed) != 0; }

}  // namespace posthaste::reactor
