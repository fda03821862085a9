// How each kind of operation becomes a ring entry or a call, and what its completion means. The way of an operation
// through the backend is in uring_backend.cc.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "reactor/uring/address.h"
#include "reactor/uring/kernel_constants.h"
#include "reactor/uring/op_state.h"
#include "reactor/uring/uring_backend.h"

namespace posthaste::reactor::uring {
namespace {

constexpr mode_t kFileMode = 0640;
constexpr mode_t kDirectoryMode = 0750;
constexpr int kListenBacklog = 4096;  // the kernel caps it at net.core.somaxconn
// A peer that takes nothing for this long is gone. Longer than the patience of connections with one that takes too
// little (net/connection.h): they know for what memory, and give the reason.
constexpr int kUserTimeoutMilliseconds = 120'000;

int open_flags(uint16_t flags) {
  int result = O_CLOEXEC | ((flags & kOpenWrite) != 0 ? O_RDWR : O_RDONLY);
  if ((flags & kOpenCreate) != 0) result |= O_CREAT;
  if ((flags & kOpenExclusive) != 0) result |= O_EXCL;
  if ((flags & kOpenDirect) != 0) result |= O_DIRECT;
  if ((flags & kOpenDirectory) != 0) result |= O_DIRECTORY;
  return result;
}

// Options that make sense for every stream of ours. Failure costs only their effect.
void set_stream_options(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMilliseconds, sizeof kUserTimeoutMilliseconds);
}

// The close that follows sends a reset and frees what waits to be sent.
void discard_unsent(int fd) {
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

std::string socket_name(int fd, int (*get)(int, sockaddr*, socklen_t*)) {
  Address address;
  address.size = sizeof address.storage;
  if (get(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0) return {};
  return format_address(address);
}

bool aligned(uint64_t value) { return value % kBlockBytes == 0; }

}  // namespace

bool UringBackend::misaligned(const Op& op) {
  if (!files_->at(op.file).direct) return false;
  if (!aligned(op.offset)) return true;
  for (uint32_t i = 0; i < op.slice_count; ++i) {
    if (!aligned(op.slices[i].size) || !aligned(reinterpret_cast<uint64_t>(op.slices[i].data))) return true;
  }
  return false;
}

// True if the operation needs no ring entry, or none yet: it is done, waits, or went to the helper thread.
bool UringBackend::start_at_once(Op& op) {
  switch (op.kind) {
    case OpKind::kRead:
    case OpKind::kWrite:
      if (misaligned(op)) {
        fail(op, Errc::kInvalidArgument);
        return true;
      }
      [[fallthrough]];
    case OpKind::kReceive:
    case OpKind::kSend:
      advance(op, 0);  // past empty slices
      if (!all_slices_done(op)) return false;
      finish_with(op, 0);
      return true;
    case OpKind::kReceiveSelect:
      op.selected = {};
      if (receive_buffers_->available() > 0) return false;
      ++stats_.starved_receives;
      starved_.push_back(op);
      return true;
    case OpKind::kClose:
      state_of(op).fd = files_->remove(op.file);
      if ((op.flags & kCloseDiscard) != 0) discard_unsent(state_of(op).fd);
      return false;
    case OpKind::kConnect:
      return !prepare_connect(op);
    case OpKind::kTruncate:
      if (ring_->profile() == Profile::k6_12) return false;
      ++stats_.helper_operations;
      helper_.submit(op, files_->at(op.file).fd);
      return true;
    case OpKind::kListDirectory:
    case OpKind::kStat:
    case OpKind::kSpace:
      ++stats_.helper_operations;
      helper_.submit(op, -1);
      return true;
    case OpKind::kListen:
      listen(op);
      return true;
    case OpKind::kResolve:
      resolve(op);
      return true;
    case OpKind::kShutdown:
      shutdown(op);
      return true;
    case OpKind::kCancel:
      start_cancel(op);
      return true;
    default:
      return false;
  }
}

void UringBackend::target_file(io_uring_sqe& entry, FileId id) {
  const OpenFile& file = files_->at(id);
  if (file.fixed_slot >= 0) {
    entry.fd = file.fixed_slot;
    entry.flags |= IOSQE_FIXED_FILE;
  } else {
    entry.fd = file.fd;
  }
}

void UringBackend::fill_entry(Op& op, io_uring_sqe& entry) {
  switch (op.kind) {
    case OpKind::kOpen:
      // The kernel always hands an open that may create to a worker.
      if ((op.flags & kOpenCreate) != 0) ++stats_.worker_operations;
      return io_uring_prep_openat(&entry, AT_FDCWD, op.path, open_flags(op.flags), kFileMode);
    case OpKind::kClose:
      return io_uring_prep_close(&entry, state_of(op).fd);
    case OpKind::kRead:
    case OpKind::kWrite:
      return fill_file_io(op, entry);
    case OpKind::kSync:
      ++stats_.worker_operations;
      io_uring_prep_fsync(&entry, 0, 0);
      return target_file(entry, op.file);
    case OpKind::kAllocate:
      ++stats_.worker_operations;
      // The header's parameter for the length is signed.
      io_uring_prep_fallocate(&entry, 0, 0, static_cast<off_t>(op.offset), static_cast<off_t>(op.length));
      return target_file(entry, op.file);
    case OpKind::kTruncate:
      ++stats_.worker_operations;
      entry.opcode = kernel::kOpFtruncate;
      entry.off = op.length;
      return target_file(entry, op.file);
    case OpKind::kRename:
      ++stats_.worker_operations;
      return io_uring_prep_renameat(&entry, AT_FDCWD, op.path, AT_FDCWD, op.path2, 0);
    case OpKind::kUnlink:
      ++stats_.worker_operations;
      return io_uring_prep_unlinkat(&entry, AT_FDCWD, op.path, 0);
    case OpKind::kRemoveDirectory:
      ++stats_.worker_operations;
      return io_uring_prep_unlinkat(&entry, AT_FDCWD, op.path, AT_REMOVEDIR);
    case OpKind::kMakeDirectory:
      ++stats_.worker_operations;
      return io_uring_prep_mkdirat(&entry, AT_FDCWD, op.path, kDirectoryMode);
    case OpKind::kAccept:
      io_uring_prep_accept(&entry, 0, nullptr, nullptr, SOCK_CLOEXEC);
      return target_file(entry, op.file);
    case OpKind::kConnect: {
      // The address was checked by prepare_connect; the kernel reads it when the entry is submitted.
      const Result<Address> address = parse_address(op.path);
      sockaddr_storage& storage = ring_->memory_of(&entry).address;
      storage = address->storage;
      return io_uring_prep_connect(&entry, state_of(op).fd, reinterpret_cast<sockaddr*>(&storage), address->size);
    }
    case OpKind::kReceive:
    case OpKind::kReceiveSelect:
      return fill_receive(op, entry);
    case OpKind::kSend:
      return fill_send(op, entry);
    case OpKind::kCancel:
      return io_uring_prep_cancel64(&entry, reinterpret_cast<uint64_t>(op.target), 0);
    case OpKind::kListDirectory:
    case OpKind::kStat:
    case OpKind::kSpace:
    case OpKind::kListen:
    case OpKind::kResolve:
    case OpKind::kShutdown:
      break;
  }
  CHECK(false, "operation {} has no ring entry", static_cast<int>(op.kind));
}

void UringBackend::fill_file_io(Op& op, io_uring_sqe& entry) {
  const NextPiece piece = next_piece(op);
  const uint64_t offset = op.offset + state_of(op).done;
  const bool read = op.kind == OpKind::kRead;
  if (piece.vector != nullptr) {
    if (read) {
      io_uring_prep_readv(&entry, 0, piece.vector, piece.count, offset);
    } else {
      io_uring_prep_writev(&entry, 0, piece.vector, piece.count, offset);
    }
  } else {
    const Mapping* mapping = mappings_.empty() ? nullptr : &mappings_.front();
    const bool fixed = mapping != nullptr && mapping->registered && piece.data >= mapping->data &&
                       piece.data + piece.size <= mapping->data + mapping->bytes;
    if (fixed && read) {
      io_uring_prep_read_fixed(&entry, 0, piece.data, piece.size, offset, 0);
    } else if (fixed) {
      io_uring_prep_write_fixed(&entry, 0, piece.data, piece.size, offset, 0);
    } else if (read) {
      io_uring_prep_read(&entry, 0, piece.data, piece.size, offset);
    } else {
      io_uring_prep_write(&entry, 0, piece.data, piece.size, offset);
    }
  }
  if (!read && (op.flags & kWriteDurable) != 0) entry.rw_flags = RWF_DSYNC;
  target_file(entry, op.file);
}

void UringBackend::fill_receive(Op& op, io_uring_sqe& entry) {
  if (op.kind == OpKind::kReceiveSelect) {
    io_uring_prep_recv(&entry, 0, nullptr, receive_buffers_->bytes_each(), 0);
    entry.flags |= IOSQE_BUFFER_SELECT;
    entry.buf_group = ReceiveBuffers::kGroup;
    // Mostly there is nothing yet: the kernel need not try first.
    entry.ioprio = IORING_RECVSEND_POLL_FIRST;
    return target_file(entry, op.file);
  }
  const NextPiece piece = next_piece(op);
  if (piece.vector != nullptr) {
    io_uring_prep_readv(&entry, 0, piece.vector, piece.count, 0);
  } else {
    io_uring_prep_recv(&entry, 0, piece.data, piece.size, (op.flags & kReceiveAll) != 0 ? MSG_WAITALL : 0);
  }
  target_file(entry, op.file);
}

void UringBackend::fill_send(Op& op, io_uring_sqe& entry) {
  constexpr int kFlags = MSG_NOSIGNAL | MSG_WAITALL;
  const NextPiece piece = next_piece(op);
  if (piece.vector != nullptr) {
    msghdr& message = ring_->memory_of(&entry).message;
    message = {};
    message.msg_iov = const_cast<iovec*>(piece.vector);
    message.msg_iovlen = piece.count;
    io_uring_prep_sendmsg(&entry, 0, &message, kFlags);
  } else {
    io_uring_prep_send(&entry, 0, piece.data, piece.size, kFlags);
  }
  target_file(entry, op.file);
}

void UringBackend::start_cancel(Op& op) {
  // The target may be gone already, so its address is compared before anything is read from it. Cancelling is rare.
  const auto holds = [&](IntrusiveList<Op>& list) {
    bool found = false;
    list.for_each([&](Op& one) { found = found || &one == op.target; });
    return found;
  };
  if (holds(in_flight_)) {
    state_of(*op.target).cancelled = true;
    return issue(op);
  }
  const bool was_waiting = holds(backlog_) || holds(starved_);
  if (was_waiting) {
    if (op.target->kind == OpKind::kClose) return finish_with(op, 0);  // has taken effect: the id is gone
    if (op.target->kind == OpKind::kConnect) ::close(state_of(*op.target).fd);
    op.target->unlink();
  } else if (!helper_.withdraw(*op.target) && !resolver_.withdraw(*op.target)) {
    return fail(op, Errc::kNotFound);
  }
  fail(*op.target, Errc::kCancelled);
  finish_with(op, 0);
}

void UringBackend::listen(Op& op) {
  const Result<Address> address = parse_address(op.path);
  if (!address) return fail(op, address.error());
  stats_.plain_calls += 7;
  const int fd = ::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(op, errc_from_errno(errno));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->family() == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  set_stream_options(fd);  // accepted sockets inherit them
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address->storage), address->size) != 0 ||
      ::listen(fd, kListenBacklog) != 0) {
    const Errc error = errc_from_errno(errno);
    ::close(fd);
    return fail(op, error);
  }
  if (op.out != nullptr) *static_cast<std::string*>(op.out) = socket_name(fd, ::getsockname);
  finish_with(op, files_->add(fd, false).value);
}

