// Constants of newer kernels that Debian 12's liburing 2.3 header does not have. Values are kernel ABI
// (include/uapi/linux/io_uring.h); nothing else about the kernel is known here.
#pragma once
#include <cstdint>

namespace posthaste::reactor::uring::kernel {

// Linux 6.12: io_uring_params.features says that waiting has a minimum time-out. Used only as the mark of 6.12.
inline constexpr uint32_t kFeatureMinTimeout = 1U << 15;
// Linux 6.9: ftruncate as an operation.
inline constexpr uint8_t kOpFtruncate = 55;

}  // namespace posthaste::reactor::uring::kernel
