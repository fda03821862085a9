// Fetch: has partitions read at the cores that own them (fetch_read.h) and, if that is too little, waits for more.
// Records are not copied: the answer holds leases on the memory where the owners have them, until it is sent.
//
// A request that waits, for records or for memory that other readers hold, has given the frame back and keeps what it
// needs in a budget of its own (wait_memory.h). A request that does not fit there does not wait: it is answered at once
// with what there is.
#include <algorithm>

#include "broker/handlers/common.h"
#include "broker/handlers/fetch_read.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/kept_names.h"
#include "broker/handlers/named_partitions.h"
#include "broker/partitions/known_brokers.h"
#include "broker/planted_bugs.h"
#include "net/kafka/fetch.h"

namespace posthaste::broker {
namespace {

using config::TopicSettings;
using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::FetchRequest;
using net::kafka::FetchResponse;
using reactor::CoreId;
using reactor::Instant;
using reactor::RecycledDeque;
using reactor::RecycledVector;

class FetchHold final : public net::ResponseHold {
 public:
  FetchHold(BrokerCore& core, uint64_t units) : core_(core), units_(units) {}
  ~FetchHold() override {
    for (FetchLeases& leases : leases_) {
      if (leases.owner != core_.core().id() && !core_.core().abandoned()) {
        core_.scope().spawn_job(give_leases_back(core_.core(), std::move(leases)));
      }
    }
    core_.fetch_memory().release(units_);
  }
  void take(CoreId owner, RecycledVector<storage::LeasedBytes> pieces) {
    auto found = std::ranges::find(leases_, owner, &FetchLeases::owner);
    if (found == leases_.end()) found = leases_.insert(leases_.end(), FetchLeases{.owner = owner, .pieces = {}});
    found->pieces.push_back(std::move(pieces));
  }
  // Keeps only the part of the reservation that the answer takes.
  void shrink(uint64_t units) {
    if (units >= units_) return;
    core_.fetch_memory().release(units_ - units);
    units_ = units;
  }

