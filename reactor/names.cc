#include "reactor/names.h"

#include "reactor/sync.h"

namespace posthaste::reactor {
namespace {

struct Lookup : Op {
  explicit Lookup(Core& core) : changed(core) {}
  Event changed;
  bool done = false;
};

struct StopNotice : Runnable {
  Event* changed = nullptr;
};

struct Cancel : Op {
  explicit Cancel(Core& core) : done(core) {}
  Event done;
};

}  // namespace

Task<Result<std::vector<std::string>>> resolve(Core& core, std::string name, Duration patience) {
  std::vector<std::string> ips;
  Lookup lookup(core);
  lookup.kind = OpKind::kResolve;
  lookup.path = name.c_str();
  lookup.out = &ips;
  lookup.complete = [](Op& op) {
    auto& self = static_cast<Lookup&>(op);
    self.done = true;
    self.changed.notify_all();
  };
  StopNotice notice;
  notice.changed = &lookup.changed;
  notice.run = [](Runnable& runnable) { static_cast<StopNotice&>(runnable).changed->notify_all(); };
  core.on_stop(notice);
  core.submit(lookup);
  const Instant deadline = core.now() + patience;
  bool in_time = true;
  while (!lookup.done && in_time && !core.stopping()) in_time = co_await lookup.changed.wait_until(deadline);
  if (!lookup.done) {
    Cancel cancel(core);
    cancel.kind = OpKind::kCancel;
    cancel.target = &lookup;
    cancel.complete = [](Op& op) { static_cast<Cancel&>(op).done.set(); };
    core.submit(cancel);
    co_await cancel.done.wait();
    while (!lookup.done) co_await lookup.changed.wait();
  }
  const Result<uint64_t> found = lookup.outcome();
  if (found) co_return ips;
  if (found.error() != Errc::kCancelled) co_return failure(found.error());
  co_return failure(core.stopping() ? Errc::kStopping : Errc::kTimedOut);
}

}  // namespace posthaste::reactor
