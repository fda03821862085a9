// What a start finds of the log: where it begins and what each batch is to the quorum. It also ends an installation of
// a snapshot that a crash has cut short. It reads every batch behind the snapshot once, and applies none.
#pragma once
#include <string>

#include "replication/quorum/quorum.h"
#include "replication/quorum/snapshot_store.h"
#include "storage/engine.h"

namespace posthaste::replication::quorum {

// The log begins behind `snapshot` (offset 0: there is none) when this returns. kDamaged: what lies between the
// snapshot and the log is missing; `why` says so for people. Errors also as Partition::reset.
reactor::Task<reactor::Result<void>> join_log_to_snapshot(storage::Partition& log, const StoredSnapshot& snapshot,
                                                          const ReplicaKey& self, std::string& why);

// Tells `quorum` all batches from its snapshot on. kDamaged, kCorrupt, kUnsupported and as Partition::read; `why` names
// the offset.
reactor::Task<reactor::Result<void>> scan_log(reactor::Core& core, storage::Partition& log, Quorum& quorum,
                                              std::string& why);

}  // namespace posthaste::replication::quorum
