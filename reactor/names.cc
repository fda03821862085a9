#include "reactor/names.h"

#include "reactor/timed_operation.h"

namespace posthaste::reactor {
namespace {

struct StopNotice : Runnable {
  explicit StopNotice(Event& sets) : over(sets) {
    run = [](Runnable& runnable) { static_cast<StopNotice&>(runnable).over.set(); };
  }
  Event& over;
};

}  // namespace

Task<Result<std::vector<std::string>>> resolve(Core& core, std::string name, Instant deadline, Event& over) {
  std::vector<std::string> ips;
  TimedOperation lookup(core, OpKind::kResolve);
  lookup.path = name.c_str();
  lookup.out = &ips;
  const Result<uint64_t> found = co_await lookup.run(deadline, over);
  if (!found) co_return failure(found.error());
  co_return ips;
}

Task<Result<std::vector<std::string>>> resolve(Core& core, std::string name, Duration patience) {
  Event over(core);
  StopNotice notice(over);
  core.on_stop(notice);
  Result<std::vector<std::string>> ips = co_await resolve(core, std::move(name), core.now() + patience, over);
  if (!ips && ips.error() == Errc::kCancelled) co_return failure(Errc::kStopping);
  co_return ips;
}

}  // namespace posthaste::reactor
