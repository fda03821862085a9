// The bytes of connections: windows, pieces, receives, and how a stream breaks. See network.h.
#include <algorithm>
#include <cstring>

#include "reactor/simulated/network.h"
#include "reactor/simulated/world.h"

namespace posthaste::reactor::simulated {
namespace {

constexpr int64_t error(Errc e) { return -static_cast<int64_t>(e); }

// Received bytes are cut off the front of the buffer when they are this many.
constexpr size_t kCompactBytes = size_t{256} << 10;
// One send is cut into this many pieces at the most, so that events stay few.
constexpr uint32_t kPiecesMax = 16;

uint64_t& done(Op& op) { return op.scratch[1]; }

// Calls visit(data, size) for `bytes` bytes of the slices from `offset` on.
template <class Visit>
void for_slices(const Op& op, uint64_t offset, size_t bytes, Visit&& visit) {
  SliceCursor cursor(op.slices, op.slice_count);
  cursor.next(offset, [](std::byte*, size_t) {});
  cursor.next(bytes, visit);
}

}  // namespace

// --- Sending.

void Network::shutdown(EndpointId id) {
  Endpoint& e = at(id);
  if (e.listening) {
    e.shut = true;  // accepts end, as the kernel ends them
    close_listener(e);
    while (!e.accepts.empty()) {
      finish(e, e.accepts.front(), error(Errc::kInvalidArgument));
      e.accepts.pop_front();
    }
    return;
  }
  if (e.shut) return;
  e.shut = true;
  while (!at(id).sends.empty()) {
    finish(at(id), at(id).sends.front(), error(Errc::kConnectionClosed));
    at(id).sends.pop_front();
  }
  if (at(id).error == Errc{}) send_end(id);
  pump_receives(id);
}

void Network::send_end(EndpointId id) {
  Endpoint& e = at(id);
  if (e.end_sent || e.other == kNoEndpoint) return;
  e.end_sent = true;
  Inbound& to = at(e.other).in;
  to.transit.push_back({.bytes = 0, .end = true});
  const int64_t now = world_.timeline().now();
  to.last_arrival = std::max(to.last_arrival, now + delay_between(*e.host, *at(e.other).host));
  schedule(kPieceDue, e.other, to.last_arrival - now);
}

void Network::start_send(SimulatedBackend::Pending pending, Op& op, EndpointId id) {
  const DurationRange& range = world_.options().send_read;
  const int64_t delay = range.most.count() == 0 ? 0 : world_.random().between(range.least.count(), range.most.count());
  at(id).sends.push_back({pending, &op, world_.timeline().now() + delay});
  if (delay == 0) return pump_sends(id);
  schedule(kSendDue, id, delay);
}

void Network::pump_sends(EndpointId id) {
  while (!at(id).sends.empty()) {
    Endpoint& e = at(id);
    Waiting& waiting = e.sends.front();
    if (e.error != Errc{} || e.shut) {
      finish(e, waiting, error(e.error == Errc{} ? Errc::kConnectionClosed : e.error));
      e.sends.pop_front();
      continue;
    }
    if (waiting.due > world_.timeline().now()) return;
    Op& op = *waiting.op;
    Inbound& to = at(e.other).in;
    const uint64_t total = SliceCursor::total(op.slices, op.slice_count);
    const size_t room = to.window > to.unreceived() ? to.window - to.unreceived() : 0;
    const size_t bytes = std::min<uint64_t>(room, total - done(op));
    if (bytes > 0) {
      for_slices(op, done(op), bytes,
                 [&](std::byte* data, size_t size) { to.bytes.insert(to.bytes.end(), data, data + size); });
      done(op) += bytes;
      put_in_transit(id, e.other, bytes);
    }
    if (done(op) < total) return;
    finish(e, waiting, static_cast<int64_t>(total));
    e.sends.pop_front();
  }
  maybe_close(id);
}

void Network::put_in_transit(EndpointId from, EndpointId to, size_t bytes) {
  Random& random = world_.random();
  const WorldOptions& options = world_.options();
  Inbound& in = at(to).in;
  const int64_t now = world_.timeline().now();
  for (uint32_t pieces = 1; bytes > 0; ++pieces) {
    const auto least = static_cast<int64_t>(options.piece_bytes_min);
    size_t piece = static_cast<size_t>(random.between(least, static_cast<int64_t>(options.piece_bytes_max)));
    if (pieces == kPiecesMax) piece = bytes;
    piece = std::min(piece, bytes);
    bytes -= piece;
    in.transit.push_back({.bytes = piece});
    in.last_arrival = std::max(in.last_arrival, now + delay_between(*at(from).host, *at(to).host, piece));
    schedule(kPieceDue, to, in.last_arrival - now);
  }
}

// --- Arriving.

void Network::piece_due(EndpointId id) {
  ++at(id).in.due;
  deliver_due(id);
}

void Network::deliver_due(EndpointId id) {
  while (at(id).used && at(id).in.due > 0) {
    Endpoint& e = at(id);
    if (unreachable(e)) return watch_silence(id);
    --e.in.due;
    const Piece piece = e.in.transit.front();
    e.in.transit.pop_front();
    ++e.in.progress;
    if (e.closed) {
      // Nobody is here to read: bytes are answered with a reset, an end needs no answer.
      if (!piece.end) reset(e.other);
      continue;
    }
    if (e.error != Errc{}) continue;
    if (piece.end) {
      e.in.ended = true;
      pump_receives(id);
      continue;
    }
    stats_.bytes_delivered += piece.bytes;
    e.in.arrived += piece.bytes;
    if (e.host != at(e.other).host && world_.random().chance(world_.options().reset_per_million)) {
      ++stats_.resets_injected;
      reset(e.other);
      broken(id, Errc::kConnectionClosed);
    } else if (e.shut) {
      reset(e.other);
    } else {
      pump_receives(id);
    }
  }
}

// Nothing that the other side sends gets here now.
bool Network::unreachable(const Endpoint& endpoint) const {
  return endpoint.vanished || endpoint.in.forgotten || endpoint.host->machine_is_paused() ||
         links_.holds(link(*endpoints_[endpoint.other].host, *endpoint.host));
}

// Bytes for `id` do not get through: after a while their sender gives up.
void Network::watch_silence(EndpointId id) {
  if (std::exchange(at(id).in.silence_watched, true)) return;
  schedule(kSilence, id, world_.options().silence_timeout.count());
}

void Network::silence(EndpointId id, uint64_t progress) {
  at(id).in.silence_watched = false;
  if (at(id).in.due == 0) return;
  if (at(id).in.progress != progress) return watch_silence(id);
  const EndpointId sender = at(id).other;
  if (sender == kNoEndpoint || at(sender).closed || at(sender).vanished) return;
  if (at(sender).host->machine_is_paused()) return watch_silence(id);  // its patience stands still too
  ++stats_.silence_timeouts;
  broken(sender, Errc::kTimedOut);
}

// The word that `id` waits for is lost for ever: in the end it takes the connection for broken.
void Network::give_up_later(EndpointId id) {
  if (std::exchange(at(id).gives_up, true)) return;
  schedule(kGiveUp, id, world_.options().silence_timeout.count());
}

// --- Receiving.

void Network::pump_receives(EndpointId id) {
  while (!at(id).receives.empty()) {
    if (!receive_step(id, at(id).receives.front())) return;
    at(id).receives.pop_front();
  }
  maybe_close(id);
}

// True if the operation is finished.
bool Network::receive_step(EndpointId id, Waiting& waiting) {
  Endpoint& e = at(id);
  Op& op = *waiting.op;
  const bool select = op.kind == OpKind::kReceiveSelect;
  const uint64_t wanted = select ? world_.options().select_buffer_bytes : SliceCursor::total(op.slices, op.slice_count);
  if (wanted == 0) {
    finish(e, waiting, 0);
    return true;
  }
  if (e.in.arrived > 0) {
    if (select) {
      op.selected = e.backend->take_select_buffer();
      set_starved(e, op.selected.data == nullptr);
      if (e.starved) return false;
    }
    const bool all = (op.flags & kReceiveAll) != 0;
    size_t bytes = std::min<uint64_t>(wanted - done(op), e.in.arrived);
    Random& random = world_.random();
    if (!all && random.chance(world_.options().short_receive_per_million)) bytes = 1 + random.below(bytes);
    const std::byte* from = e.in.bytes.data() + e.in.head;
    if (select) {
      std::memcpy(op.selected.data, from, bytes);
      op.selected.size = bytes;
    } else {
      for_slices(op, done(op), bytes, [&](std::byte* data, size_t size) {
        std::memcpy(data, from, size);
        from += size;
      });
    }
    e.in.head += bytes;
    e.in.arrived -= bytes;
    done(op) += bytes;
    if (e.in.head >= kCompactBytes || e.in.head == e.in.bytes.size()) {
      e.in.bytes.erase(e.in.bytes.begin(), e.in.bytes.begin() + static_cast<std::ptrdiff_t>(e.in.head));
      e.in.head = 0;
    }
    open_window(id);
    if (!all || done(op) == wanted) {
      finish(e, waiting, static_cast<int64_t>(done(op)));
      return true;
    }
  }
  if (e.error != Errc{}) {
    finish(e, waiting, error(e.error));
    return true;
  }
  if (e.in.ended || e.shut) {
    finish(e, waiting, static_cast<int64_t>(done(op)));
    return true;
  }
  return false;
}

// Tells the sender that there is room, if it waits for some.
void Network::open_window(EndpointId receiver) {
  Endpoint& e = at(receiver);
  if (e.other == kNoEndpoint || at(e.other).sends.empty()) return;
  if (blocked(*e.host, *at(e.other).host)) {
    e.window_stalled = true;
    return;
  }
  if (at(e.other).in.forgotten) return give_up_later(e.other);
  schedule(kWindowOpened, e.other, delay_between(*e.host, *at(e.other).host));
}

void Network::set_starved(Endpoint& endpoint, bool starved) {
  if (endpoint.starved != starved) starved_ += starved ? 1 : -1;
  endpoint.starved = starved;
}

void Network::buffer_recycled(SimulatedBackend& backend) {
  if (starved_ == 0) return;
  for (EndpointId id = 0; id < endpoints_.size(); ++id) {
    if (!at(id).used || !at(id).starved || at(id).backend != &backend) continue;
    set_starved(at(id), false);
    pump_receives(id);
    if (at(id).used && at(id).starved) return;  // taken again
  }
}

// --- Breaking.

// `id` will hear of a reset, unless its machine is off or the link is blocked by then.
void Network::reset(EndpointId id) {
  if (id == kNoEndpoint || at(id).closed || at(id).vanished || at(id).other == kNoEndpoint) return;
  schedule(kReset, id, delay_between(*at(at(id).other).host, *at(id).host));
}

void Network::broken(EndpointId id, Errc reason) {
  if (at(id).connecting) return fail_connect(id, reason);
  if (at(id).closed || at(id).error != Errc{}) return;
  ++stats_.resets;
  at(id).error = reason;
  if (at(id).backend == nullptr) return;  // not accepted yet, or between two cores: the next operation sees it
  pump_receives(id);
  if (at(id).used && !at(id).closed) pump_sends(id);
}

}  // namespace posthaste::reactor::simulated
