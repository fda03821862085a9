// Result<T>: what a call returns when something can go wrong in a healthy world. One error enum for every room, so that
// it is mapped to the codes of a protocol in a single exhaustive switch. Our own bugs are not errors: check.h.
#pragma once
#include <cstdint>
#include <expected>
#include <string_view>
#include <type_traits>
#include <utility>

namespace posthaste::reactor {

enum class Errc : uint8_t {
  // The world.
  kIoError = 1,          // EIO and every errno without a name of its own here
  kNotFound,             // ENOENT; a thing that was asked for by name or id
  kExists,               // EEXIST
  kNoSpace,              // ENOSPC, EDQUOT
  kPermission,           // EACCES, EPERM, EROFS
  kInvalidArgument,      // EINVAL: for O_DIRECT, a slice that is not aligned
  kNoSuchOperation,      // EOPNOTSUPP, ENOSYS: this file system or kernel does not do that
  kFileTooLarge,         // EFBIG: more than this file system, or ulimit -f, takes in one file
  kTooManyFiles,         // EMFILE, ENFILE
  kNoThread,             // the system lets this process, or the kernel for it, start no further thread
  kAddressInUse,         // EADDRINUSE
  kAddressNotAvailable,  // EADDRNOTAVAIL, EAFNOSUPPORT: this machine has no such address, or no such kind of them
  kConnectionRefused,    // ECONNREFUSED
  kConnectionClosed,     // orderly end, ECONNRESET, EPIPE
  kTimedOut,             // a deadline passed
  kCancelled,            // the operation was cancelled before it took effect
  kBusy,                 // locked by another process; try elsewhere
  // Limits.
  kNoMemory,  // a pool is exhausted: delay or refuse this request
  kLimit,     // a stated limit (count, size) would be exceeded
  // Bytes.
  kTruncated,    // fewer bytes than the structure says
  kCorrupt,      // checksum, magic or structure is wrong
  kUnsupported,  // well-formed but of a version or kind that is not served
  // State.
  kOutOfRange,      // an offset or index outside what is held
  kStale,           // an epoch, generation or version older than ours
  kAhead,           // an epoch, generation or version newer than ours
  kOutOfOrder,      // a gap in a sequence
  kStopping,        // the owner is shutting down
  kDamaged,         // acked bytes are known to be lost or rotten; never served as if whole
  kFenced,          // a newer incarnation has taken over
  kTooLarge,        // larger than its receiver accepts
  kMalformed,       // whole bytes that break a rule of their format
  kTimeOutOfRange,  // a time too far from ours
};

std::string_view to_string(Errc error) noexcept;

template <class T>
using Result = std::expected<T, Errc>;

inline std::unexpected<Errc> failure(Errc error) { return std::unexpected<Errc>(error); }

// Maps a positive errno to the enum. Only backends call it.
Errc errc_from_errno(int error) noexcept;

}  // namespace posthaste::reactor

// TRY(expression): the value, or returns the error from the enclosing function. A GNU statement expression, like Rust's
// `?`. CO_TRY is the same inside a coroutine; its expression must not contain co_await (await into a variable first).
#define POSTHASTE_TRY_IMPLEMENTATION(keyword, expression)                               \
  __extension__({                                                                       \
    auto&& posthaste_try_result = (expression);                                         \
    if (!posthaste_try_result) keyword ::std::unexpected(posthaste_try_result.error()); \
    ::posthaste::reactor::detail::try_value(posthaste_try_result);                      \
  })
#define TRY(...) POSTHASTE_TRY_IMPLEMENTATION(return, (__VA_ARGS__))
#define CO_TRY(...) POSTHASTE_TRY_IMPLEMENTATION(co_return, (__VA_ARGS__))

namespace posthaste::reactor::detail {
template <class Expected>
auto try_value(Expected& result) {
  if constexpr (!std::is_void_v<typename Expected::value_type>) return std::move(*result);
}
}  // namespace posthaste::reactor::detail
