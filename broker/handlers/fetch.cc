// Fetch: reads partitions at the cores that own them and, if that is too little, waits for more. Records are not
// copied: the answer holds leases on the memory where the owners have them, until it is sent.
//
// Order of filling: all cores side by side, each with an equal share of what the answer may hold; then, one after the
// other, those that had more. They and the partitions of each begin elsewhere every time, so that no partition is
// starved by those before it (KIP-74). The first batch of the answer comes whole whatever its size.
//
// Who waits, for records or for memory that other readers hold, has given the frame back and keeps what it needs out of
// a budget of its own (wait_memory.h). Who does not fit in there does not wait: it is answered at once with what there
// is.
#include <algorithm>

#include "broker/error_codes.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/kept_names.h"
#include "broker/handlers/named_partitions.h"
#include "broker/handlers/on_owners.h"
#include "broker/planted_bugs.h"
#include "net/kafka/fetch.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::FetchRequest;
using net::kafka::FetchResponse;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Instant;
using reactor::RecycledDeque;
using reactor::RecycledVector;
using reactor::Result;
using reactor::Task;
using replication::Replica;

// One partition asked for, and what was read of it.
struct Entry {
  AskedTopic topic;
  const FetchRequest::Topic::Partition* asked = nullptr;
  FetchSession::Entry* remembered = nullptr;  // by the session, if there is one
  Located where;
  bool codec_is_unknown = false;  // to who asks
  ErrorCode error = ErrorCode::kNone;
  int64_t high_watermark = -1;
  int64_t log_start = -1;
  storage::EpochEnd diverging;
  bool diverges = false;
  storage::ReadResult read;
  RecycledVector<net::kafka::Bytes> pieces;

  void forget() {
    error = where.error;
    diverges = false;
    read = {};
    pieces.clear();
  }
};

// Leases belong to the core that gave them and go back there, and so does the memory that lists them, one vector for
// each partition, which that core's lists of recycled blocks miss otherwise.
struct Leases {
  CoreId owner = 0;
  RecycledVector<RecycledVector<storage::LeasedBytes>> pieces;
};

Task<void> give_back(Core& from, Leases leases) {
  auto drop = [&leases](Core&) { leases.pieces.clear(); };
  co_await reactor::on_core(from, leases.owner, std::move(drop), reactor::MessageClass::kPush);
}

class FetchHold final : public net::ResponseHold {
 public:
  FetchHold(BrokerCore& core, uint64_t units) : core_(core), units_(units) {}
  ~FetchHold() override {
    for (Leases& leases : leases_) {
      if (leases.owner != core_.core().id() && !core_.core().abandoned()) {
        core_.scope().spawn_job(give_back(core_.core(), std::move(leases)));
      }
    }
    core_.fetch_memory().release(units_);
  }
  void take(CoreId owner, RecycledVector<storage::LeasedBytes> pieces) {
    auto found = std::ranges::find(leases_, owner, &Leases::owner);
    if (found == leases_.end()) found = leases_.insert(leases_.end(), Leases{.owner = owner, .pieces = {}});
    found->pieces.push_back(std::move(pieces));
  }
  // Keeps only what the answer takes of what was reserved.
  void shrink(uint64_t units) {
    if (units >= units_) return;
    core_.fetch_memory().release(units_ - units);
    units_ = units;
  }

 private:
  BrokerCore& core_;
  uint64_t units_;
  RecycledVector<Leases> leases_;
};

// What one round of reading may still take.
struct Budget {
  uint64_t bytes_left = 0;
  bool first = true;         // nothing was read yet: the next batch comes whole
  bool left_behind = false;  // a partition had records, and none were read
};
constexpr Budget kReadNothing = {.bytes_left = 0, .first = false};

