#include "net/connection.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "net/address.h"
#include "net/gather.h"
#include "net/planted_bugs.h"
#include "reactor/check.h"

namespace posthaste::net {
namespace {

using reactor::Buffer;
using reactor::BufferPool;
using reactor::Errc;
using reactor::Result;
using reactor::Slice;
using reactor::Task;

// The shortest request header: api key, version, correlation id.
constexpr size_t kRequestHeaderBytesMin = 8;
// Answers are gathered into one send up to about this many bytes; more would only delay the first.
constexpr size_t kBytesPerSend = size_t{1} << 20;
// How often a late transfer is checked again: at the last check perhaps nothing waited for its memory.
constexpr reactor::Duration kLateTransferInterval = std::chrono::seconds(1);

bool is_barrier(const kafka::ApiInfo& info) { return info.order == kafka::Order::kBarrier; }

CloseReason reason_of(Errc error) {
  return error == Errc::kConnectionClosed ? CloseReason::kPeerClosed : CloseReason::kNetworkError;
}

}  // namespace

// Bytes that arrived and are not consumed. They are first in the backend's small buffer, which is scarce and goes back
// before any wait; the rest then lives in a copy.
class Connection::Input {
 public:
  explicit Input(reactor::Core& core) : core_(core) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() {
    if (!core_.abandoned()) give_back();
  }

  bool empty() const { return rest_.empty(); }
  void borrow(Slice selected) {
    CHECK(empty());
    give_back();
    kept_ = {};
    selected_ = selected;
    rest_ = {selected.data, selected.size};
  }
  // To be called before a wait.
  void keep() {
    if (selected_.data == nullptr) return;
    kept_.assign(rest_.begin(), rest_.end());
    rest_ = kept_;
    give_back();
  }
  // Moves up to into.size() bytes; returns how many.
  size_t take(std::span<std::byte> into) {
    const size_t count = std::min(into.size(), rest_.size());
    if (count > 0) std::memcpy(into.data(), rest_.data(), count);
    rest_ = rest_.subspan(count);
    if (rest_.empty()) give_back();
    return count;
  }

