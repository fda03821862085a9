#include "reactor/file.h"

#include "reactor/timed_operation.h"

namespace posthaste::reactor {
namespace {

Result<void> without_value(const Result<uint64_t>& result) {
  if (!result) return failure(result.error());
  return {};
}

FileId file_id(uint64_t value) { return FileId{static_cast<int32_t>(value)}; }

Task<Result<void>> path_operation(Core& core, OpKind kind, std::string path, std::string path2 = {}) {
  OperationAwaiter op(core, kind, IoClass::kFileSystem);
  op.path = path.c_str();
  op.path2 = path2.c_str();
  co_return without_value(co_await op);
}

}  // namespace

Task<Result<File>> File::open(Core& core, std::string path, uint16_t flags) {
  OperationAwaiter op(core, OpKind::kOpen, IoClass::kFileSystem);
  op.path = path.c_str();
  op.flags = flags;
  Result<uint64_t> opened = co_await op;
  if (!opened) co_return failure(opened.error());
  co_return File(core, file_id(*opened));
}

Task<Result<uint64_t>> File::read(uint64_t offset, std::span<std::byte> into, IoClass io_class) {
  OperationAwaiter op(*core_, OpKind::kRead, io_class);
  const Slice slice{into.data(), into.size()};
  op.file = id_;
  op.offset = offset;
  op.slices = &slice;
  op.slice_count = 1;
  co_return co_await op;
}

Task<Result<uint64_t>> File::write(uint64_t offset, std::span<const std::byte> bytes, uint16_t flags,
                                   IoClass io_class) {
  OperationAwaiter op(*core_, OpKind::kWrite, io_class);
  const Slice slice{const_cast<std::byte*>(bytes.data()), bytes.size()};
  op.file = id_;
  op.offset = offset;
  op.flags = flags;
  op.slices = &slice;
  op.slice_count = 1;
  co_return co_await op;
}

Task<Result<void>> File::sync() {
  OperationAwaiter op(*core_, OpKind::kSync, IoClass::kFileSystem);
  op.file = id_;
  co_return without_value(co_await op);
}

Task<Result<void>> File::allocate(uint64_t offset, uint64_t length) {
  OperationAwaiter op(*core_, OpKind::kAllocate, IoClass::kFileSystem);
  op.file = id_;
  op.offset = offset;
  op.length = length;
  co_return without_value(co_await op);
}

Task<Result<void>> File::truncate(uint64_t length) {
  OperationAwaiter op(*core_, OpKind::kTruncate, IoClass::kFileSystem);
  op.file = id_;
  op.length = length;
  co_return without_value(co_await op);
}

Task<Result<void>> File::close() {
  OperationAwaiter op(*core_, OpKind::kClose, IoClass::kFileSystem);
  op.file = std::exchange(id_, FileId{});
  co_return without_value(co_await op);
}

namespace file_system {

Task<Result<void>> rename(Core& core, std::string from, std::string to) {
  return path_operation(core, OpKind::kRename, std::move(from), std::move(to));
}
Task<Result<void>> unlink(Core& core, std::string path) {
  return path_operation(core, OpKind::kUnlink, std::move(path));
}
Task<Result<void>> make_directory(Core& core, std::string path) {
  return path_operation(core, OpKind::kMakeDirectory, std::move(path));
}
Task<Result<void>> remove_directory(Core& core, std::string path) {
  return path_operation(core, OpKind::kRemoveDirectory, std::move(path));
}

Task<Result<void>> sync_directory(Core& core, std::string path) {
  Result<File> directory = co_await File::open(core, std::move(path), kOpenDirectory);
  if (!directory) co_return failure(directory.error());
  Result<void> synced = co_await directory->sync();
  Result<void> closed = co_await directory->close();
  co_return synced ? closed : synced;
}

Task<Result<std::vector<DirectoryEntry>>> list_directory(Core& core, std::string path) {
  std::vector<DirectoryEntry> entries;
  OperationAwaiter op(core, OpKind::kListDirectory, IoClass::kFileSystem);
  op.path = path.c_str();
  op.out = &entries;
  Result<uint64_t> listed = co_await op;
  if (!listed) co_return failure(listed.error());
  co_return entries;
}

Task<Result<FileStat>> stat(Core& core, std::string path) {
  FileStat found;
  OperationAwaiter op(core, OpKind::kStat, IoClass::kFileSystem);
  op.path = path.c_str();
  op.out = &found;
  Result<uint64_t> done = co_await op;
  if (!done) co_return failure(done.error());
  co_return found;
}

Task<Result<SpaceStat>> space(Core& core, std::string path) {
  SpaceStat found;
  OperationAwaiter op(core, OpKind::kSpace, IoClass::kFileSystem);
  op.path = path.c_str();
  op.out = &found;
  Result<uint64_t> done = co_await op;
  if (!done) co_return failure(done.error());
  co_return found;
}

}  // namespace file_system

Task<Result<Socket>> Socket::listen(Core& core, std::string address, std::string* bound) {
  OperationAwaiter op(core, OpKind::kListen, IoClass::kNetwork);
  op.path = address.c_str();
  op.out = bound;
  Result<uint64_t> done = co_await op;
  if (!done) co_return failure(done.error());
  co_return Socket(core, file_id(*done));
}

Task<Result<Socket>> Socket::connect(Core& core, std::string address) {
  OperationAwaiter op(core, OpKind::kConnect, IoClass::kNetwork);
  op.path = address.c_str();
  Result<uint64_t> done = co_await op;
  if (!done) co_return failure(done.error());
  co_return Socket(core, file_id(*done));
}

Task<Result<Socket>> Socket::connect(Core& core, std::string address, Instant deadline, Event& over) {
  TimedOperation op(core, OpKind::kConnect);
  op.path = address.c_str();
  const Result<uint64_t> done = co_await op.run(deadline, over);
  if (!done) co_return failure(done.error());
  co_return Socket(core, file_id(*done));
}

Task<Result<Socket>> Socket::accept(std::string* peer) {
  OperationAwaiter op(*core_, OpKind::kAccept, IoClass::kNetwork);
  op.file = id_;
  op.out = peer;
  Result<uint64_t> done = co_await op;
  if (!done) co_return failure(done.error());
  co_return Socket(*core_, file_id(*done));
}

Task<Result<uint64_t>> Socket::receive(std::span<std::byte> into) {
  OperationAwaiter op(*core_, OpKind::kReceive, IoClass::kNetwork);
  const Slice slice{into.data(), into.size()};
  op.file = id_;
  op.slices = &slice;
  op.slice_count = 1;
  co_return co_await op;
}

Task<Result<void>> Socket::receive_all(std::span<std::byte> into) {
  OperationAwaiter op(*core_, OpKind::kReceive, IoClass::kNetwork);
  const Slice slice{into.data(), into.size()};
  op.file = id_;
  op.flags = kReceiveAll;
  op.slices = &slice;
  op.slice_count = 1;
  Result<uint64_t> received = co_await op;
  if (!received) co_return failure(received.error());
  if (*received != into.size()) co_return failure(Errc::kConnectionClosed);
  co_return Result<void>{};
}

Task<Result<Slice>> Socket::receive_small() {
  OperationAwaiter op(*core_, OpKind::kReceiveSelect, IoClass::kNetwork);
  op.file = id_;
  Result<uint64_t> received = co_await op;
  if (!received) co_return failure(received.error());
  co_return Slice{op.selected.data, static_cast<size_t>(*received)};
}

Task<Result<void>> Socket::send(std::span<const Slice> slices) {
  OperationAwaiter op(*core_, OpKind::kSend, IoClass::kNetwork);
  op.file = id_;
  op.slices = slices.data();
  op.slice_count = static_cast<uint32_t>(slices.size());
  co_return without_value(co_await op);
}

Task<void> Socket::shutdown() {
  OperationAwaiter op(*core_, OpKind::kShutdown, IoClass::kNetwork);
  op.file = id_;
  (void)co_await op;
}

Task<void> Socket::close() { return close_with(0); }

Task<void> Socket::close_discarding() { return close_with(kCloseDiscard); }

Task<void> Socket::close_with(uint16_t flags) {
  OperationAwaiter op(*core_, OpKind::kClose, IoClass::kNetwork);
  op.flags = flags;
  op.file = std::exchange(id_, FileId{});
  (void)co_await op;
}

}  // namespace posthaste::reactor
