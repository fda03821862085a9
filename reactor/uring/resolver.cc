#include "reactor/uring/resolver.h"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>

#include "reactor/uring/address.h"
#include "reactor/uring/signal_block.h"

namespace posthaste::reactor::uring {
namespace {

struct Answer {
  uint64_t ticket = 0;
  Errc error{};  // Errc{}: found
  std::vector<std::string> addresses;
};

Errc errc_from_resolver(int error) {
  switch (error) {
    case EAI_AGAIN:
      return Errc::kTimedOut;
    case EAI_MEMORY:
      return Errc::kNoMemory;
    case EAI_SYSTEM:
      return errc_from_errno(errno);
    default:
      return Errc::kNotFound;
  }
}

Answer look_up(uint64_t ticket, const std::string& name) {
  Answer answer{.ticket = ticket, .error = {}, .addresses = {}};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &found); error != 0) {
    answer.error = errc_from_resolver(error);
    return answer;
  }
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Address address;
    address.size = one->ai_addrlen;
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    std::string ip = format_ip(address);
    if (!ip.empty() && std::ranges::find(answer.addresses, ip) == answer.addresses.end()) {
      answer.addresses.push_back(std::move(ip));
    }
  }
  ::freeaddrinfo(found);
  if (answer.addresses.empty()) answer.error = Errc::kNotFound;
  return answer;
}

}  // namespace

struct Resolver::Board {
  std::mutex mutex;
  WakeBoard* wakes = nullptr;  // guarded by mutex; null once nobody listens any more
  CoreId core = 0;
  size_t threads = 0;           // guarded by mutex
  std::vector<Answer> answers;  // guarded by mutex

  void post(Answer answer) {
    const std::lock_guard lock(mutex);
    --threads;
    if (wakes == nullptr) return;
    answers.push_back(std::move(answer));
    if (wakes->claim(core)) wakes->send(core);
  }
};

Resolver::Resolver(CoreId core, WakeBoard& wakes) : board_(std::make_shared<Board>()) {
  board_->wakes = &wakes;
  board_->core = core;
}

Resolver::~Resolver() {
  const std::lock_guard lock(board_->mutex);
  board_->wakes = nullptr;
}

void Resolver::submit(Op& op) {
  queued_.push_back(op);
  start_queued();
}

void Resolver::start_queued() {
  const SignalBlock block;
  while (!queued_.empty()) {
    {
      const std::lock_guard lock(board_->mutex);
      if (board_->threads == kThreadsMax) return;
      ++board_->threads;
    }
    Op& op = queued_.pop_front();
    asked_.push_back({++tickets_, &op});
    try {
      std::thread([board = board_, ticket = tickets_, name = std::string(op.path)] {
        board->post(look_up(ticket, name));
      }).detach();
    } catch (const std::system_error&) {
      board_->post({.ticket = tickets_, .error = Errc::kNoThread, .addresses = {}});
    }
  }
}

bool Resolver::withdraw(Op& op) {
  if (std::erase_if(asked_, [&](const Asked& asked) { return asked.op == &op; }) > 0) return true;
  bool found = false;
  queued_.for_each([&](Op& queued) { found = found || &queued == &op; });
  if (found) op.unlink();
  return found;
}

void Resolver::collect(IntrusiveList<Op>& done) {
  if (asked_.empty() && queued_.empty()) return;
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(board_->mutex);
    answers.swap(board_->answers);
  }
  for (Answer& answer : answers) {
    const auto asked = std::ranges::find(asked_, answer.ticket, &Asked::ticket);
    if (asked == asked_.end()) continue;  // cancelled
    Op& op = *asked->op;
    asked_.erase(asked);
    if (answer.error == Errc{}) {
      op.result = static_cast<int64_t>(answer.addresses.size());
      *static_cast<std::vector<std::string>*>(op.out) = std::move(answer.addresses);
    } else {
      op.fail(answer.error);
    }
    done.push_back(op);
  }
  start_queued();
}

}  // namespace posthaste::reactor::uring