 private:
  void give_back() {
    if (selected_.data != nullptr) core_.backend().recycle(std::exchange(selected_, Slice{}));
  }
  reactor::Core& core_;
  Slice selected_;
  reactor::RecycledVector<std::byte> kept_;
  std::span<const std::byte> rest_;
};

BufferPool* ConnectionShared::pool_for(size_t length) {
  if (length > limits.frame_bytes_max) return nullptr;
  BufferPool& pool = length <= kSmallFrameBytesMax ? small_frames : large_frames;
  return length <= pool.buffer_bytes_max() ? &pool : nullptr;
}

Connection::Connection(ConnectionShared& shared, reactor::Socket socket, ListenerId listener,
                       const std::string& peer_address)
    : shared_(shared),
      core_(shared.core),
      socket_(socket),
      scope_(core_),
      changed_(core_),
      last_activity_(core_.now()),
      idle_alarm_(core_),
      body_alarm_(core_),
      send_alarm_(core_) {
  context_.client_address = ip_of(peer_address);
  context_.local_address = ip_of(core_.backend().local_address(socket_.id()));
  context_.listener = listener;
  for (Alarm* alarm : {&idle_alarm_, static_cast<Alarm*>(&body_alarm_), static_cast<Alarm*>(&send_alarm_)}) {
    alarm->connection = this;
  }
  body_alarm_.reason = CloseReason::kSlowSender;
  send_alarm_.reason = CloseReason::kSlowReader;
}

Task<void> Connection::run() {
  ++shared_.stats.accepted;
  ++shared_.stats.open;
  idle_alarm();
  const CloseReason reason = co_await read_frames();
  // A peer that sends no more may still read: its requests are answered, and those that only wait for others or for
  // time answer now. For a peer that is gone completely this costs one failed send.
  if (reason == CloseReason::kPeerClosed && !closing_) {
    context_.tell_watchers();
    while (!closing_ && !slots_.empty()) co_await changed_.wait();
  }
  begin_close(reason);
  co_await scope_.join();
  idle_alarm_.cancel();
  // For a peer that does not read nothing is kept, not even in the kernel.
  if (reason_ == CloseReason::kSlowReader) {
    co_await socket_.close_discarding();
  } else {
    co_await socket_.close();
  }
  --shared_.stats.open;
  ++shared_.stats.closed[static_cast<size_t>(reason_)];
  slots_.clear();
}

Task<CloseReason> Connection::read_frames() {
  Input input(core_);
  for (;;) {
    FrameStart begin;
    if (auto end = co_await read_start(input, begin)) co_return *end;
    if (auto end = co_await wait_until_it_may_start(input, begin.info)) co_return *end;
    Taken taken;
    if (auto end = co_await reserve(input, begin, taken)) co_return *end;
    if (auto end = co_await read_body(input, begin, taken.frame)) co_return *end;
    last_activity_ = core_.now();
    shared_.stats.bytes_in += kafka::kFrameLengthSize + begin.length;
    if (!input.empty()) input.keep();
    if (auto end = co_await start(std::move(taken))) co_return *end;
  }
}

Task<std::optional<CloseReason>> Connection::receive_more(Input& input) {
  Result<Slice> got = co_await socket_.receive_small();
  if (!got) co_return reason_of(got.error());
  if (got->size == 0) co_return CloseReason::kPeerClosed;
  input.borrow(*got);
  co_return std::nullopt;
}

Task<std::optional<CloseReason>> Connection::read_exactly(Input& input, std::span<std::byte> into) {
  size_t filled = input.take(into);
  while (filled < into.size()) {
    auto end = co_await receive_more(input);
    if (end) co_return end;
    filled += input.take(into.subspan(filled));
  }
  co_return std::nullopt;
}

Task<std::optional<CloseReason>> Connection::read_start(Input& input, FrameStart& begin) {
  std::array<std::byte, kafka::kFrameLengthSize> prefix{};
  if (auto end = co_await read_exactly(input, prefix)) co_return end;
  uint32_t raw = 0;
  std::memcpy(&raw, prefix.data(), sizeof(raw));
  const auto claimed = static_cast<int32_t>(std::byteswap(raw));
  if (claimed < static_cast<int32_t>(kRequestHeaderBytesMin)) co_return CloseReason::kFrameLengthInvalid;
  begin.length = static_cast<size_t>(claimed);
  if (shared_.pool_for(begin.length) == nullptr) co_return CloseReason::kFrameTooLarge;
  watch_transfer(body_alarm_, begin.length);
  auto end = co_await read_exactly(input, begin.bytes);
  body_alarm_.cancel();
  uint16_t api = 0;
  std::memcpy(&api, begin.bytes.data(), sizeof(api));
  begin.info = shared_.served.find(static_cast<kafka::ApiKey>(std::byteswap(api)));
  co_return end;
}

// A request that may not overtake waits until the earlier answers are not only made but sent: so a peer that does not
// read can hold the memory of one Fetch answer, not of many.
bool Connection::may_start(const kafka::ApiInfo* info) const {
  if (info == nullptr) return true;  // it will be refused
  if (draining_ || slots_.size() >= shared_.limits.requests_in_flight_max) return false;
  return info->order == kafka::Order::kPipelined ? unanswered_barriers_ == 0 : slots_.empty();
}

Task<std::optional<CloseReason>> Connection::wait_until_it_may_start(Input& input, const kafka::ApiInfo* info) {
  while (!closing_ && !may_start(info)) {
    input.keep();
    co_await changed_.wait();
  }
  if (closing_) co_return reason_;
  co_return std::nullopt;
}

// All that a request needs before it is received, its frame last: a request that waits for something else holds no
// frame.
Task<std::optional<CloseReason>> Connection::reserve(Input& input, const FrameStart& begin, Taken& taken) {
  const bool is_tiny = begin.length <= kInlineFrameBytes && !inline_frame_.taken;
  const kafka::Admission admission = begin.info != nullptr ? begin.info->admission : kafka::Admission::kAtOnce;
  if (!is_tiny && admission == kafka::Admission::kTakesTurns) {
    input.keep();
    co_await shared_.large_turns.acquire(1);
    taken.turn = Turn(shared_.large_turns);
  }
  if (admission == kafka::Admission::kReservesAnswer) {
    if (!shared_.answers.has_room_for(begin.info->key)) input.keep();
    taken.answer = co_await shared_.answers.reserve(begin.info->key);
  }
  if (is_tiny) {
    taken.frame = FrameMemory(inline_frame_, begin.length);
    co_return std::nullopt;
  }
  BufferPool& pool = *shared_.pool_for(begin.length);
  Result<Buffer> buffer = pool.allocate(begin.length);
  if (!buffer) {
    input.keep();
    ++shared_.stats.waited_for_memory;
    buffer = co_await pool.allocate_waiting(begin.length);
  }
  if (!buffer) co_return CloseReason::kFrameTooLarge;
  taken.frame = FrameMemory(std::move(*buffer));
  if (closing_) co_return reason_;
  co_return std::nullopt;
}

Task<std::optional<CloseReason>> Connection::read_body(Input& input, const FrameStart& begin, FrameMemory& memory) {
  const std::span<std::byte> body = memory.bytes();
  std::ranges::copy(begin.bytes, body.begin());
  const size_t filled = begin.bytes.size() + input.take(body.subspan(begin.bytes.size()));
  if (filled == begin.length) co_return std::nullopt;
  watch_transfer(body_alarm_, begin.length - filled);
  const Result<void> received = co_await socket_.receive_all(body.subspan(filled));
  body_alarm_.cancel();
  if (!received) co_return reason_of(received.error());
  co_return std::nullopt;
}

void Connection::watch_transfer(TransferAlarm& alarm, uint64_t bytes) {
  alarm.begin = core_.now();
  alarm.bytes = bytes;
  alarm.arm(alarm.begin + shared_.limits.pressed_patience.allows(bytes), [](reactor::Timer& timer) {
    auto& self = static_cast<TransferAlarm&>(timer);
    self.connection->look_at_transfer(self);
  });
}

// First the short limit, which counts only while another request needs the memory: that is checked again and again
// until the long limit, which always counts, is over.
void Connection::look_at_transfer(TransferAlarm& alarm) {
  const reactor::Instant last = alarm.begin + shared_.limits.patience.allows(alarm.bytes);
  const bool pressed = &alarm == &body_alarm_ ? shared_.frames_pressed() : shared_.answers_pressed();
  if (pressed || core_.now() >= last) return begin_close(alarm.reason);
  alarm.arm(std::min(last, core_.now() + kLateTransferInterval), [](reactor::Timer& timer) {
    auto& self = static_cast<TransferAlarm&>(timer);
    self.connection->look_at_transfer(self);
  });
}

Task<std::optional<CloseReason>> Connection::start(Taken taken) {
  Request request;
  Result<kafka::ReceivedRequest> header = kafka::decode_request_header(taken.frame.bytes(), shared_.served);
  if (!header) co_return CloseReason::kHeaderCorrupt;
  const kafka::ApiInfo* info = shared_.served.find(header->header.api);
  if (info == nullptr) co_return refuse(header->header, CloseReason::kUnknownApi);
  if (!info->advertises(header->header.version)) {
    if (info->key != kafka::ApiKey::kApiVersions) {
      co_return refuse(header->header, CloseReason::kUnsupportedVersion);
    }
    header->support = kafka::RequestSupport::kUnknownVersion;
  }
  request.header = header->header;
  request.support = header->support;
  request.body = header->body;
  request.memory = std::move(taken.frame);
  while (!closing_ && draining_) co_await changed_.wait();  // draining began while the frame arrived
  if (closing_) co_return reason_;
  CHECK(may_start(info), "something overtook a frame of its own connection");
  request.received = core_.now();
  ++shared_.stats.requests;
  const uint64_t sequence = first_sequence_ + slots_.size();
  slots_.emplace_back();
  if (is_barrier(*info)) ++unanswered_barriers_;
  scope_.spawn(serve(std::move(request), *info, sequence, std::move(taken.answer), std::move(taken.turn)));
  co_return std::nullopt;
}

CloseReason Connection::refuse(const kafka::RequestHeader& header, CloseReason reason) {
  refused_ = {.api = header.api, .version = header.version, .correlation_id = header.correlation_id};
  return reason;
}

Task<void> Connection::serve(Request request, const kafka::ApiInfo& info, uint64_t sequence, AnswerMemory::Share memory,
                             Turn turn) {
  Response response;
  if (!closing_) response = co_await shared_.handler.handle(context_, request);
  request.memory.release();
  turn = {};
  memory = shared_.answers.settle(info.key, std::move(memory), response.frame.owned.capacity());
  answered(sequence, std::move(response), std::move(memory), is_barrier(info));
  if (!sending_) co_await send_ready();
}

void Connection::answered(uint64_t sequence, Response response, AnswerMemory::Share memory, bool was_barrier) {
  Slot& slot = slots_[sequence - first_sequence_];
  slot.response = std::move(response);
  slot.memory = std::move(memory);
  slot.ready = true;
  if (was_barrier) --unanswered_barriers_;
  changed_.notify_all();
}

Task<void> Connection::send_ready() {
  sending_ = true;
  reactor::RecycledVector<Slice> slices;
  while (!closing_ && !slots_.empty() && slots_.front().ready) {
    if (!co_await send_front(slices)) break;
  }
  sending_ = false;
  end_if_drained();
}

// Sends the ready answers at the front, as many as one gather list holds. False: the connection is ending.
Task<bool> Connection::send_front(reactor::RecycledVector<Slice>& slices) {
  if (reactor::planted(kBugs["answer-out-of-order"]) && slots_.size() > 1 && slots_[1].ready) {
    std::swap(slots_[0].response, slots_[1].response);
  }
  reactor::RecycledVector<kafka::Bytes> pieces;
  size_t answers = 0;
  size_t bytes = 0;
  std::optional<CloseReason> close;
  while (answers < slots_.size() && slots_[answers].ready && bytes < kBytesPerSend && !close) {
    const Response& response = slots_[answers].response;
    response.frame.append_slices(pieces);
    bytes += response.frame.size();
    close = response.close;
    ++answers;
  }
  Result<void> sent;
  if (!pieces.empty()) watch_transfer(send_alarm_, bytes);
  for (size_t at = 0; sent && at < pieces.size();) {
    at = gather(pieces, at, slices);
    sent = co_await socket_.send(slices);
  }
  send_alarm_.cancel();
  last_activity_ = core_.now();
  if (sent) shared_.stats.bytes_out += bytes;
  slots_.erase(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(answers));
  first_sequence_ += answers;
  changed_.notify_all();
  if (!sent) {
    begin_close(reason_of(sent.error()));
  } else if (close) {
    begin_close(*close);
  }
  co_return !closing_;
}

Task<void> Connection::shut_down() { co_await socket_.shutdown(); }

void Connection::begin_close(CloseReason reason) {
  if (closing_) return;
  closing_ = true;
  reason_ = reason;
  context_.tell_watchers();
  changed_.notify_all();
  scope_.spawn(shut_down());
}

void Connection::drain() {
  if (closing_ || draining_) return;
  draining_ = true;
  context_.tell_watchers();
  end_if_drained();
}

void Connection::end_if_drained() {
  if (draining_ && slots_.empty()) begin_close(CloseReason::kStopping);
}

// Ends the connection if it was idle for the whole time-out; else checks again at the earliest time when it could be.
void Connection::idle_alarm() {
  const reactor::Instant due = last_activity_ + shared_.limits.idle_timeout;
  if (slots_.empty() && core_.now() >= due) return begin_close(CloseReason::kIdle);
  idle_alarm_.arm(std::max(due, core_.now() + shared_.limits.idle_timeout / 16),
                  [](reactor::Timer& timer) { static_cast<Alarm&>(timer).connection->idle_alarm(); });
}

}  // namespace posthaste::net
