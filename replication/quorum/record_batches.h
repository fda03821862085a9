// What the quorum knows of a record batch, and the control batches that it writes itself: who leads from here on, who
// votes from here on. Pure functions; the records are Kafka's (net/kafka/quorum_records.h).
#pragma once
#include <span>
#include <vector>

#include "net/kafka/types.h"
#include "reactor/result.h"
#include "reactor/time.h"
#include "replication/quorum/types.h"
#include "storage/batch/record_batch.h"
#include "storage/bytes/bytes.h"

namespace posthaste::replication::quorum {

net::kafka::Uuid uuid_of(const DirectoryId& id);
DirectoryId directory_of(const net::kafka::Uuid& uuid);

// The record that begins an epoch: `leader` has it by the votes of `granted`, which are of `voters`.
storage::Bytes leader_change_batch(NodeId leader, const VoterSet& voters, const VoterSet& granted,
                                   reactor::WallMillis now);
// Kafka's record of the voters, without endpoints: who is where the addresses of brokers say.
storage::Bytes voters_batch(const VoterSet& voters, reactor::WallMillis now);

// What a stored batch is to the quorum; `body` is 0. kMalformed, kCorrupt: it is no batch that a log can hold, or names
// voters that no log may name; kUnsupported: a control record of a newer program.
reactor::Result<Batch> describe(const storage::RecordBatchView& batch);

// The same of all batches that lie in `bytes`, whose checksums must be right (kCorrupt). `body` is where in `bytes`
// each begins, counted from 1.
reactor::Result<std::vector<Batch>> describe_all(storage::ByteView bytes);

}  // namespace posthaste::replication::quorum