void UringBackend::resolve(Op& op) {
  if (op.path[0] == '\0') return fail(op, Errc::kNotFound);
  std::string ip = canonical_ip(op.path);
  if (ip.empty()) return resolver_.submit(op);
  *static_cast<std::vector<std::string>*>(op.out) = {std::move(ip)};
  finish_with(op, 1);
}

std::string UringBackend::local_address(FileId socket) {
  ++stats_.plain_calls;
  return socket_name(files_->at(socket).fd, ::getsockname);
}

void UringBackend::shutdown(Op& op) {
  ++stats_.plain_calls;
  // ENOTCONN: the other side was faster. The caller has what it wanted.
  if (::shutdown(files_->at(op.file).fd, SHUT_RDWR) != 0 && errno != ENOTCONN) {
    return fail(op, errc_from_errno(errno));
  }
  finish_with(op, 0);
}

bool UringBackend::prepare_connect(Op& op) {
  const Result<Address> address = parse_address(op.path);
  if (!address) {
    fail(op, address.error());
    return false;
  }
  stats_.plain_calls += 3;
  const int fd = ::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    fail(op, errc_from_errno(errno));
    return false;
  }
  set_stream_options(fd);
  state_of(op).fd = fd;
  return true;
}

// Takes the kernel's answer for one entry. False: the operation needs another.
bool UringBackend::finish_step(Op& op, int32_t result, uint32_t flags) {
  if (op.kind == OpKind::kReceiveSelect) {
    if (result == -ENOBUFS && !state_of(op).cancelled) {
      if (receive_buffers_->available() > 0) return false;  // one came back meanwhile
      ++stats_.starved_receives;
      starved_.push_back(op);
      return true;
    }
    finish_select(op, result, flags);
    return true;
  }
  if (op.kind == OpKind::kCancel) {
    // Not found in the kernel: its completion is on its way, or its next step will see the mark.
    finish_with(op, 0);
    return true;
  }
  if (op.kind == OpKind::kClose) {
    // Whatever the kernel says, the descriptor is gone; what was written durably is not its business.
    finish_with(op, 0);
    return true;
  }
  if (result == -EINTR) {
    if (!state_of(op).cancelled) return false;
    result = -ECANCELED;
  }
  switch (op.kind) {
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kReceive:
    case OpKind::kSend:
      return finish_transfer(op, result);
    case OpKind::kConnect:
      finish_connect(op, result);
      return true;
    case OpKind::kOpen:
      if (result >= 0) {
        finish_open(op, result);
        return true;
      }
      break;
    case OpKind::kAccept:
      if (result >= 0) {
        finish_accept(op, result);
        return true;
      }
      break;
    default:
      break;
  }
  if (result < 0) {
    fail(op, errc_from_errno(-result));
  } else {
    finish_with(op, 0);
  }
  return true;
}

