// One round of reading for a Fetch: collects what the owners of its partitions have, as much as fits into a budget, and
// gives back the memory that they have leased for it. It decides neither the budget nor which request waits for another
// round, and makes no answers.
//
// Order of filling: all cores at the same time, each with an equal share of what the answer may hold; then, one after
// the other, those that had more. Each round begins with another core and another partition, so that no partition is
// starved by those before it (KIP-74). The first batch of the answer is returned whole, whatever its size.
#pragma once
#include "broker/handlers/common.h"
#include "net/kafka/fetch.h"
#include "reactor/recycled.h"

namespace posthaste::broker {

// One partition asked for, and what was read of it.
struct FetchEntry {
  AskedTopic topic;
  const net::kafka::FetchRequest::Topic::Partition* asked = nullptr;
  FetchSession::Entry* remembered = nullptr;  // the session's entry, if there is a session
  Located where;
  bool codec_is_unknown = false;  // to the client
  ErrorCode error = ErrorCode::kNone;
  int64_t high_watermark = -1;
  int64_t log_start = -1;
  storage::EpochEnd diverging;
  bool diverges = false;
  storage::ReadResult read;
  reactor::RecycledVector<net::kafka::Bytes> pieces;

  void forget() {
    error = where.error;
    diverges = false;
    read = {};
    pieces.clear();
  }
};

// Leases belong to the core that gave them and go back there. So does the memory that lists them, one vector for each
// partition: that core's lists of recycled blocks would miss it otherwise.
struct FetchLeases {
  reactor::CoreId owner = 0;
  reactor::RecycledVector<reactor::RecycledVector<storage::LeasedBytes>> pieces;
};

// On the request's core, `from`: returns when the owner has them back.
reactor::Task<void> give_leases_back(reactor::Core& from, FetchLeases leases);

// How much one round of reading may still take.
struct FetchBudget {
  uint64_t bytes_left = 0;
  bool first = true;         // nothing was read yet: the next batch is taken whole
  bool left_behind = false;  // a partition had records, and none were read
};

// What is to be read, by the core that owns it.
using FetchEntriesByCore = reactor::RecycledVector<reactor::RecycledVector<FetchEntry*>>;

struct FetchRound {
  uint64_t bytes = 0;
  bool has_error = false;  // or another reason to answer at once
};

// Runs on the request's core. `entries` holds all that `by_core` refers to. Which core comes first, and which of its
// partitions, follows from `turn`. Reads no entry that has an error; sets `error` of an entry that cannot be read.
// Waits for the memory and the disks that reads need, never for new records.
reactor::Task<FetchRound> read_round(BrokerCore& core, reactor::RecycledDeque<FetchEntry>& entries,
                                     const FetchEntriesByCore& by_core, uint64_t turn, FetchBudget budget);

}  // namespace posthaste::broker
