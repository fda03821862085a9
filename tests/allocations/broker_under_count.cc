#include "tests/allocations/broker_under_count.h"

#include <stdlib.h>

#include <charconv>
#include <filesystem>
#include <future>

#include "broker/server.h"
#include "tests/tools/allocation_hook.h"

namespace posthaste::testing {
namespace {

using Clock = app::SocketConnection::Clock;
constexpr std::chrono::seconds kPatience{60};
constexpr const char* kAddress = "127.0.0.1";

app::SocketConnection open(uint16_t port) {
  auto socket = app::SocketConnection::open(kAddress, port, Clock::now() + kPatience);
  CHECK(socket.has_value(), "{}", socket.error().message);
  return std::move(*socket);
}

// "NAME ip:port advertised as host:port"
uint16_t port_in(const std::string& listener) {
  uint16_t port = 0;
  const size_t colon = listener.rfind(':');
  std::from_chars(listener.data() + colon + 1, listener.data() + listener.size(), port);
  return port;
}

}  // namespace

BrokerUnderCount::BrokerUnderCount(reactor::CoreId cores) : cores_(cores) {
  // Beside the program, since the usual place for such folders may be one without direct I/O.
  folder_ = std::filesystem::canonical("/proc/self/exe").parent_path() / "allocations-XXXXXX";
  CHECK(::mkdtemp(folder_.data()) != nullptr, "mkdtemp {}", folder_);
  start();
}

void BrokerUnderCount::start() {
  shared_ = std::make_shared<broker::BrokerHost>();
  std::promise<uint16_t> ready;
  shared_->on_ready = [&ready](const broker::ReadyReport& report) { ready.set_value(port_in(report.listeners.at(0))); };
  broker::BrokerOptions options;
  options.data_folder = folder_ + "/data";
  options.listeners.push_back({.host = kAddress});
  // All there is of the journal is there at the start: it does not grow beside what is counted.
  options.engine.journal_files = 4;
  options.engine.journal_file_bytes = uint64_t{16} << 20;
  // So small that a short warm-up fills it: from then on a new chunk takes the place of an old one.
  options.engine.cache_bytes_max = uint64_t{2} << 20;
  auto broker = broker::make_broker_program(options, shared_);
  auto started = reactor::uring::Host::start({.cores = cores_}, {}, [broker](reactor::Core& core) {
    allocation_count::count_this_thread();
    return broker(core);
  });
  CHECK(started.has_value(), "{}", started.error());
  host_ = std::move(*started);
  auto port = ready.get_future();
  CHECK(port.wait_for(kPatience) == std::future_status::ready, "the broker does not start");
  port_ = port.get();
}

void BrokerUnderCount::stop() {
  host_->request_stop();
  host_->wait();
  host_.reset();
}

void BrokerUnderCount::restart() {
  stop();
  start();
}

BrokerUnderCount::~BrokerUnderCount() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Client::Client(const BrokerUnderCount& broker) : socket_(open(broker.port())) {}

void Client::send_bytes(std::vector<std::byte> bytes) {
  const auto sent = socket_.send(bytes, Clock::now() + kPatience);
  CHECK(sent.has_value(), "{}", sent.error().message);
}

void Client::receive_frame() {
  auto frame = socket_.receive_frame(Clock::now() + kPatience);
  CHECK(frame.has_value(), "{}", frame.error().message);
  frame_ = std::move(*frame);
}

}  // namespace posthaste::testing
