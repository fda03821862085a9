// Cross-core mail: one core asks another to run something. A call lives in its sender's frame; only its address
// travels, through a bounded single-producer single-consumer ring per pair of cores and direction. Bounds and deadlock:
// - A call takes a credit of its class for that target. The credit reserves the reply's slot, so replies never block.
//   Without a credit the call waits in a FIFO at the sender (its owner waits anyway, so that queue is bounded by
//   callers).
// - Classes are ordered, and a handler may start only calls of a higher class than its own (CHECK in start()); every
//   core drains replies and the higher classes first, even when blocked. So there is never a cycle of waits.
// - Order: calls of one class from one core to another run in the order they were started. start() never waits.
// - Lifetime: the sender's frame stays until the reply (CHECK). The sender is responsible for what the work uses on the
//   other core: senders are joined before the objects that their calls use are destroyed.
// Doorbell: one bit per sending core; a wake-up system call is made only if the target says that it sleeps.
#pragma once
#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

#include "reactor/core.h"
#include "reactor/scope.h"

namespace posthaste::reactor {

// Calls of one class in flight from one core to another.
inline constexpr uint32_t kMailCredits = 128;

class RemoteCallBase : public ListNode<> {
 public:
  bool done() const { return done_; }

 protected:
  RemoteCallBase(Core& home, CoreId to, MessageClass message_class) : home_(home), to_(to), class_(message_class) {}
  // Not while the call is under way: its address is in a ring or held by the work that it began. Only a host that dies
  // in the simulator (an exception that unwinds its frames, or abandon()) drops calls, and then on all cores.
  ~RemoteCallBase() {
    CHECK(!started_ || done_ || home_.abandoned() || std::uncaught_exceptions() > 0,
          "a call to core {} lost its sender", to_);
  }
  void start_call();
  // On the target core, when the work is done: sends the reply. Does not use this object afterwards.
  void finish_on(Core& there);

  void (*run_)(RemoteCallBase&, Core& there) = nullptr;
  void (*on_reply_)(RemoteCallBase&) = nullptr;  // home core; null = resume `waiter_` if it waits
  Core& home_;
  CoreId to_;
  MessageClass class_;
  bool started_ = false;
  bool done_ = false;
  bool waits_ = false;
  ResumeLater waiter_;

 private:
  friend class Mail;
  void complete_at_home();
};

// RemoteCall(home, to, class, work): `work(Core& there)` runs on core `to`; it returns a value or a Task. The object
// must stay where it is from start() until done(). A call to the own core runs at once, in order with the others.
template <class Work>
class RemoteCall : public RemoteCallBase {
  using Returned = std::invoke_result_t<Work&, Core&>;
  template <class T>
  struct Unwrapped {
    using type = T;
    static constexpr bool is_task = false;
  };
  template <class T>
  struct Unwrapped<Task<T>> {
    using type = T;
    static constexpr bool is_task = true;
  };

 public:
  using Value = typename Unwrapped<Returned>::type;

  RemoteCall(Core& home, CoreId to, MessageClass message_class, Work work)
      : RemoteCallBase(home, to, message_class), work_(std::move(work)) {
    run_ = [](RemoteCallBase& base, Core& there) { static_cast<RemoteCall&>(base).run(there); };
  }

  // Sends it, or queues it behind earlier calls that lack a credit. Never waits.
  void start() { start_call(); }
  // Instead of awaiting reply(): `callback` on the home core when done. Set before start().
  void on_reply(void (*callback)(RemoteCallBase&)) { on_reply_ = callback; }
  // The answer. Take it once, after done() or by await.
  auto reply() {
    struct Awaiter {
      RemoteCall& call;
      bool await_ready() { return call.done_; }
      void await_suspend(std::coroutine_handle<> parent) {
        call.waiter_.hold(parent);
        call.waits_ = true;
      }
      Value await_resume() { return call.take(); }
    };
    CHECK(started_);
    return Awaiter{*this};
  }
  Value take() {
    CHECK(done_);
    if constexpr (!std::is_void_v<Value>) return std::move(*value_);
  }

