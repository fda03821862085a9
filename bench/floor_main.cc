// posthaste-bench-floor: what durable bytes cost on this machine when nothing is done with them. It receives frames,
// copies each once with a CRC32C, writes all that has arrived with one O_DIRECT|O_DSYNC write, and answers when that is
// on disk. No protocol, no log, no index: a floor to hold a broker's figures against, not a product. One thread.
//
//   posthaste-bench-floor PORT FILE
//
// A frame is a u32 length (little-endian) and so many bytes; its answer is the frame's u32 length.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "storage/bytes/crc32c.h"

namespace {

using posthaste::storage::ByteView;
using posthaste::storage::MutableBytes;

constexpr size_t kBlock = 4096;
constexpr size_t kStagingBytes = size_t{4} << 20;  // as much as one commit may carry
constexpr size_t kReceiveBytes = size_t{1} << 20;  // per connection
constexpr uint64_t kFileBytes = uint64_t{256}
                                << 20;  // written round and round, preallocated and zeroed: like a journal
constexpr unsigned kRingEntries = 4096;

enum class Kind : uint64_t { kAccept, kReceive, kSend, kWrite };

[[noreturn]] void die(const char* what, int error) {
  fmt::print(stderr, "posthaste-bench-floor: {}: {}\n", what, std::strerror(error));
  std::exit(1);
}

std::byte* aligned(size_t bytes) {
  void* memory = std::aligned_alloc(kBlock, bytes);
  if (memory == nullptr) die("memory", ENOMEM);
  std::memset(memory, 0, bytes);
  return static_cast<std::byte*>(memory);
}

struct Connection {
  explicit Connection(int socket) : fd(socket), buffer(kReceiveBytes) {}
  int fd;
  std::vector<std::byte> buffer;
  size_t begin = 0;  // of what is received and not yet taken
  size_t end = 0;
  std::vector<uint32_t> waiting;    // frames in the staging buffer that fills
  std::vector<uint32_t> committed;  // frames in the write under way
  std::vector<uint32_t> answers;    // being sent
  std::vector<uint32_t> answers_next;
  bool sending = false;
  bool receiving = false;
};

class Floor {
 public:
  Floor(uint16_t port, const char* path) {
    if (const int failed =
            io_uring_queue_init(kRingEntries, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
        failed < 0) {
      die("io_uring", -failed);
    }
    for (auto& staging : staging_) staging = aligned(kStagingBytes);
    open_file(path);
    listen_on(port);
  }

  [[noreturn]] void run() {
    accept();
    for (;;) {
      io_uring_submit_and_wait(&ring_, 1);
      io_uring_cqe* completion = nullptr;
      unsigned head = 0;
      unsigned seen = 0;
      io_uring_for_each_cqe(&ring_, head, completion) {
        ++seen;
        handle(completion->user_data, completion->res);
      }
      io_uring_cq_advance(&ring_, seen);
      commit();
    }
  }

 private:
  void open_file(const char* path) {
    file_ = ::open(path, O_RDWR | O_CREAT | O_DIRECT | O_DSYNC, 0644);
    if (file_ < 0) die(path, errno);
    for (uint64_t at = 0; at < kFileBytes; at += kStagingBytes) {
      if (::pwrite(file_, staging_[0], kStagingBytes, static_cast<off_t>(at)) < 0) die("zeroing", errno);
    }
  }

  void listen_on(uint16_t port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 || ::listen(listener_, 128) < 0) {
      die("listen", errno);
    }
  }

