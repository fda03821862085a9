// The network between simulated hosts: stream sockets with latency, pieces, a bounded window, orderly and abrupt ends,
// partitions, paused and vanished machines. What a program sees is what a kernel's TCP would show; below that (packets,
// acks) nothing is modelled: a stream never loses or reorders bytes, it stalls or breaks. IPv4 addresses
// "a.b.c.d:port"; 127.* and 0.0.0.0 are the own host. What lies between two hosts: links.h. One thread; called by the
// backends and the World.
//
// - A send completes when its last byte has entered the window (window_bytes of options.h, per direction). Bytes are
//   read from the sender's memory only as they enter it, and the first ones no sooner than the seed says (send_read).
// - Closing with unread bytes, or with kCloseDiscard, resets the peer; else the peer reads what was sent and then the
//   end.
// - A process that dies closes its sockets so; a machine that loses power says nothing: its peers hear of it when they
//   send and silence_timeout passes, or when it is back and answers with a reset.
// - A paused machine says nothing either; what reaches it waits, and its peers give up as they do then.
// - A blocked link holds back everything that would travel on it until it is healed, a clogged one until its time is
//   over. Links are one-way.
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/simulated/links.h"
#include "reactor/simulated/simulated_backend.h"

namespace posthaste::reactor::simulated {

class World;

struct NetworkStats {
  uint64_t connections = 0;
  uint64_t bytes_delivered = 0;
  uint64_t resets = 0;           // seen by an endpoint, whatever the reason
  uint64_t resets_injected = 0;  // reset_per_million
  uint64_t spikes = 0;
  uint64_t packets_lost = 0;  // LinkOptions::loss_per_million
  uint64_t silence_timeouts = 0;
};

class Network final : private EventTarget {
 public:
  explicit Network(World& world);

  // --- Faults.
  // From now on the link is so; what is on it already keeps its time.
  void set_link(const Host& from, const Host& to, LinkOptions options);
  // Nothing arrives for so long, then all of it does.
  void clog(const Host& from, const Host& to, Duration duration);
  // What `from` sends does not reach `to`, until unblock. Two calls make a full partition.
  void block(const Host& from, const Host& to);
  void unblock(const Host& from, const Host& to);
  // Cuts every link between the two groups, both ways.
  void partition(const std::vector<Host*>& one, const std::vector<Host*>& other);
  void heal();  // all links are as WorldOptions says
  bool blocked(const Host& from, const Host& to) const { return links_.blocked(link(from, to)); }
  // Breaks every connection of this host at once, as a middlebox may.
  void reset_connections(const Host& host);
  // What `from` sends on the connections that there are now is lost for ever, as behind a middlebox that has forgotten
  // them: the other direction works, new connections work, and who hears no word of the other gives up in the end.
  void forget_connections(const Host& from, const Host& to);
  NetworkStats stats() const;
  // Sockets that exist, listeners included; for tests that look for leaks.
  size_t open_endpoints() const;

  // --- For SimulatedBackend and Host.
  void start(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending, EndpointId endpoint);
  void close(EndpointId endpoint, bool discard);
  void cancel(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending);
  void buffer_recycled(SimulatedBackend& backend);
  void host_died(Host& host, bool machine_vanished);
  void host_is_back(Host& host);
  void host_continues(Host& host);  // after a pause, or it died in one
  void detach(EndpointId endpoint);
  void adopt(EndpointId endpoint, SimulatedBackend& to);
  std::string local_address(EndpointId endpoint) { return text(at(endpoint).ip, at(endpoint).port); }

