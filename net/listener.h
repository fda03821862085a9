// Listening sockets, and how accepted connections are distributed. Core 0 accepts (one queue, so connections spread
// evenly where SO_REUSEPORT's hashing would not), checks the limits on connections, and gives each connection to the
// core that has the fewest. From then on the connection belongs to that core; core 0 learns only of its end. A set
// waits until that message of each connection has arrived, and the acceptor waits for all sets, so mail never arrives
// at a destroyed object.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/connection.h"
#include "reactor/mail.h"

namespace posthaste::net {

struct ListenerOptions {
  std::string address;      // "ip:port"; port 0 picks one
  ListenerId listener = 0;  // several addresses may belong to one
};

// Limits on connections of one broker, each named after Kafka's key.
struct AcceptLimits {
  uint32_t connections_max = INT32_MAX;              // max.connections
  uint32_t connections_per_address_max = INT32_MAX;  // max.connections.per.ip
  // max.connections.per.ip.overrides: by address as the backend writes it, without port and brackets.
  std::map<std::string, uint32_t, std::less<>> per_address_overrides;
};

// The connections of one core to listeners of one kind: with handler, limits and served APIs of their own.
class ConnectionSet : private reactor::CoreOwned {
 public:
  // Reports the end of a connection to the counter; runs on the set's core. The set is not drained before it is done.
  using Ended = std::function<reactor::Task<void>()>;
  // `served` and `handler` outlive it.
  ConnectionSet(reactor::Core& core, RequestHandler& handler, const ConnectionLimits& limits,
                const kafka::ServedApis& served = kafka::kServedToClients)
      : CoreOwned(core), shared_(core, handler, limits, served), scope_(core) {}

  // Serves a socket that detach() released on another core (or this one). `ended` runs when the connection is over,
  // also if the socket could not be adopted.
  void adopt(int detached, ListenerId listener, std::string peer_address, Ended ended);
  // Serves a socket of this core.
  void serve(reactor::Socket socket, ListenerId listener, std::string peer_address, Ended ended);
  // Lets all connections answer the requests that have begun, ends them and waits until each end is reported. All their
  // memory is free then. No connection may be added any more.
  reactor::Task<void> drain();
  NetStats& stats() { return shared_.stats; }
  // Bytes of answers that are made and not sent, without records.
  uint64_t answer_bytes_held() const { return shared_.answers.bytes_held(); }

 private:
  static reactor::Task<void> run(ConnectionSet& set, reactor::Socket socket, ListenerId listener,
                                 std::string peer_address, Ended ended);
  static reactor::Task<void> tell(Ended ended);
  void log_end(const Connection& connection, std::string_view peer_address);
  ConnectionShared shared_;
  bool draining_ = false;
  reactor::IntrusiveList<Connection> connections_;
  reactor::TaskScope scope_;
};

// The accepting core's part (core 0's for clients): it alone counts connections, in total and per address, so the
// limits need no other core. `set_of(core)` names the ConnectionSet of another core; it is called on that core.
class Acceptor {
 public:
  using SetOf = std::function<ConnectionSet&(reactor::Core&)>;
  // Which cores serve what is accepted.
  enum class Spread : uint8_t { kAllCores, kOwnCore };
  Acceptor(reactor::Core& core, AcceptLimits limits, SetOf set_of, Spread spread = Spread::kAllCores);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor();  // after stop()

  // Binds one more address. Until begin() clients that connect wait in the kernel's queue. Returns the bound address
  // ("ip:port") or kAddressInUse, kAddressNotAvailable, kPermission, ...
  reactor::Task<reactor::Result<std::string>> listen(ListenerOptions options);
  // Begins to accept on all bound addresses.
  void begin();
  // Accepts no more, closes all listening sockets and drains the sets of all cores, which must live until it
  // returns: no connection is left on any core then.
  reactor::Task<void> stop();
  // The limits apply from the next connection on; existing connections stay.
  void set_limits(AcceptLimits limits) { limits_ = std::move(limits); }
  // Connections accepted, open, and refused before they had a core; everything else is counted by a connection's core.
  const NetStats& stats() const { return stats_; }
  uint32_t open_on(reactor::CoreId core) const { return open_[core]; }

 private:
  reactor::Task<void> accept_loop(reactor::Socket socket, ListenerId listener);
  reactor::Task<void> welcome(reactor::Socket socket, ListenerId listener, std::string peer);
  reactor::CoreId next_core() const;
  uint32_t limit_of(std::string_view address) const;
  reactor::Task<void> refuse(reactor::Socket socket, std::string peer, CloseReason reason, uint32_t limit);
  reactor::Task<void> tell_ended(reactor::Core& from, std::string address);
  void ended(reactor::CoreId on, const std::string& address);
  reactor::Task<void> drain(reactor::CoreId on);

  struct Bound {
    reactor::Socket socket;
    ListenerId listener;
  };

  reactor::Core& core_;
  AcceptLimits limits_;
  SetOf set_of_;
  const Spread spread_;
  NetStats stats_;
  bool stopping_ = false;
  std::vector<uint32_t> open_;                   // per core
  std::map<std::string, uint32_t> per_address_;  // addresses that have connections
  std::vector<Bound> sockets_;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::net