  io_uring_sqe* next(Kind kind, uint64_t connection) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      io_uring_submit(&ring_);
      entry = io_uring_get_sqe(&ring_);
    }
    entry->user_data = 0;
    tag_ = (static_cast<uint64_t>(kind) << 32U) | connection;
    return entry;
  }

  void accept() {
    io_uring_sqe* entry = next(Kind::kAccept, 0);
    io_uring_prep_accept(entry, listener_, nullptr, nullptr, 0);
    entry->user_data = tag_;
  }

  void receive(uint64_t number) {
    Connection& connection = *connections_[number];
    if (connection.fd < 0 || connection.receiving || connection.end == connection.buffer.size()) return;
    connection.receiving = true;
    io_uring_sqe* entry = next(Kind::kReceive, number);
    io_uring_prep_recv(entry, connection.fd, connection.buffer.data() + connection.end,
                       connection.buffer.size() - connection.end, 0);
    entry->user_data = tag_;
  }

  void handle(uint64_t tag, int result) {
    const auto number = tag & 0xffffffffU;
    switch (static_cast<Kind>(tag >> 32U)) {
      case Kind::kAccept: {
        if (result < 0) die("accept", -result);
        const int on = 1;
        ::setsockopt(result, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections_.push_back(std::make_unique<Connection>(result));
        receive(connections_.size() - 1);
        accept();
        break;
      }
      case Kind::kReceive: {
        Connection& connection = *connections_[number];
        connection.receiving = false;
        if (result <= 0) {
          ::close(std::exchange(connection.fd, -1));
          break;
        }
        connection.end += static_cast<size_t>(result);
        take_frames(number);
        break;
      }
      case Kind::kSend:
        connections_[number]->sending = false;
        send(number);
        break;
      case Kind::kWrite:
        if (result < 0) die("write", -result);
        writing_ = false;
        for (uint64_t i = 0; i < connections_.size(); ++i) {
          Connection& connection = *connections_[i];
          auto& queue = connection.answers_next;
          queue.insert(queue.end(), connection.committed.begin(), connection.committed.end());
          connection.committed.clear();
          send(i);
          take_frames(i);
        }
        break;
    }
  }

  void take_frames(uint64_t number) {
    Connection& connection = *connections_[number];
    for (;;) {
      const size_t have = connection.end - connection.begin;
      uint32_t length = 0;
      if (have < sizeof length) break;
      std::memcpy(&length, connection.buffer.data() + connection.begin, sizeof length);
      if (length > kReceiveBytes - sizeof length) die("a frame is too large", EMSGSIZE);
      if (have < sizeof length + length || staged_ + length > kStagingBytes) break;
      const ByteView bytes(connection.buffer.data() + connection.begin + sizeof length, length);
      checksum_ ^= posthaste::storage::copy_and_crc32c(0, MutableBytes(staging_[fills_] + staged_, length), bytes);
      staged_ += length;
      connection.waiting.push_back(length);
      connection.begin += sizeof length + length;
    }
    // A receive under way writes behind `end`: the bytes stay where they are until it is over.
    if (connection.begin > 0 && !connection.receiving) {
      std::memmove(connection.buffer.data(), connection.buffer.data() + connection.begin,
                   connection.end - connection.begin);
      connection.end -= connection.begin;
      connection.begin = 0;
    }
    receive(number);
  }

  void commit() {
    if (writing_ || staged_ == 0) return;
    const size_t bytes = (staged_ + kBlock - 1) / kBlock * kBlock;
    if (at_ + bytes > kFileBytes) at_ = 0;
    io_uring_sqe* entry = next(Kind::kWrite, 0);
    io_uring_prep_write(entry, file_, staging_[fills_], static_cast<unsigned>(bytes), at_);
    entry->user_data = tag_;
    at_ += bytes;
    writing_ = true;
    fills_ = 1 - fills_;
    staged_ = 0;
    for (auto& connection : connections_) connection->committed.swap(connection->waiting);
  }

  void send(uint64_t number) {
    Connection& connection = *connections_[number];
    if (connection.fd < 0 || connection.sending || connection.answers_next.empty()) return;
    connection.sending = true;
    connection.answers.swap(connection.answers_next);
    connection.answers_next.clear();
    io_uring_sqe* entry = next(Kind::kSend, number);
    io_uring_prep_send(entry, connection.fd, connection.answers.data(), connection.answers.size() * sizeof(uint32_t),
                       MSG_NOSIGNAL | MSG_WAITALL);
    entry->user_data = tag_;
  }

  io_uring ring_{};
  int file_ = -1;
  int listener_ = -1;
  std::array<std::byte*, 2> staging_{};
  size_t fills_ = 0;
  size_t staged_ = 0;
  uint64_t at_ = 0;
  uint64_t tag_ = 0;
  uint32_t checksum_ = 0;
  bool writing_ = false;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: posthaste-bench-floor PORT FILE\n");
    return 2;
  }
  Floor floor(static_cast<uint16_t>(std::strtoul(argv[1], nullptr, 10)), argv[2]);
  floor.run();
}