 private:
  enum EventKind : uint32_t {
    kSyn,
    kConnected,
    kRefused,
    kPieceDue,
    kSendDue,
    kWindowOpened,
    kReset,
    kSilence,
    kGiveUp,
    kClogOver
  };
  struct Waiting {
    SimulatedBackend::Pending pending;
    Op* op = nullptr;
    int64_t due = 0;  // a send: when its bytes may be read
  };
  struct Piece {
    size_t bytes = 0;
    bool end = false;
  };
  // Bytes on their way to one endpoint. The first `arrived` may be received, the others are in `transit`.
  struct Inbound {
    std::vector<std::byte> bytes;
    size_t head = 0;  // bytes before it were received
    size_t arrived = 0;
    std::deque<Piece> transit;
    uint32_t due = 0;  // pieces whose time has come, held back by a blocked link
    size_t window = 0;
    int64_t last_arrival = 0;
    uint64_t progress = 0;  // pieces delivered
    bool ended = false;     // the end of the stream has arrived
    bool silence_watched = false;
    bool forgotten = false;  // what is sent here is lost on the way
    size_t unreceived() const { return bytes.size() - head; }
  };
  struct Endpoint {
    bool used = false;
    uint32_t generation = 0;
    Host* host = nullptr;
    SimulatedBackend* backend = nullptr;  // none: not accepted, detached, or its process is gone
    bool listening = false;
    std::string ip;     // own side
    uint16_t port = 0;  // own side
    std::string peer;   // "ip:port"
    EndpointId other = kNoEndpoint;
    bool connecting = false;  // kConnect is under way: `connect`
    Waiting connect;
    int64_t connect_deadline = 0;
    std::string connect_ip;
    uint16_t connect_port = 0;
    std::deque<EndpointId> backlog;
    std::deque<Waiting> accepts;
    std::deque<Waiting> receives;
    std::deque<Waiting> sends;
    Inbound in;
    bool handle_closed = false;  // kClose came; operations may still hold the socket
    bool discards = false;       // it came with kCloseDiscard
    bool closed = false;         // nothing here reads or writes any more
    bool shut = false;
    bool end_sent = false;
    bool vanished = false;  // the machine is off
    bool gives_up = false;  // hears nothing of what it waits for
    bool window_stalled = false;
    bool starved = false;  // waits for a select buffer
    Errc error{};          // sticky; Errc{} is none
  };
  struct Address {
    std::string ip;
    uint16_t port = 0;
  };

  // network.cc: connections.
  void fire(const Event& event) override;
  static Result<Address> parse(std::string_view text);
  static bool is_loopback(std::string_view ip);
  static std::string text(std::string_view ip, uint16_t port) { return std::string(ip) + ":" + std::to_string(port); }
  EndpointId new_endpoint(Host& host, SimulatedBackend* backend);
  Endpoint& at(EndpointId id) { return endpoints_[id]; }
  void schedule(EventKind kind, EndpointId endpoint, int64_t delay);
  static Links::Link link(const Host& from, const Host& to);
  int64_t delay_between(const Host& from, const Host& to, size_t bytes = 0,
                        Duration retransmit_first = kRetransmitFirst);
  Host* route(const Endpoint& from, std::string_view ip);
  EndpointId find_listener(const Host& host, std::string_view ip, uint16_t port);
  uint16_t free_port(const Host& host);
  void listen(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending);
  void connect(SimulatedBackend& backend, Op& op, SimulatedBackend::Pending pending);
  void syn(EndpointId client);
  void connected(EndpointId client);
  void fail_connect(EndpointId client, Errc error);
  void pump_accepts(EndpointId listener);
  void close_listener(Endpoint& listener);
  void maybe_close(EndpointId id);
  void close_now(EndpointId id);
  void release_pair(EndpointId id);
  void retry_held();
  bool held_by_pause(const Event& event);

  // network_stream.cc: bytes.
  void shutdown(EndpointId id);
  void send_end(EndpointId id);
  void start_send(SimulatedBackend::Pending pending, Op& op, EndpointId id);
  void pump_sends(EndpointId id);
  void put_in_transit(EndpointId from, EndpointId to, size_t bytes);
  void piece_due(EndpointId id);
  void deliver_due(EndpointId id);
  void watch_silence(EndpointId id);
  void silence(EndpointId id, uint64_t progress);
  bool unreachable(const Endpoint& endpoint) const;
  void give_up_later(EndpointId id);
  void pump_receives(EndpointId id);
  bool receive_step(EndpointId id, Waiting& waiting);
  void open_window(EndpointId receiver);
  void set_starved(Endpoint& endpoint, bool starved);
  void reset(EndpointId id);
  void broken(EndpointId id, Errc error);
  void finish(Endpoint& endpoint, const Waiting& waiting, int64_t result);

  World& world_;
  std::vector<Endpoint> endpoints_;
  std::vector<EndpointId> free_endpoints_;
  Links links_;
  std::vector<Event> held_by_pause_;  // for endpoints of paused hosts
  uint16_t next_port_ = 0;
  int32_t starved_ = 0;  // endpoints that wait for a select buffer
  NetworkStats stats_;
};

}  // namespace posthaste::reactor::simulated
