// Puts into an answer what it speaks of, as it leaves: batches from the log, a piece of a snapshot. From memory at
// once; what must be read from a disk is read beside everything else, one read at a time for each peer.
#pragma once
#include <functional>
#include <set>

#include "reactor/scope.h"
#include "replication/quorum/snapshot_store.h"
#include "replication/quorum/transport.h"
#include "storage/engine.h"

namespace posthaste::replication::quorum {

// The log's core. All arguments outlive it; stop() must be awaited before it goes away.
class Answers : private reactor::CoreOwned {
 public:
  // Whether this member still leads in `epoch`. After a read: what is in the log may be of another leader then.
  using LeadsIn = std::function<bool(Epoch epoch)>;

  Answers(reactor::Core& core, storage::Partition& log, SnapshotStore& snapshots, Transport& transport,
          LeadsIn leads_in);
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  // Sends it, completed. Not at all while another answer for `to` is being read, or when this member leads no more:
  // the peer asks again. The log is as the quorum sees it.
  void send(NodeId to, FetchResponse answer);
  void send(NodeId to, FetchSnapshotResponse answer);
  reactor::Task<void> stop();

 private:
  void send_read(NodeId to, FetchResponse answer, const reactor::Result<storage::ReadResult>& read);
  reactor::Task<void> read_batches(NodeId to, FetchResponse answer, storage::ReadRequest request);
  reactor::Task<void> read_piece(NodeId to, FetchSnapshotResponse answer);

  storage::Partition& log_;
  SnapshotStore& snapshots_;
  Transport& transport_;
  const LeadsIn leads_in_;
  std::set<NodeId> reading_;
  bool stopping_ = false;
  reactor::TaskScope scope_;
};

}  // namespace posthaste::replication::quorum
