#include "replication/peers/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "net/gather.h"
#include "storage/bytes/endian.h"

namespace posthaste::replication::peers {

using net::kafka::Frame;
using reactor::Instant;
using reactor::Result;
using reactor::Slice;
using reactor::Task;

namespace {

constexpr size_t kCorrelationIdBytes = sizeof(int32_t);
// So much of an answer is as good as a whole one: a large answer over a slow link is waited for, one that drips is not.
constexpr size_t kBytesOfLife = size_t{64} << 10;

}  // namespace

std::string_view to_string(LossKind kind) noexcept {
  switch (kind) {
    case LossKind::kUnknownName:
      return "unknown host name";
    case LossKind::kRefused:
      return "refused";
    case LossKind::kUnreachable:
      return "unreachable";
    case LossKind::kUnsupported:
      return "other release";
    case LossKind::kOtherCluster:
      return "other cluster";
    case LossKind::kClosed:
      return "closed";
    case LossKind::kSilent:
      return "silent";
    case LossKind::kMalformed:
      return "not the protocol";
  }
  return "unknown";
}

Pipeline::Waiter::~Waiter() {
  if (asked != nullptr) asked->waiter = nullptr;
}

Pipeline::Asked::Asked(int32_t id, Frame bytes, Instant at, Waiter& by)
    : correlation_id(id), frame(std::move(bytes)), asked_at(at), waiter(&by) {
  by.asked = this;
}

Pipeline::Asked::~Asked() {
  if (waiter != nullptr) waiter->asked = nullptr;
}

void Pipeline::Asked::complete(Answer answer) {
  if (waiter == nullptr) return;
  waiter->answer = std::move(answer);
  waiter->done.set();
  std::exchange(waiter, nullptr)->asked = nullptr;
}

Pipeline::Pipeline(reactor::Core& core, reactor::Socket socket, const PipelineLimits& limits)
    : CoreOwned(core),
      core_(core),
      socket_(socket),
      limits_(limits),
      scope_(core),
      ended_(core),
      silence_(core, *this),
      alive_at_(core.now()) {}

Pipeline::~Pipeline() = default;

void Pipeline::start() {
  check_core();
  scope_.spawn_job(receive_loop());
}

Task<Pipeline::Answer> Pipeline::exchange(Frame frame, int32_t correlation_id, Instant deadline) {
  check_core();
  CHECK(frame.splices.empty(), "a request whose bytes its asker may take away before they are sent");
  if (has_ended()) co_return std::unexpected(NoAnswer::kNotConnected);
  const size_t bytes = frame.size();
  if (!has_room() || bytes > limits_.unsent_bytes_max - unsent_bytes_) co_return std::unexpected(NoAnswer::kFull);
  Waiter waiter(core_);
  unsent_.emplace_back(correlation_id, std::move(frame), core_.now(), waiter);
  unsent_bytes_ += bytes;
  watch_silence();
  if (!std::exchange(is_sending_, true)) scope_.spawn_job(send_loop());
  (void)co_await waiter.done.wait_until(deadline);
  if (waiter.asked == nullptr) co_return std::move(waiter.answer);
  withdraw(*waiter.asked);
  co_return std::unexpected(NoAnswer::kTimedOut);
}

// What has not been sent is not going to be; else the place stays taken until the answer comes, which is thrown away.
void Pipeline::withdraw(const Asked& asked) {
  const auto found = std::ranges::find_if(unsent_, [&asked](const Asked& one) { return &one == &asked; });
  if (found == unsent_.end()) return;
  unsent_bytes_ -= found->frame.size();
  unsent_.erase(found);
}

// All that waits goes out in one gather list, then this ends; the next request starts it again.
Task<void> Pipeline::send_loop() {
  while (!unsent_.empty() && !has_ended()) {
    reactor::RecycledVector<Frame> frames;
    size_t bytes = 0;
    for (Asked& asked : unsent_) {
      bytes += asked.frame.size();
      frames.push_back(std::move(asked.frame));
    }
    unanswered_.splice(unanswered_.end(), unsent_);
    reactor::RecycledVector<net::kafka::Bytes> pieces;
    for (const Frame& frame : frames) frame.append_slices(pieces);
    reactor::RecycledVector<Slice> slices;
    for (size_t at = 0; at < pieces.size() && !has_ended();) {
      at = net::gather(pieces, at, slices);
      const Result<void> sent = co_await socket_.send(slices);
      if (!sent) end({LossKind::kClosed, fmt::format("sending failed: {}", to_string(sent.error()))});
    }
    CHECK(unsent_bytes_ >= bytes);
    unsent_bytes_ -= bytes;
  }
  is_sending_ = false;
}

Task<void> Pipeline::receive_loop() {
  while (!has_ended()) {
    std::optional<Loss> loss = co_await receive_answer();
    if (loss) end(std::move(*loss));
  }
}

// The id is looked at before there is memory for the rest: a peer gets none for what it was not asked.
Task<std::optional<Loss>> Pipeline::receive_answer() {
  std::array<std::byte, net::kafka::kFrameLengthSize + kCorrelationIdBytes> head{};
  std::optional<Loss> loss = co_await receive(head);
  if (loss || has_ended()) co_return loss;
  const auto length = static_cast<uint32_t>(storage::load_be<int32_t>(head.data()));
  const auto correlation_id = storage::load_be<int32_t>(head.data() + net::kafka::kFrameLengthSize);
  loss = refuse(length, correlation_id);
  if (loss) co_return loss;
  std::vector<std::byte> answer(length);
  std::ranges::copy(std::span(head).last(kCorrelationIdBytes), answer.begin());
  loss = co_await receive(std::span(answer).subspan(kCorrelationIdBytes));
  if (loss || has_ended()) co_return loss;
  CHECK(!unanswered_.empty() && unanswered_.front().correlation_id == correlation_id);
  showed_life();
  unanswered_.front().complete(std::move(answer));
  unanswered_.pop_front();
  co_return std::nullopt;
}

std::optional<Loss> Pipeline::refuse(uint32_t length, int32_t correlation_id) const {
  if (unanswered_.empty()) return Loss{LossKind::kMalformed, "an answer to nothing"};
  const int32_t expected = unanswered_.front().correlation_id;
  if (correlation_id != expected) {
    return Loss{LossKind::kMalformed, fmt::format("an answer with id {} where {} is due", correlation_id, expected)};
  }
  if (length < kCorrelationIdBytes || length > limits_.answer_bytes_max) {
    return Loss{LossKind::kMalformed,
                fmt::format("an answer of {} bytes, where at most {} may be", length, limits_.answer_bytes_max)};
  }
  return std::nullopt;
}

Task<std::optional<Loss>> Pipeline::receive(std::span<std::byte> into) {
  while (!into.empty() && !has_ended()) {
    const Result<uint64_t> got = co_await socket_.receive(into);
    if (!got) co_return Loss{LossKind::kClosed, fmt::format("receiving failed: {}", to_string(got.error()))};
    if (*got == 0) co_return Loss{LossKind::kClosed, "the peer has closed the connection"};
    into = into.subspan(*got);
    bytes_since_life_ += *got;
    if (bytes_since_life_ >= kBytesOfLife) showed_life();
  }
  co_return std::nullopt;
}

void Pipeline::showed_life() {
  alive_at_ = core_.now();
  bytes_since_life_ = 0;
}

void Pipeline::watch_silence() {
  if (silence_.armed()) return;
  silence_.arm(core_.now() + limits_.silence_max,
               [](reactor::Timer& timer) { static_cast<SilenceTimer&>(timer).pipeline.silence_due(); });
}

void Pipeline::silence_due() {
  if (has_ended() || requests() == 0) return;
  const Asked& oldest = unanswered_.empty() ? unsent_.front() : unanswered_.front();
  const Instant due = std::max(alive_at_, oldest.asked_at) + limits_.silence_max;
  if (core_.now() < due) {
    return silence_.arm(due, [](reactor::Timer& timer) { static_cast<SilenceTimer&>(timer).pipeline.silence_due(); });
  }
  const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.silence_max);
  end({LossKind::kSilent, fmt::format("a request has had no answer for {} ms", silent.count())});
}

// The owner hears of it before those who wait for answers.
void Pipeline::end(Loss why) {
  check_core();
  if (has_ended()) return;
  loss_ = std::move(why);
  ended_.set();
  for (AskedList* const list : {&unanswered_, &unsent_}) {
    for (Asked& asked : *list) asked.complete(std::unexpected(NoAnswer::kLost));
  }
  for (const Asked& asked : unsent_) unsent_bytes_ -= asked.frame.size();
  unanswered_.clear();
  unsent_.clear();
}

Task<Loss> Pipeline::wait_end() {
  co_await ended_.wait();
  co_return *loss_;
}

Task<void> Pipeline::close() {
  check_core();
  CHECK(has_ended());
  silence_.cancel();
  co_await socket_.shutdown();
  co_await scope_.join();
  CHECK(requests() == 0 && unsent_bytes_ == 0);
  co_await socket_.close_discarding();
}

}  // namespace posthaste::replication::peers
