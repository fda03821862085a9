#include "reactor/result.h"

#include <cerrno>

namespace posthaste::reactor {

std::string_view to_string(Errc error) noexcept {
  switch (error) {
    case Errc::kIoError:
      return "i/o error";
    case Errc::kNotFound:
      return "not found";
    case Errc::kExists:
      return "already exists";
    case Errc::kNoSpace:
      return "no space left";
    case Errc::kPermission:
      return "permission denied";
    case Errc::kInvalidArgument:
      return "invalid argument";
    case Errc::kNoSuchOperation:
      return "operation not supported";
    case Errc::kFileTooLarge:
      return "file too large";
    case Errc::kTooManyFiles:
      return "too many open files";
    case Errc::kNoThread:
      return "no thread left: raise the limit of processes and threads (ulimit -u, TasksMax, pids.max)";
    case Errc::kAddressInUse:
      return "address in use";
    case Errc::kAddressNotAvailable:
      return "this machine has no such address";
    case Errc::kConnectionRefused:
      return "connection refused";
    case Errc::kConnectionClosed:
      return "connection closed";
    case Errc::kTimedOut:
      return "timed out";
    case Errc::kCancelled:
      return "cancelled";
    case Errc::kBusy:
      return "busy";
    case Errc::kNoMemory:
      return "memory pool exhausted";
    case Errc::kLimit:
      return "limit exceeded";
    case Errc::kTruncated:
      return "truncated";
    case Errc::kCorrupt:
      return "corrupt";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kOutOfRange:
      return "out of range";
    case Errc::kStale:
      return "stale";
    case Errc::kAhead:
      return "ahead";
    case Errc::kOutOfOrder:
      return "out of order";
    case Errc::kStopping:
      return "stopping";
    case Errc::kDamaged:
      return "damaged";
    case Errc::kFenced:
      return "fenced";
    case Errc::kTooLarge:
      return "too large";
    case Errc::kMalformed:
      return "malformed";
    case Errc::kTimeOutOfRange:
      return "time out of range";
  }
  return "unknown error";
}

Errc errc_from_errno(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Errc::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return Errc::kExists;
    case ENOSPC:
    case EDQUOT:
      return Errc::kNoSpace;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::kPermission;
    case EINVAL:
      return Errc::kInvalidArgument;
    case EOPNOTSUPP:
    case ENOSYS:
      return Errc::kNoSuchOperation;
    case EFBIG:
      return Errc::kFileTooLarge;
    case EMFILE:
    case ENFILE:
      return Errc::kTooManyFiles;
    case EADDRINUSE:
      return Errc::kAddressInUse;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return Errc::kAddressNotAvailable;
    case ECONNREFUSED:
      return Errc::kConnectionRefused;
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case ECONNABORTED:
      return Errc::kConnectionClosed;
    case ETIMEDOUT:
    case ETIME:
      return Errc::kTimedOut;
    case ECANCELED:
      return Errc::kCancelled;
    case EBUSY:
    case EAGAIN:
      return Errc::kBusy;
    case ENOMEM:
    case ENOBUFS:
      return Errc::kNoMemory;
    default:
      return Errc::kIoError;
  }
}

}  // namespace posthaste::reactor
