// Short-hand for tests that drive a Backend with plain operations: an operation that knows when it is done, and calls
// that submit one and let the rig run until it is.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "reactor/testing/conformance_rig.h"

namespace posthaste::reactor::testing {

// An operation that owns its slices and paths. Must not move.
struct TestOp : Op {
  bool done = false;
  std::vector<Slice> own_slices;
  std::string own_path;
  std::string own_path2;

  TestOp() {
    complete = [](Op& op) {
      auto& self = static_cast<TestOp&>(op);
      EXPECT_FALSE(self.done) << "completed twice";
      self.done = true;
    };
  }
  TestOp(const TestOp&) = delete;
  TestOp& operator=(const TestOp&) = delete;

  TestOp& as(OpKind new_kind) {
    kind = new_kind;
    return *this;
  }
  TestOp& on(FileId new_file) {
    file = new_file;
    return *this;
  }
  TestOp& at(uint64_t new_offset) {
    offset = new_offset;
    return *this;
  }
  TestOp& long_for(uint64_t new_length) {
    length = new_length;
    return *this;
  }
  TestOp& with(uint16_t new_flags) {
    flags = new_flags;
    return *this;
  }
  TestOp& named(std::string name, std::string name2 = {}) {
    own_path = std::move(name);
    own_path2 = std::move(name2);
    path = own_path.c_str();
    path2 = own_path2.c_str();
    return *this;
  }
  TestOp& over(std::vector<Slice> new_slices) {
    own_slices = std::move(new_slices);
    slices = own_slices.data();
    slice_count = static_cast<uint32_t>(own_slices.size());
    return *this;
  }
  TestOp& over(std::span<std::byte> bytes) { return over(std::vector<Slice>{{bytes.data(), bytes.size()}}); }
  TestOp& into(void* new_out) {
    out = new_out;
    return *this;
  }
  TestOp& cancelling(Op& new_target) {
    kind = OpKind::kCancel;
    target = &new_target;
    return *this;
  }
  FileId file_id() const { return FileId{static_cast<int32_t>(result)}; }
  Errc error() const {
    const Result<uint64_t> got = outcome();
    return got ? Errc{} : got.error();
  }
};

// A rig with the calls that most tests need; all on core 0 unless said.
class Operations {
 public:
  explicit Operations(Rig& rig) : rig_(rig) {}

  void submit(TestOp& op, CoreId core = 0) {
    Op* const pointer = &op;
    rig_.backend(core).submit({&pointer, 1});
    EXPECT_FALSE(op.done) << "completed from within submit";
  }
  void submit_all(std::initializer_list<Op*> operations, CoreId core = 0) {
    rig_.backend(core).submit({operations.begin(), operations.size()});
  }
  Result<uint64_t> wait_for(TestOp& op) {
    EXPECT_TRUE(rig_.run_until([&] { return op.done; })) << "operation " << static_cast<int>(op.kind) << " hangs";
    return op.outcome();
  }
  Result<uint64_t> run(TestOp& op, CoreId core = 0) {
    submit(op, core);
    return wait_for(op);
  }

  Result<uint64_t> path_operation(OpKind kind, const std::string& path, const std::string& path2 = {}) {
    TestOp op;
    return run(op.as(kind).named(path, path2));
  }
  Result<FileId> open(const std::string& path, uint16_t flags, CoreId core = 0) {
    TestOp op;
    const auto opened = run(op.as(OpKind::kOpen).named(path).with(flags), core);
    if (!opened) return failure(opened.error());
    return op.file_id();
  }
  void close(FileId file, CoreId core = 0) {
    TestOp op;
    EXPECT_TRUE(run(op.as(OpKind::kClose).on(file), core));
  }
  Result<uint64_t> write(FileId file, uint64_t offset, std::span<std::byte> bytes, uint16_t flags = 0) {
    TestOp op;
    return run(op.as(OpKind::kWrite).on(file).at(offset).over(bytes).with(flags));
  }
  Result<uint64_t> read(FileId file, uint64_t offset, std::span<std::byte> bytes) {
    TestOp op;
    return run(op.as(OpKind::kRead).on(file).at(offset).over(bytes));
  }

  struct Listener {
    FileId id;
    std::string address;
  };
  Listener listen(CoreId core = 0) {
    Listener listener;
    TestOp op;
    EXPECT_TRUE(run(op.as(OpKind::kListen).named(rig_.listen_address()).into(&listener.address), core));
    listener.id = op.file_id();
    return listener;
  }
  struct Pair {
    FileId client;
    FileId server;
    std::string peer;  // the client's address as the server sees it
  };
  Pair connect(const Listener& listener) {
    Pair pair;
    TestOp accept;
    TestOp connect;
    accept.as(OpKind::kAccept).on(listener.id).into(&pair.peer);
    connect.as(OpKind::kConnect).named(listener.address);
    submit_all({&accept, &connect});
    EXPECT_TRUE(wait_for(connect));
    EXPECT_TRUE(wait_for(accept));
    pair.client = connect.file_id();
    pair.server = accept.file_id();
    return pair;
  }
  Result<uint64_t> send(FileId socket, std::span<std::byte> bytes, CoreId core = 0) {
    TestOp op;
    return run(op.as(OpKind::kSend).on(socket).over(bytes), core);
  }
  Result<uint64_t> receive(FileId socket, std::span<std::byte> bytes, uint16_t flags = 0, CoreId core = 0) {
    TestOp op;
    return run(op.as(OpKind::kReceive).on(socket).over(bytes).with(flags), core);
  }

 private:
  Rig& rig_;
};

// `size` bytes that depend on their position and `salt`.
inline std::vector<std::byte> pattern(size_t size, uint64_t salt = 0) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(((i + salt) * 0x9e3779b97f4a7c15ULL) >> 56);
  }
  return bytes;
}

}  // namespace posthaste::reactor::testing