 private:
  BrokerCore& core_;
  uint64_t units_;
  RecycledVector<FetchLeases> leases_;
};

constexpr FetchBudget kReadNothing = {.bytes_left = 0, .first = false};

bool is_unknown(ErrorCode error) {
  return error == ErrorCode::kUnknownTopicOrPartition || error == ErrorCode::kUnknownTopicId;
}

FetchEntry locate_entry(const ClusterView& view, const AskedTopic& topic, const FetchRequest::Topic::Partition& asked) {
  FetchEntry entry;
  entry.topic = topic;
  entry.asked = &asked;
  // Any negative epoch means none here, unlike in the requests that ask for offsets.
  entry.where = locate(view, topic, asked.partition, std::max(asked.current_leader_epoch, -1));
  entry.error = entry.where.error;
  return entry;
}

// What is to be read: all that the session holds, or what the request names. The entries refer to one of them.
RecycledDeque<FetchEntry> locate_entries(const ClusterView& view, const FetchRequest& body, const FetchContext& fetch,
                                         bool by_id) {
  if (fetch.session) {
    RecycledDeque<FetchEntry> entries;
    for (auto& [key, entry] : fetch.session->entries()) {
      const AskedTopic topic{.name = key.topic, .id = key.topic_id, .by_id = by_id};
      entries.push_back(locate_entry(view, topic, entry.wish));
      entries.back().remembered = &entry;
    }
    return entries;
  }
  // When a partition is named twice, the last one counts.
  NamedPartitions<FetchEntry> named;
  for (const FetchRequest::Topic& asked : body.topics) {
    const AskedTopic topic{.name = asked.topic, .id = asked.topic_id, .by_id = by_id};
    for (const auto& partition : asked.partitions) {
      named.name(topic, partition.partition).value = locate_entry(view, topic, partition);
    }
  }
  return std::move(named.values());
}

// No partition has another replica than this broker's.
void refuse_replicas(const FetchRequest& body, RecycledDeque<FetchEntry>& entries) {
  // From version 15 on the replica id is in another field.
  if (std::max(body.replica_id, body.replica_state.replica_id) < 0) return;
  for (FetchEntry& entry : entries) {
    if (entry.error != ErrorCode::kNone) continue;
    entry.error = entry.where.error =
        entry.asked->current_leader_epoch >= 0 ? ErrorCode::kUnknownLeaderEpoch : ErrorCode::kNotLeaderOrFollower;
  }
}

// An isolation level that does not exist matters where something would be read. Returns the error of the whole answer;
// versions that have none say it of every partition.
ErrorCode check_isolation_level(const FetchRequest& body, int16_t version, RecycledDeque<FetchEntry>& entries) {
  const bool reads =
      std::ranges::any_of(entries, [](const FetchEntry& entry) { return !is_unknown(entry.where.error); });
  if (!reads || knows_isolation_level(body.isolation_level)) return ErrorCode::kNone;
  constexpr int16_t kFirstWithTopLevelError = 7;
  if (version >= kFirstWithTopLevelError) return ErrorCode::kInvalidRequest;
  for (FetchEntry& entry : entries) entry.error = entry.where.error = ErrorCode::kInvalidRequest;
  return ErrorCode::kNone;
}

// A reader of these versions may not know zstd: what could be read of a topic that is configured for it is refused
// (KIP-110).
void mark_zstd_topics(const ClusterView& view, int16_t version, RecycledDeque<FetchEntry>& entries) {
  constexpr int16_t kFirstWithZstd = 10;
  if (version >= kFirstWithZstd) return;
  for (FetchEntry& entry : entries) {
    if (entry.where.topic == nullptr) continue;
    const TopicSettings settings(entry.where.topic->configs(), *view.topic_defaults);
    entry.codec_is_unknown = settings.get<"compression.type">() == "zstd";
  }
}

FetchEntriesByCore entries_by_core(BrokerCore& core, RecycledDeque<FetchEntry>& entries) {
  FetchEntriesByCore by_core(core.core().core_count());
  for (FetchEntry& entry : entries) {
    if (entry.error == ErrorCode::kNone) by_core[entry.where.owner].push_back(&entry);
  }
  return by_core;
}

// Which core comes first in this round and, in the higher bits, which of its partitions. In a session they take turns.
// Without a session nothing remembers the last turn, so it is random: readers that share one counter could always get
// the same part of it.
uint64_t next_turn(BrokerCore& core, FetchSession* session) {
  return session != nullptr ? session->next_turn() : core.core().random();
}

// Gives back what a round has leased before waiting for more: a reader that waits holds no lease.
void drop_round(BrokerCore& core, RecycledDeque<FetchEntry>& entries, CoreId home) {
  for (FetchEntry& entry : entries) {
    if (entry.read.pieces.empty()) continue;
    FetchLeases leases{.owner = entry.where.owner};
    leases.pieces.push_back(std::move(entry.read.pieces));
    entry.read = {};
    if (leases.owner != home) core.scope().spawn_job(give_leases_back(core.core(), std::move(leases)));
  }
}

// What an answer is made of.
struct Asked {
  const FetchRequest& body;
  int16_t version;
  const ClusterView& view;  // the newest
  const ConnectionContext& client;
};

bool is_led_elsewhere(const FetchEntry& entry) {
  return entry.error == ErrorCode::kNotLeaderOrFollower || entry.error == ErrorCode::kFencedLeaderEpoch;
}

// KIP-951: the present leader and where it is, where the client has named a wrong one.
void add_leader(const Asked& asked, const FetchEntry& entry, FetchResponse& response,
                FetchResponse::Topic::Partition& answer) {
  constexpr int16_t kFirstWithLeader = 16;
  if (asked.version < kFirstWithLeader || !is_led_elsewhere(entry)) return;
  const LeaderHint hint = leader_hint(asked.view, entry.where.topic->id, entry.where.index);
  answer.current_leader = {.leader_id = hint.leader, .leader_epoch = hint.leader_epoch};
  add_endpoint(asked.view, hint.leader, asked.client, response.node_endpoints);
}

FetchResponse::Topic::Partition to_wire(const FetchRequest& body, FetchEntry& entry) {
  FetchResponse::Topic::Partition answer;
  answer.partition_index = entry.asked->partition;
  answer.error_code = entry.error;
  answer.high_watermark = entry.high_watermark;
  answer.last_stable_offset = entry.high_watermark;
  answer.log_start_offset = entry.log_start;
  // None were aborted: stated where records could be read at the isolation level that was asked for, and where there is
  // no such partition.
  constexpr int8_t kReadCommitted = 1;
  const bool is_read = entry.error == ErrorCode::kNone && !entry.diverges;
  if ((is_read && body.isolation_level == kReadCommitted) || is_unknown(entry.error)) {
    answer.aborted_transactions.emplace();
  }
  if (entry.diverges) answer.diverging_epoch = {entry.diverging.epoch, entry.diverging.end_offset};
  for (const storage::LeasedBytes& piece : entry.read.pieces) entry.pieces.push_back(piece.bytes);
  answer.records.pieces = entry.pieces;
  return answer;
}

// Entries of one topic follow each other.
FetchResponse to_wire(const Asked& asked, const FetchContext& fetch, RecycledDeque<FetchEntry>& entries) {
  FetchResponse response;
  if (fetch.session) response.session_id = fetch.session->id();
  for (FetchEntry& entry : entries) {
    FetchResponse::Topic::Partition answer = to_wire(asked.body, entry);
    add_leader(asked, entry, response, answer);
    const bool news = entry.remembered == nullptr || entry.remembered->must_send(answer);
    if (fetch.incremental && !news) continue;
    if (response.responses.empty() || response.responses.back().topic != entry.topic.name ||
        response.responses.back().topic_id != entry.topic.id) {
      response.responses.push_back({.topic = entry.topic.name, .topic_id = entry.topic.id});
    }
    response.responses.back().partitions.push_back(std::move(answer));
  }
  return response;
}

// What one answer may take of the memory for answers: at most half of what is free, so that readers that do not take
// their answers get less and less, and the others never get nothing.
uint64_t share_of_memory(BrokerCore& core, uint64_t asked) {
  constexpr uint64_t kBytesMin = uint64_t{64} << 10;
  const uint64_t share = std::max(core.fetch_memory().available() / 2, kBytesMin);
  return std::min({asked, share, core.fetch_memory().total()});
}

// What to wait for: more than was seen, in any of the entries. All of them could be read.
FetchWaits::WatchedList watched(const RecycledDeque<FetchEntry>& entries) {
  FetchWaits::WatchedList list;
  list.reserve(entries.size());
  for (const FetchEntry& entry : entries) {
    list.push_back({.owner = entry.where.owner,
                    .topic = entry.where.topic->id.bytes,
                    .partition = entry.where.index,
                    .seen = entry.high_watermark});
  }
  return list;
}

// What a request keeps while it waits, and whether it may wait.
struct Kept {
  explicit Kept(size_t name_bytes) : names(name_bytes) {}
  WaitMemory::Share memory;
  KeptNames names;
  bool may_wait = false;
};

// A few partitions are no more than what counts for every busy connection (app/memory_plan.h).
constexpr size_t kPartitionsOfAnyConnection = 8;
// Of one partition: what was asked, where it is, and the listener for more of it at its owner.
constexpr size_t kWaitingPartitionBytes =
    sizeof(FetchEntry) + sizeof(FetchRequest::Topic::Partition) + 3 * sizeof(FetchWaits::Watched) + 128;

size_t name_bytes(const FetchRequest& body) {
  size_t bytes = 0;
  for (const FetchRequest::Topic& topic : body.topics) bytes += topic.topic.size();
  return bytes;
}

// Gives the frame back if what is needed of it fits into the memory for waiting requests. Tiny frames are stored in
// their connection.
void give_frame_back(BrokerCore& core, Request& request, const FetchContext& fetch, FetchRequest& body, Kept& kept) {
  const size_t partitions = fetch.session ? fetch.session->entries().size() : partitions_of(body) + body.topics.size();
  const bool is_small = partitions <= kPartitionsOfAnyConnection;
  if (!is_small) {
    kept.memory = core.wait_memory().try_take(partitions * kWaitingPartitionBytes + name_bytes(body));
    if (!kept.memory) return;
  }
  kept.may_wait = true;
  if (request.memory.is_inline()) return;
  if (fetch.session) {
    body.topics = {};  // the session has them
  } else {
    for (FetchRequest::Topic& topic : body.topics) topic.topic = kept.names.keep(topic.topic);
  }
  request.release();
}

FetchResponse refused(ErrorCode error) {
  FetchResponse response;
  response.error_code = error;
  return response;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kFetch>, BrokerCore& core, ConnectionContext& context, Request& request) {
  auto body = decode_body<FetchRequest>(request);
  if (!body) co_return body_corrupt();
  const bool by_id = is_by_topic_id(request);
  // The next Fetch of this connection begins when this one is answered: until then the session's entries stay.
  const FetchContext fetch = core.fetch_sessions().begin(context, *body, by_id);
  if (fetch.error != ErrorCode::kNone) co_return respond(request, refused(fetch.error));
  Kept kept(fetch.session || request.memory.is_inline() ? 0 : name_bytes(*body));
  give_frame_back(core, request, fetch, *body, kept);
  const ViewUse view = core.use_view();
  RecycledDeque<FetchEntry> entries = locate_entries(*view, *body, fetch, by_id);
  refuse_replicas(*body, entries);
  const ErrorCode refusal = check_isolation_level(*body, request.header.version, entries);
  if (refusal != ErrorCode::kNone) co_return respond(request, refused(refusal));
  mark_zstd_topics(*view, request.header.version, entries);
  const FetchEntriesByCore by_core = entries_by_core(core, entries);
  const Instant deadline = request.received + std::chrono::milliseconds(std::max(body->max_wait_ms, 0));
  const uint64_t asked_bytes = std::min({static_cast<uint64_t>(std::max(body->max_bytes, 0)),
                                         uint64_t{core.options().fetch_max_bytes}, core.fetch_memory().total() / 4});
  for (;;) {
    uint64_t max_bytes = share_of_memory(core, asked_bytes);
    if (kept.may_wait) {
      co_await core.fetch_memory().acquire(max_bytes);
    } else if (!core.fetch_memory().try_acquire(max_bytes)) {
      max_bytes = 0;
    }
    const bool reads = max_bytes > 0 || asked_bytes == 0;
    auto hold = std::make_unique<FetchHold>(core, max_bytes);
    const FetchRound round = co_await read_round(core, entries, by_core, next_turn(core, fetch.session.get()),
                                                 reads ? FetchBudget{.bytes_left = max_bytes} : kReadNothing);
    // More than an answer may hold would never be reached.
    const uint64_t min_bytes =
        std::min(static_cast<uint64_t>(std::max(body->min_bytes, 0)), std::max<uint64_t>(max_bytes, 1));
    const bool waits = kept.may_wait && round.bytes < min_bytes && !round.has_error && !entries.empty() &&
                       !context.closing() && core.core().now() < deadline;
    if (!waits) {
      hold->shrink(round.bytes);
      Response answer =
          respond(request, to_wire({*body, request.header.version, *core.view(), context}, fetch, entries));
      if (reactor::planted(kBugs["lease-freed-early"])) drop_round(core, entries, core.core().id());
      for (FetchEntry& entry : entries) {
        if (!entry.read.pieces.empty()) hold->take(entry.where.owner, std::move(entry.read.pieces));
      }
      answer.hold = std::move(hold);
      co_return answer;
    }
    drop_round(core, entries, core.core().id());
    hold.reset();
    co_await core.fetch_waits().wait(context, watched(entries), min_bytes - round.bytes, deadline);
  }
}

}  // namespace posthaste::broker