bool UringBackend::finish_transfer(Op& op, int32_t result) {
  OpState& state = state_of(op);
  if (result < 0) {
    fail(op, errc_from_errno(-result));
    return true;
  }
  advance(op, static_cast<uint64_t>(result));
  const bool out = op.kind == OpKind::kWrite || op.kind == OpKind::kSend;
  if (out && result == 0) {
    fail(op, Errc::kIoError);  // no progress and no reason
    return true;
  }
  const bool wants_all = op.kind != OpKind::kReceive || (op.flags & kReceiveAll) != 0;
  // A direct read that ends inside a block has met the end of the file; asking again would not be aligned.
  const bool end_of_file = op.kind == OpKind::kRead && files_->at(op.file).direct && !aligned(state.done);
  if (result == 0 || !wants_all || end_of_file || all_slices_done(op)) {
    finish_with(op, static_cast<int64_t>(state.done));
    return true;
  }
  if (state.cancelled) {
    fail(op, Errc::kCancelled);
    return true;
  }
  return false;
}

void UringBackend::finish_open(Op& op, int fd) {
  if ((op.flags & kOpenLock) != 0) {
    ++stats_.plain_calls;
    // Of the open file, not of the process: two opens in one process exclude each other too.
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const Errc error = errc_from_errno(errno);
      ::close(fd);
      return fail(op, error);
    }
  }
  finish_with(op, files_->add(fd, (op.flags & kOpenDirect) != 0).value);
}

void UringBackend::finish_accept(Op& op, int fd) {
  if (op.out != nullptr) {
    ++stats_.plain_calls;
    *static_cast<std::string*>(op.out) = socket_name(fd, ::getpeername);
  }
  finish_with(op, files_->add(fd, false).value);
}

void UringBackend::finish_connect(Op& op, int32_t result) {
  const int fd = state_of(op).fd;
  if (result < 0) {
    ::close(fd);
    return fail(op, errc_from_errno(-result));
  }
  finish_with(op, files_->add(fd, false).value);
}

void UringBackend::finish_select(Op& op, int32_t result, uint32_t flags) {
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    std::byte* data = receive_buffers_->taken(static_cast<uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT));
    if (result > 0) {
      op.selected = {data, static_cast<size_t>(result)};
    } else {
      recycle({data, 0});
    }
  }
  if (result < 0) return fail(op, errc_from_errno(-result));
  finish_with(op, result);
}

}  // namespace posthaste::reactor::uring