 private:
  void run(Core& there) {
    if constexpr (Unwrapped<Returned>::is_task) {
      there.scope().spawn(run_task(*this, there));
    } else {
      if constexpr (std::is_void_v<Value>) {
        work_(there);
      } else {
        value_.emplace(work_(there));
      }
      finish_on(there);
    }
  }
  static Task<void> run_task(RemoteCall& call, Core& there) {
    if constexpr (std::is_void_v<Value>) {
      co_await call.work_(there);
    } else {
      call.value_.emplace(co_await call.work_(there));
    }
    call.finish_on(there);
  }

  Work work_;
  struct Nothing {};
  [[no_unique_address]] std::conditional_t<std::is_void_v<Value>, Nothing, std::optional<Value>> value_;
};

// `co_await on_core(core, to, [..](Core& there) {...})`: the usual way for a coroutine.
template <class Work>
auto on_core(Core& home, CoreId to, Work work, MessageClass message_class = MessageClass::kRequest)
    -> Task<typename RemoteCall<Work>::Value> {
  RemoteCall<Work> call(home, to, message_class, std::move(work));
  call.start();
  co_return co_await call.reply();
}

namespace detail {
// Single producer, single consumer, addresses only. Capacity is a power of two.
template <uint32_t kCapacity>
class SpscRing {
 public:
  bool push(RemoteCallBase* call) {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == kCapacity) return false;
    slots_[tail % kCapacity] = call;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  RemoteCallBase* pop() {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return nullptr;
    RemoteCallBase* call = slots_[head % kCapacity];
    head_.store(head + 1, std::memory_order_release);
    return call;
  }

 private:
  alignas(64) std::atomic<uint32_t> tail_{0};
  alignas(64) std::atomic<uint32_t> head_{0};
  alignas(64) std::array<RemoteCallBase*, kCapacity> slots_{};
};

struct MailPair {
  std::array<SpscRing<kMailCredits>, kMessageClasses> calls;
  SpscRing<kMailCredits * kMessageClasses> replies;
};
}  // namespace detail

// The rings and doorbells of one host; made before its cores, outlives them.
class Mailroom {
 public:
  explicit Mailroom(CoreId cores);
  CoreId cores() const { return cores_; }
  // From any thread: every core of this host gets request_stop() at its next turn.
  void request_stop();

 private:
  friend class Mail;
  struct alignas(64) Door {
    std::atomic<uint64_t> bell{0};      // bit i: core i left something
    std::atomic<uint32_t> sleeping{0};  // 1: wants a wake-up call
    std::atomic<uint32_t> stop{0};
    std::atomic<Backend*> backend{nullptr};
  };
  detail::MailPair& pair(CoreId from, CoreId to) { return *pairs_[static_cast<size_t>(from) * cores_ + to]; }
  CoreId cores_;
  std::vector<std::unique_ptr<detail::MailPair>> pairs_;
  std::unique_ptr<Door[]> doors_;
};

// One core's end of the mail.
class Mail {
 public:
  Mail(Core& core, Mailroom& mailroom);
  ~Mail();
  CoreId cores() const { return mailroom_.cores(); }

  // Called by the core's loop.
  void receive();
  void ring_doorbells();
  bool prepare_sleep();  // true: nothing arrived meanwhile, the core may sleep
  void woke();
  bool stop_requested() const;

 private:
  friend class RemoteCallBase;
  void send(RemoteCallBase& call);
  void push_now(RemoteCallBase& call);
  void send_reply(RemoteCallBase& call, Core& home);
  void receive_from(CoreId from);

  Core& core_;
  Mailroom& mailroom_;
  static constexpr std::array<uint32_t, kMessageClasses> all_credits() {
    std::array<uint32_t, kMessageClasses> credits{};
    credits.fill(kMailCredits);
    return credits;
  }
  struct Peer {
    std::array<uint32_t, kMessageClasses> credits = all_credits();
    std::array<IntrusiveList<RemoteCallBase>, kMessageClasses> waiting;
    bool ring_needed = false;
  };
  std::vector<Peer> peers_;
  bool any_ring_needed_ = false;
};

}  // namespace posthaste::reactor
