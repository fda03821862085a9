// The EngineHost that the cores of one simulated life share, as a workload and a reader have it.
#pragma once
#include <memory>

#include "reactor/core.h"
#include "storage/engine.h"

namespace posthaste::storage_crash {

// The same EngineHost for all cores of one life; the frames own it, so that it goes with them.
inline std::shared_ptr<storage::EngineHost> host_for(reactor::Core& core, const storage::EngineOptions& options,
                                                     std::weak_ptr<storage::EngineHost>& kept) {
  if (core.id() != 0) return kept.lock();
  auto host = std::make_shared<storage::EngineHost>(options, core.core_count());
  kept = host;
  return host;
}

}  // namespace posthaste::storage_crash
