// What a start finds of the log: where it begins and what each batch is to the quorum. It also ends an installation of
// a snapshot that a crash has cut short. It reads every batch behind the snapshot once, and applies none: who wants to
// is told of each.
#pragma once
#include <functional>
#include <string>

#include "replication/quorum/quorum.h"
#include "replication/quorum/snapshot_store.h"
#include "storage/engine.h"

namespace posthaste::replication::quorum {

// The log begins behind `snapshot` (offset 0: there is none) when this returns. kDamaged: what lies between the
// snapshot and the log is missing; `why` says so for people. Errors also as Partition::reset.
reactor::Task<reactor::Result<void>> join_log_to_snapshot(storage::Partition& log, const StoredSnapshot& snapshot,
                                                          const ReplicaKey& self, std::string& why);

// Who makes a state of the log: told of each batch that a start finds, in order. Nothing has been written then; an
// error ends the start. Where others vote, too, not all of it needs to stay.
using FoundBatch = std::function<reactor::Result<void>(const storage::RecordBatchView& batch)>;

// Tells `quorum` all batches from its snapshot on, and `found`, which may be empty. kDamaged, kCorrupt, kUnsupported,
// as Partition::read and as `found`; `why` names the offset.
reactor::Task<reactor::Result<void>> scan_log(reactor::Core& core, storage::Partition& log, Quorum& quorum,
                                              const FoundBatch& found, std::string& why);

}  // namespace posthaste::replication::quorum
