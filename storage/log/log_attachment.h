// What stands above a log and is notified of what happens to it: the replica, which the log does not know. The log owns
// it, so that both have the same lifetime.
#pragma once
#include "reactor/result.h"

namespace posthaste::storage {

// Called on the owner core, from the storage engine's own steps: as with OffsetWaiter::done, it must not append to the
// log or delete it, and it allocates nothing.
class LogAttachment {
 public:
  LogAttachment() = default;
  LogAttachment(const LogAttachment&) = delete;
  LogAttachment& operator=(const LogAttachment&) = delete;
  virtual ~LogAttachment() = default;

  // The durable offset has moved up.
  virtual void durable_advanced() = 0;
  // The log was cut: it ends earlier than before, and positions in bytes have gone back.
  virtual void truncated() = 0;
  // What is appended and not durable will not become so soon, or ever: its waiters get `error`.
  virtual void failed(reactor::Errc error) = 0;
  // The log is being deleted, and is found no more.
  virtual void removed() = 0;
};

}  // namespace posthaste::storage
