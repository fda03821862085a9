// Produce: every partition's batch goes to the core that owns it, one mail per core, sent before the handler waits
// for anything; the answer leaves when all of them are durable (or appended, or refused). During that wait the request
// holds neither mail nor its frame (produce_append.h). Batches stay opaque here: the append checks them.
#include <algorithm>

#include "broker/error_codes.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handler.h"
#include "broker/handlers/kept_names.h"
#include "broker/handlers/named_partitions.h"
#include "broker/handlers/on_owners.h"
#include "broker/handlers/produce_append.h"
#include "broker/partitions/known_brokers.h"
#include "broker/planted_bugs.h"

namespace posthaste::broker {
namespace {

using config::ConfigMap;
using config::list_holds;
using config::TopicSettings;
using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::ProduceRequest;
using net::kafka::ProduceResponse;
using reactor::Core;
using reactor::CoreId;
using reactor::Instant;
using reactor::RecycledVector;
using reactor::Task;
using replication::TopicImage;

constexpr int16_t kAcksNone = 0;
constexpr int16_t kAcksLeader = 1;
constexpr int16_t kAcksAll = -1;

RecycledVector<ProduceEntry> locate_entries(const ClusterView& view, const ProduceRequest& body, bool by_id) {
  RecycledVector<ProduceEntry> entries;
  for (const ProduceRequest::Topic& topic : body.topic_data) {
    const AskedTopic asked{.name = topic.name, .id = topic.topic_id, .by_id = by_id};
    const TopicImage* image = asked.find(view);
    bool relaxed = false;
    bool compacts = false;
    if (image != nullptr) {
      const TopicSettings settings(image->configs(), *view.topic_defaults);
      relaxed = body.acks == kAcksLeader && settings.get<"flush.messages">() != 1;
      compacts = list_holds(settings.get<"cleanup.policy">(), "compact");
    }
    for (const auto& partition : topic.partition_data) {
      ProduceEntry& entry = entries.emplace_back();
      entry.asked = &partition;
      entry.asked_topic = asked;
      const Located found = locate(view, asked, partition.index, -1);
      entry.error = found.error;
      entry.topic = found.topic;
      entry.leader_epoch = found.leader_epoch;
      entry.owner = found.owner;
      entry.needs_keys = compacts;
      if (body.acks == kAcksLeader) entry.ack_when = AckWhen::kDurable;
      if (body.acks == kAcksNone || relaxed) entry.ack_when = AckWhen::kAppended;
      if (entry.error == ErrorCode::kNone && entry.topic->name == "__consumer_offsets") {
        entry.error = ErrorCode::kInvalidTopicException;  // as Kafka: only the coordinator writes there
      }
    }
  }
  return entries;
}

// A partition named twice is refused and nothing is stored for it: there is one answer for it, which could not say
// which of its batches are stored. (In Kafka the last one wins and the client cannot know.)
void refuse_duplicates(RecycledVector<ProduceEntry>& entries) {
  if (entries.size() < 2) return;  // most requests
  NamedPartitions<ProduceEntry*> named;
  for (ProduceEntry& entry : entries) {
    const auto [first, again] = named.name(entry.asked_topic, entry.asked->index);
    if (!again) {
      first = &entry;
      continue;
    }
    entry.repeats = true;
    if (first->error == ErrorCode::kNone) first->error = ErrorCode::kInvalidRequest;
    entry.error = first->error;
  }
}

void refuse_unknown_acks(int16_t acks, RecycledVector<ProduceEntry>& entries) {
  if (acks == kAcksNone || acks == kAcksLeader || acks == kAcksAll) return;
  for (ProduceEntry& entry : entries) {
    if (entry.error == ErrorCode::kNone) entry.error = ErrorCode::kInvalidRequiredAcks;
  }
}

// Before version 3 a request holds message sets of the older formats, which are refused whatever they contain.
void refuse_old_formats(RecycledVector<ProduceEntry>& entries) {
  for (ProduceEntry& entry : entries) {
    if (entry.error == ErrorCode::kNone) entry.error = ErrorCode::kUnsupportedForMessageFormat;
  }
}

// A request of version 3 or newer must hold for each partition one whole batch of format version 2 and nothing else.
// The log finds all other errors.
bool holds_one_batch(const net::kafka::Records& records) {
  if (records.is_null) return false;
  const auto batch = storage::RecordBatchView::parse(records.whole);
  if (!batch) return batch.error() == reactor::Errc::kCorrupt;
  return batch->size_bytes() == records.whole.size();
}

void refuse_no_batches(RecycledVector<ProduceEntry>& entries) {
  for (ProduceEntry& entry : entries) {
    const bool is_refused = entry.error == ErrorCode::kNone && !holds_one_batch(entry.asked->records);
    if (is_refused) entry.error = ErrorCode::kInvalidRecord;
  }
}

// A producer with an older version may have consumers that do not know zstd (KIP-110).
void refuse_newer_codecs(int16_t version, RecycledVector<ProduceEntry>& entries) {
  constexpr int16_t kFirstWithZstd = 7;
  if (version >= kFirstWithZstd) return;
  for (ProduceEntry& entry : entries) {
    const auto batch = storage::RecordBatchView::parse(entry.asked->records.whole);
    const bool is_refused = batch && batch->compression() == storage::Compression::kZstd;
    const bool is_first = entry.error == ErrorCode::kNone || entry.error == ErrorCode::kInvalidRecord;
    if (is_refused && is_first) entry.error = ErrorCode::kUnsupportedCompressionType;
  }
}

// Transactions have no coordinator yet; a transactional batch would never become visible or be cleaned up. Without a
// transactional id the whole request is refused, as in Kafka.
void refuse_transactional(const ProduceRequest& body, RecycledVector<ProduceEntry>& entries) {
  const auto is_transactional = [](const ProduceEntry& entry) {
    const auto batch = storage::RecordBatchView::parse(entry.asked->records.whole);
    return batch && batch->is_transactional();
  };
  if (!body.transactional_id && std::ranges::any_of(entries, is_transactional)) {
    for (ProduceEntry& entry : entries) entry.error = ErrorCode::kTransactionalIdAuthorizationFailed;
  }
  for (ProduceEntry& entry : entries) {
    if (entry.error == ErrorCode::kNone && is_transactional(entry)) entry.error = ErrorCode::kInvalidTxnState;
  }
}

RecycledVector<ProduceShare> shares_of(BrokerCore& core, RecycledVector<ProduceEntry>& entries,
                                       reactor::Event& progress) {
  RecycledVector<RecycledVector<ProduceEntry*>> by_core(core.core().core_count());
  for (ProduceEntry& entry : entries) {
    if (entry.error == ErrorCode::kNone) by_core[entry.owner].push_back(&entry);
  }
  RecycledVector<ProduceShare> shares;
  for (size_t owner = 0; owner < by_core.size(); ++owner) {
    if (!by_core[owner].empty()) shares.push_back({static_cast<CoreId>(owner), std::move(by_core[owner]), &progress});
  }
  return shares;
}

// The time by which the records must be durable. A client's time-out is meant for the wait for other replicas: Kafka
// does not count its own write, so a time-out of 0 succeeds there, and with acks=1 clients may send any number. Here
// the request waits for the write, which takes as long as the disk needs: an error after a write that then succeeds
// would make the client send the records again.
Instant deadline_of(const ProduceRequest& body, Instant now) {
  constexpr int32_t kLeaderTimeoutMsMin = 30'000;
  constexpr int32_t kAllTimeoutMsMin = 5'000;  // a smaller one is not meant for the disk
  const int32_t timeout_ms = std::max(body.timeout_ms, body.acks == kAcksAll ? kAllTimeoutMsMin : kLeaderTimeoutMsMin);
  return now + std::chrono::milliseconds(timeout_ms);
}

// Fills in the error texts of what was refused (KIP-467).
void explain(const ClusterView& view, const BrokerOptions& options, reactor::WallMillis now, ProduceEntry& entry) {
  if (!entry.refused.message.empty()) return;  // the code that refused it has said why
  const ConfigMap none;
  const ConfigMap& own = entry.topic == nullptr ? none : entry.topic->configs();
  const storage::LogConfig config = log_config(TopicSettings(own, *view.topic_defaults), options.producers);
  entry.refused = explain_refusal(entry.error, entry.asked->records.whole, config.batch, now);
}

ProduceResponse::Topic::Partition refusal_to_wire(const ProduceEntry& entry) {
  ProduceResponse::Topic::Partition answer;
  answer.index = entry.asked->index;
  answer.error_code = entry.error;
  answer.base_offset = -1;
  answer.log_start_offset = entry.result.log_start_offset;
  if (!entry.refused.message.empty()) answer.error_message = entry.refused.message;
  for (const RefusedBatch::Record& record : entry.refused.records) {
    answer.record_errors.push_back({.batch_index = record.batch_index, .batch_index_error_message = record.message});
  }
  return answer;
}

// KIP-951: the present leader and where it is, where the client has asked another.
void add_leader(const ClusterView& view, const ConnectionContext& client, const ProduceEntry& entry,
                ProduceResponse& response, ProduceResponse::Topic::Partition& answer) {
  if (entry.error != ErrorCode::kNotLeaderOrFollower) return;
  const LeaderHint hint = leader_hint(view, entry.topic->id, entry.asked->index);
  answer.current_leader = {.leader_id = hint.leader, .leader_epoch = hint.leader_epoch};
  add_endpoint(view, hint.leader, client, response.node_endpoints);
}

// By the newest view.
ProduceResponse to_wire(const ClusterView& view, const ConnectionContext& client, const ProduceRequest& body,
                        const RecycledVector<ProduceEntry>& entries) {
  ProduceResponse response;
  size_t at = 0;
  response.responses.reserve(body.topic_data.size());
  for (const ProduceRequest::Topic& topic : body.topic_data) {
    ProduceResponse::Topic& out = response.responses.emplace_back();
    out.name = topic.name;
    out.topic_id = topic.topic_id;
    out.partition_responses.reserve(topic.partition_data.size());
    for (const auto& partition : topic.partition_data) {
      const ProduceEntry& entry = entries[at++];
      if (entry.repeats) continue;
      if (entry.error != ErrorCode::kNone) {
        add_leader(view, client, entry, response, out.partition_responses.emplace_back(refusal_to_wire(entry)));
        continue;
      }
      auto& answer = out.partition_responses.emplace_back();
      answer.index = partition.index;
      answer.base_offset = entry.result.base_offset;
      answer.log_append_time_ms = entry.result.log_append_time;
      answer.log_start_offset = entry.result.log_start_offset;
    }
  }
  return response;
}

struct AppendShare {
  BrokerCore* home;
  ProduceShare* share;
  Instant deadline;
  Task<void> operator()(Core& there) const {
    return append_share(*home, planted(kBugs["wrong-core"]) ? *home : home->there(there), *share, deadline);
  }
};

size_t name_bytes(const ProduceRequest& body) {
  size_t bytes = 0;
  for (const ProduceRequest::Topic& topic : body.topic_data) bytes += topic.name.size();
  return bytes;
}

// The records are in the log, and of the frame the answer needs only the names. If these do not fit into the memory for
// waiting requests, the frame is kept. `bytes`: what the request keeps. Not for tiny frames, which are stored in their
// connection.
WaitMemory::Share give_frame_back(BrokerCore& core, Request& request, ProduceRequest& body, size_t bytes,
                                  KeptNames& names) {
  WaitMemory::Share kept = core.wait_memory().try_take_spare(bytes);
  if (!kept) return kept;
  for (ProduceRequest::Topic& topic : body.topic_data) {
    topic.name = names.keep(topic.name);
    for (ProduceRequest::Topic::Partition& partition : topic.partition_data) partition.records = {};
  }
  request.release();
  return kept;
}

}  // namespace

HandlerTask handle(Api<ApiKey::kProduce>, BrokerCore& core, ConnectionContext& context, Request& request) {
  auto body = decode_body<ProduceRequest>(request);
  if (!body) co_return body_corrupt();
  const ViewUse view = core.use_view();
  RecycledVector<ProduceEntry> entries = locate_entries(*view, *body, is_by_topic_id(request));
  constexpr int16_t kFirstOfBatches = 3;
  request.header.version < kFirstOfBatches ? refuse_old_formats(entries) : refuse_no_batches(entries);
  refuse_newer_codecs(request.header.version, entries);
  refuse_unknown_acks(body->acks, entries);
  refuse_duplicates(entries);
  refuse_transactional(*body, entries);
  // Shares must not move once they are sent.
  reactor::Event progress(core.core());
  RecycledVector<ProduceShare> shares = shares_of(core, entries, progress);
  const Instant deadline = deadline_of(*body, core.core().now());
  co_await on_owners(core, shares, [&](ProduceShare& share) { return AppendShare{&core, &share, deadline}; });
  for (ProduceEntry& entry : entries) {
    if (entry.error != ErrorCode::kNone) explain(*view, core.options(), core.core().wall_now(), entry);
  }
  const bool waits = std::ranges::any_of(shares, [](const ProduceShare& share) { return !share.is_done; });
  const bool gives_back = waits && !request.memory.is_inline();
  const size_t bytes_of_names = gives_back ? name_bytes(*body) : 0;
  KeptNames names(bytes_of_names);
  WaitMemory::Share kept;
  if (gives_back) {
    constexpr size_t kEntryBytes = sizeof(ProduceEntry) + sizeof(ProduceRequest::Topic::Partition);
    kept = give_frame_back(core, request, *body, entries.size() * kEntryBytes + bytes_of_names, names);
  }
  for (ProduceShare& share : shares) {
    if (share.own != nullptr) {
      co_await wait_for_acks(*share.own, deadline);
      take_acks(*share.own);
      share.is_done = true;
    }
    while (!share.is_done) co_await progress.wait();
  }
  if (body->acks == kAcksNone) {
    const bool failed = std::ranges::any_of(entries, [](const ProduceEntry& e) { return e.error != ErrorCode::kNone; });
    co_return failed ? Response::closing(net::CloseReason::kRefusedProduce) : Response::none();
  }
  co_return respond(request, to_wire(*core.view(), context, *body, entries));
}

}  // namespace posthaste::broker
