// Files and sockets as things that coroutines await. Thin: each call is one backend operation. A File or Socket belongs
// to one core and must be closed by its owner before it goes away (close() is an operation like the others).
#pragma once
#include <string>
#include <vector>

#include "reactor/core.h"

namespace posthaste::reactor {

class Event;

// `co_await OperationAwaiter(core, prepare)`: submits one operation; resumes with its outcome.
struct OperationAwaiter : Op {
  Core& core;
  ResumeLater later;
  explicit OperationAwaiter(Core& on, OpKind operation, IoClass as) : core(on) {
    kind = operation;
    io_class = as;
    complete = [](Op& op) {
      auto& self = static_cast<OperationAwaiter&>(op);
      self.core.schedule(self.later);
    };
  }
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> parent) {
    later.hold(parent);
    core.submit(*this);
  }
  Result<uint64_t> await_resume() { return outcome(); }
};

// An open file. Offsets and sizes in bytes; with kOpenDirect all are multiples of kBlockBytes.
class File {
 public:
  File() = default;
  File(Core& core, FileId id) : core_(&core), id_(id) {}
  bool valid() const { return id_.valid(); }
  FileId id() const { return id_; }

  static Task<Result<File>> open(Core& core, std::string path, uint16_t flags);
  // Bytes read; short only at the end of the file.
  Task<Result<uint64_t>> read(uint64_t offset, std::span<std::byte> into, IoClass io_class);
  Task<Result<uint64_t>> write(uint64_t offset, std::span<const std::byte> bytes, uint16_t flags, IoClass io_class);
  Task<Result<void>> sync();
  Task<Result<void>> allocate(uint64_t offset, uint64_t length);
  Task<Result<void>> truncate(uint64_t length);
  Task<Result<void>> close();

 private:
  Core* core_ = nullptr;
  FileId id_;
};

// The file system, in its own I/O class. Durable only after sync_directory of the parent.
namespace file_system {
Task<Result<void>> rename(Core& core, std::string from, std::string to);
Task<Result<void>> unlink(Core& core, std::string path);
Task<Result<void>> make_directory(Core& core, std::string path);
Task<Result<void>> remove_directory(Core& core, std::string path);
Task<Result<void>> sync_directory(Core& core, std::string path);
Task<Result<std::vector<DirectoryEntry>>> list_directory(Core& core, std::string path);
Task<Result<FileStat>> stat(Core& core, std::string path);
Task<Result<SpaceStat>> space(Core& core, std::string path);
}  // namespace file_system

// A connected or listening stream socket.
class Socket {
 public:
  Socket() = default;
  Socket(Core& core, FileId id) : core_(&core), id_(id) {}
  bool valid() const { return id_.valid(); }
  FileId id() const { return id_; }

  // `bound` (may be null) gets the address with the real port.
  static Task<Result<Socket>> listen(Core& core, std::string address, std::string* bound);
  static Task<Result<Socket>> connect(Core& core, std::string address);
  // The same until `deadline` (kTimedOut), or until `over` is set (kCancelled; timed_operation.h).
  static Task<Result<Socket>> connect(Core& core, std::string address, Instant deadline, Event& over);
  // `peer` (may be null) gets the address of the other side.
  Task<Result<Socket>> accept(std::string* peer);
  // Up to into.size() bytes; 0 = orderly end.
  Task<Result<uint64_t>> receive(std::span<std::byte> into);
  // All of it, or kConnectionClosed.
  Task<Result<void>> receive_all(std::span<std::byte> into);
  // A few bytes, without owning a buffer during the wait; give `selected` back with core.backend().recycle(). Empty =
  // orderly end.
  Task<Result<Slice>> receive_small();
  // Sends all slices or returns an error. The caller must not change them until it returns.
  Task<Result<void>> send(std::span<const Slice> slices);
  Task<void> shutdown();
  Task<void> close();
  // The same, and drops what the peer has not received: for a peer that does not read, so that nothing is kept for it.
  Task<void> close_discarding();

 private:
  Task<void> close_with(uint16_t flags);
  Core* core_ = nullptr;
  FileId id_;
};

}  // namespace posthaste::reactor