Task<void> read_entry(BrokerCore& core, Replica& replica, Entry& entry, Budget& budget) {
  storage::Partition& partition = replica.log();
  // At every read: the role may have ended while this reader waited, and its view of the cluster is as old as that.
  if (const Result<void> leads = replica.check_leads(entry.where.leader_epoch); !leads) {
    entry.error = error_of_other_term(leads.error(), entry.where);
    entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  entry.high_watermark = replica.high_watermark();
  entry.log_start = partition.log_start_offset();
  const int64_t offset = entry.asked->fetch_offset;
  if (entry.asked->last_fetched_epoch >= 0) {
    // The log parted from what the reader has: it is told where (KIP-595).
    const storage::EpochEnd end = partition.end_offset_for_epoch(entry.asked->last_fetched_epoch);
    if (end.end_offset < 0) {
      entry.error = ErrorCode::kOffsetOutOfRange;
      entry.high_watermark = entry.log_start = -1;
      co_return;
    }
    if (end.epoch != entry.asked->last_fetched_epoch || end.end_offset < offset) {
      entry.diverges = true;
      entry.diverging = end;
      co_return;
    }
  }
  if (offset < entry.log_start || offset > partition.end_offset()) {
    entry.error = ErrorCode::kOffsetOutOfRange;
    entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  if (entry.codec_is_unknown) {
    entry.error = ErrorCode::kUnsupportedCompressionType;
    entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  const auto asked_bytes = static_cast<uint64_t>(std::max(entry.asked->partition_max_bytes, 0));
  const uint64_t bytes = std::min(asked_bytes, budget.bytes_left);
  if (offset >= entry.high_watermark) co_return;
  if (bytes == 0 && !budget.first) {
    budget.left_behind = true;
    co_return;
  }
  const storage::ReadRequest read{.offset = offset,
                                  .max_bytes = static_cast<uint32_t>(std::min<uint64_t>(bytes, UINT32_MAX)),
                                  .limit_offset = entry.high_watermark,
                                  .first_batch_whole = budget.first};
  std::optional<Result<storage::ReadResult>> result = partition.try_read(read);
  if (!result) result = co_await partition.read(read);
  if (!*result && result->error() == Errc::kNoMemory) {
    core.tell_if_readers_hold_room();
    co_return;  // nothing now; the reader asks again
  }
  if (!*result) {
    entry.error = error_code_of(result->error());
    if (entry.error == ErrorCode::kOffsetOutOfRange) entry.high_watermark = entry.log_start = -1;
    co_return;
  }
  entry.read = std::move(**result);
  entry.read.size_bytes > 0 ? budget.first = false : budget.left_behind = true;
  budget.bytes_left -= std::min<uint64_t>(budget.bytes_left, entry.read.size_bytes);
}

// Runs on the owner core.
Task<void> read_on_owner(BrokerCore& there, const RecycledVector<Entry*>& entries, size_t begin, Budget& budget) {
  for (size_t i = 0; i < entries.size(); ++i) {
    Entry& entry = *entries[(begin + i) % entries.size()];
    if (entry.read.size_bytes > 0 || entry.error != ErrorCode::kNone) continue;  // by an earlier pass
    storage::Partition* partition = there.engine().find(entry.where.topic->id.bytes, entry.where.index);
    if (partition == nullptr) {
      entry.error = error_of_missing(there, *entry.where.topic);
      entry.high_watermark = entry.log_start = -1;
      continue;
    }
    const storage::Partition::Use use(*partition);
    co_await read_entry(there, Replica::of(*partition), entry, budget);
  }
}

bool is_unknown(ErrorCode error) {
  return error == ErrorCode::kUnknownTopicOrPartition || error == ErrorCode::kUnknownTopicId;
}

Entry locate_entry(const ClusterView& view, const AskedTopic& topic, const FetchRequest::Topic::Partition& asked) {
  Entry entry;
  entry.topic = topic;
  entry.asked = &asked;
  // Any negative epoch means none here, unlike in the requests that ask for offsets.
  entry.where = locate(view, topic, asked.partition, std::max(asked.current_leader_epoch, -1));
  entry.error = entry.where.error;
  return entry;
}

// What is to be read: all that the session holds, or what the request names. The entries refer to one of them.
RecycledDeque<Entry> locate_entries(const ClusterView& view, const FetchRequest& body, const FetchContext& fetch,
                                    bool by_id) {
  if (fetch.session) {
    RecycledDeque<Entry> entries;
    for (auto& [key, entry] : fetch.session->entries()) {
      const AskedTopic topic{.name = key.topic, .id = key.topic_id, .by_id = by_id};
      entries.push_back(locate_entry(view, topic, entry.wish));
      entries.back().remembered = &entry;
    }
    return entries;
  }
  // Of a partition that is named twice the last wish counts.
  NamedPartitions<Entry> named;
  for (const FetchRequest::Topic& asked : body.topics) {
    const AskedTopic topic{.name = asked.topic, .id = asked.topic_id, .by_id = by_id};
    for (const auto& partition : asked.partitions) {
      named.name(topic, partition.partition).value = locate_entry(view, topic, partition);
    }
  }
  return std::move(named.values());
}

// No partition has a replica besides this broker's.
void refuse_replicas(const FetchRequest& body, RecycledDeque<Entry>& entries) {
  // From version 15 on the replica stands elsewhere.
  if (std::max(body.replica_id, body.replica_state.replica_id) < 0) return;
  for (Entry& entry : entries) {
    if (entry.error != ErrorCode::kNone) continue;
    entry.error = entry.where.error =
        entry.asked->current_leader_epoch >= 0 ? ErrorCode::kUnknownLeaderEpoch : ErrorCode::kNotLeaderOrFollower;
  }
}

// An isolation level that does not exist matters where something would be read. Returns the error of the whole answer;
// versions that have none say it of every partition.
ErrorCode check_isolation_level(const FetchRequest& body, int16_t version, RecycledDeque<Entry>& entries) {
  const bool reads = std::ranges::any_of(entries, [](const Entry& entry) { return !is_unknown(entry.where.error); });
  if (!reads || knows_isolation_level(body.isolation_level)) return ErrorCode::kNone;
  constexpr int16_t kFirstWithTopLevelError = 7;
  if (version >= kFirstWithTopLevelError) return ErrorCode::kInvalidRequest;
  for (Entry& entry : entries) entry.error = entry.where.error = ErrorCode::kInvalidRequest;
  return ErrorCode::kNone;
}

// A reader of these versions may not know zstd: what could be read of a topic that is configured for it is refused
// (KIP-110).
void mark_zstd_topics(const ClusterView& view, int16_t version, RecycledDeque<Entry>& entries) {
  constexpr int16_t kFirstWithZstd = 10;
  if (version >= kFirstWithZstd) return;
  for (Entry& entry : entries) {
    if (entry.where.topic == nullptr) continue;
    const TopicSettings settings(entry.where.topic->configs, *view.topic_defaults);
    entry.codec_is_unknown = settings.get<"compression.type">() == "zstd";
  }
}

using EntriesByCore = RecycledVector<RecycledVector<Entry*>>;

EntriesByCore entries_by_core(BrokerCore& core, RecycledDeque<Entry>& entries) {
  EntriesByCore by_core(core.core().core_count());
  for (Entry& entry : entries) {
    if (entry.error == ErrorCode::kNone) by_core[entry.where.owner].push_back(&entry);
  }
  return by_core;
}

struct Round {
  uint64_t bytes = 0;
  bool has_error = false;  // or another reason to answer at once
};

// Which core comes first in this round and, in the part above that, which of its partitions: of a session each in turn.
// Without a session nobody knows whose turn it was last, so it is drawn: readers that take turns on one counter could
// leave each other always the same part of it.
uint64_t next_turn(BrokerCore& core, FetchSession* session) {
  return session != nullptr ? session->next_turn() : core.core().random();
}

// What one owner reads in a round.
struct OwnersPart {
  CoreId owner = 0;
  const RecycledVector<Entry*>* entries = nullptr;
  size_t begin = 0;
  Budget budget;
};

struct ReadPart {
  BrokerCore* home;
  OwnersPart* part;
  Task<void> operator()(Core& there) const {
    return read_on_owner(home->there(there), *part->entries, part->begin, part->budget);
  }
};

// Every owner reads at the same time what fits into an equal share of the budget, and says whether it left a partition
// behind for lack of it. Takes what was read from the budget.
Task<void> read_side_by_side(BrokerCore& core, RecycledVector<OwnersPart>& parts, Budget& budget) {
  const Budget share{.bytes_left = budget.bytes_left / parts.size(), .first = false};
  for (OwnersPart& part : parts) part.budget = share;
  co_await on_owners(core, parts, [&](OwnersPart& part) { return ReadPart{&core, &part}; });
  for (const OwnersPart& part : parts) {
    const uint64_t read = share.bytes_left - part.budget.bytes_left;
    budget.bytes_left -= read;
    if (read > 0) budget.first = false;
  }
}

// In two passes where several cores own something: side by side, so that one that waits for a disk holds up nobody,
// then one after the other those that left something behind, with what is left of the budget.
Task<Round> read_round(BrokerCore& core, RecycledDeque<Entry>& entries, const EntriesByCore& by_core, uint64_t turn,
                       Budget budget) {
  for (Entry& entry : entries) entry.forget();
  const uint64_t begin = reactor::planted(kBugs["later-partitions-starve"]) ? turn : turn / by_core.size();
  RecycledVector<OwnersPart> parts;
  for (size_t i = 0; i < by_core.size(); ++i) {
    const size_t owner = (turn + i) % by_core.size();
    if (!by_core[owner].empty()) parts.push_back({static_cast<CoreId>(owner), &by_core[owner], begin});
  }
  const bool is_shared = parts.size() > 1;
  if (is_shared) co_await read_side_by_side(core, parts, budget);
  for (OwnersPart& part : parts) {
    if (is_shared && !part.budget.left_behind) continue;
    part.budget = budget;
    co_await reactor::on_core(core.core(), part.owner, ReadPart{&core, &part});
    budget = part.budget;
  }
  Round round;
  for (const Entry& entry : entries) {
    round.bytes += entry.read.size_bytes;
    round.has_error = round.has_error || entry.error != ErrorCode::kNone || entry.diverges;
  }
  co_return round;
}

// Hands what a round has leased back before waiting for more: a reader that waits pins nothing.
void drop_round(BrokerCore& core, RecycledDeque<Entry>& entries, CoreId home) {
  for (Entry& entry : entries) {
    if (entry.read.pieces.empty()) continue;
    Leases leases{.owner = entry.where.owner};
    leases.pieces.push_back(std::move(entry.read.pieces));
    entry.read = {};
    if (leases.owner != home) core.scope().spawn_job(give_back(core.core(), std::move(leases)));
  }
}

// Who else is to be asked (KIP-951).
FetchResponse::Topic::Partition::LeaderIdAndEpoch leader_of(const Entry& entry, int16_t version) {
  constexpr int16_t kFirstWithLeader = 16;
  const bool moved = entry.error == ErrorCode::kNotLeaderOrFollower || entry.error == ErrorCode::kFencedLeaderEpoch;
  if (!moved || version < kFirstWithLeader) return {};
  const PartitionImage& partition = entry.where.topic->partitions[static_cast<size_t>(entry.where.index)];
  return {.leader_id = partition.leader, .leader_epoch = partition.leader_epoch};
}

FetchResponse::Topic::Partition to_wire(const FetchRequest& body, int16_t version, Entry& entry) {
  FetchResponse::Topic::Partition answer;
  answer.partition_index = entry.asked->partition;
  answer.error_code = entry.error;
  answer.high_watermark = entry.high_watermark;
  answer.last_stable_offset = entry.high_watermark;
  answer.log_start_offset = entry.log_start;
  answer.current_leader = leader_of(entry, version);
  // None were aborted: said where records could be read and who reads asked, and where there is no such partition.
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

// Entries of one topic stand side by side.
FetchResponse to_wire(const FetchRequest& body, int16_t version, const FetchContext& fetch,
                      RecycledDeque<Entry>& entries) {
  FetchResponse response;
  if (fetch.session) response.session_id = fetch.session->id();
  for (Entry& entry : entries) {
    FetchResponse::Topic::Partition answer = to_wire(body, version, entry);
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

// What one answer may take of the memory for answers: at most half of what is free, so that readers who do not take
// theirs leave ever less to each other but never nothing to the rest.
uint64_t share_of_memory(BrokerCore& core, uint64_t asked) {
  constexpr uint64_t kBytesMin = uint64_t{64} << 10;
  const uint64_t share = std::max(core.fetch_memory().available() / 2, kBytesMin);
  return std::min({asked, share, core.fetch_memory().total()});
}

// What to wait for: more than was seen, in any of them. All could be read.
FetchWaits::WatchedList watched(const RecycledDeque<Entry>& entries) {
  FetchWaits::WatchedList list;
  list.reserve(entries.size());
  for (const Entry& entry : entries) {
    list.push_back({.owner = entry.where.owner,
                    .topic = entry.where.topic->id.bytes,
                    .partition = entry.where.index,
                    .seen = entry.high_watermark});
  }
  return list;
}

// What a request keeps while it waits, and may wait at all.
struct Kept {
  explicit Kept(size_t name_bytes) : names(name_bytes) {}
  WaitMemory::Share memory;
  KeptNames names;
  bool may_wait = false;
};

// A few partitions are no more than what counts for every busy connection (app/memory_plan.h).
constexpr size_t kPartitionsOfAnyConnection = 8;
// Of one partition: what was asked, where it is, and what listens for more of it at its owner.
constexpr size_t kWaitingPartitionBytes =
    sizeof(Entry) + sizeof(FetchRequest::Topic::Partition) + 3 * sizeof(FetchWaits::Watched) + 128;

size_t name_bytes(const FetchRequest& body) {
  size_t bytes = 0;
  for (const FetchRequest::Topic& topic : body.topics) bytes += topic.topic.size();
  return bytes;
}

// Gives the frame back if what is needed of it fits into the memory of those who wait. Tiny ones lie in their
// connection.
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
  RecycledDeque<Entry> entries = locate_entries(*view, *body, fetch, by_id);
  refuse_replicas(*body, entries);
  const ErrorCode refusal = check_isolation_level(*body, request.header.version, entries);
  if (refusal != ErrorCode::kNone) co_return respond(request, refused(refusal));
  mark_zstd_topics(*view, request.header.version, entries);
  const EntriesByCore by_core = entries_by_core(core, entries);
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
    const Round round = co_await read_round(core, entries, by_core, next_turn(core, fetch.session.get()),
                                            reads ? Budget{.bytes_left = max_bytes} : kReadNothing);
    // More than an answer may hold would never come together.
    const uint64_t min_bytes =
        std::min(static_cast<uint64_t>(std::max(body->min_bytes, 0)), std::max<uint64_t>(max_bytes, 1));
    const bool waits = kept.may_wait && round.bytes < min_bytes && !round.has_error && !entries.empty() &&
                       !context.closing() && core.core().now() < deadline;
    if (!waits) {
      hold->shrink(round.bytes);
      Response answer = respond(request, to_wire(*body, request.header.version, fetch, entries));
      if (reactor::planted(kBugs["lease-freed-early"])) drop_round(core, entries, core.core().id());
      for (Entry& entry : entries) {
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
