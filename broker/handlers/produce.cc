// Produce: every partition's batch goes to the core that owns it, one mail per core, under way before anything is
// waited for; the answer comes when all of them are durable (or appended, or refused). Batches stay opaque: what is
// checked of them, the append checks.
#include <algorithm>

#include "broker/broker_host.h"
#include "broker/error_codes.h"
#include "broker/handlers/common.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/named_partitions.h"
#include "broker/handlers/produce_errors.h"
#include "broker/key_walk.h"
#include "net/kafka/produce.h"
#include "reactor/planted_bugs.h"

namespace posthaste::broker {
namespace {

using net::ConnectionContext;
using net::Request;
using net::Response;
using net::kafka::ProduceRequest;
using net::kafka::ProduceResponse;
using reactor::Bug;
using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Instant;
using reactor::planted;
using reactor::RecycledVector;
using reactor::Result;
using reactor::Task;

constexpr int16_t kAcksNone = 0;
constexpr int16_t kAcksLeader = 1;
constexpr int16_t kAcksAll = -1;

// One partition of the request, and what became of it.
struct Entry {
  const ProduceRequest::Topic::Partition* asked = nullptr;
  AskedTopic asked_topic;
  const TopicImage* topic = nullptr;
  bool repeats = false;  // an earlier entry is of the same partition, and answers for it
  int32_t leader_epoch = -1;
  CoreId owner = 0;
  bool wait_durable = true;
  bool needs_keys = false;  // of each record: the topic is compacted
  ErrorCode error = ErrorCode::kNone;
  storage::AppendResult result{.log_start_offset = -1};
  RefusedBatch refused;  // words, if there is an error
};

// The entries of one owner core.
struct Share {
  CoreId owner = 0;
  RecycledVector<Entry*> entries;
};

struct DurableWait : storage::OffsetWaiter {
  Entry* entry = nullptr;
  size_t* missing = nullptr;
  reactor::Event* all_done = nullptr;
};

ErrorCode append_error(Errc error) {
  // Retried by clients, after a look at the metadata, as for a leader that went away.
  if (error == Errc::kNotFound) return ErrorCode::kNotLeaderOrFollower;
  return error_code_of(error);
}

// Where the log looked at a batch's meaning and refused it, clients are told the log's start.
bool tells_log_start(Errc error) {
  return error == Errc::kInvalidRecord || error == Errc::kInvalidTimestamp || error == Errc::kOutOfOrder ||
         error == Errc::kFenced || error == Errc::kUnknownProducer;
}

RefusedBatch refusal_of(const KeyWalk& walk) {
  RefusedBatch refused{.message = "One or more records have been rejected", .records = {}};
  if (walk.is_unreadable()) refused.message = "A compacted topic looks at keys, and the batch's records cannot be read";
  for (const int32_t index : walk.without_key()) {
    refused.records.push_back({index, "A compacted topic takes no record without a key"});
  }
  return refused;
}

// Refuses records without a key. What else is wrong with the batch is for the append to find.
Task<void> look_at_keys(BrokerCore& there, Entry& entry) {
  const auto find = [&] { return there.engine().find(entry.topic->id.bytes, entry.asked->index); };
  if (find() == nullptr) co_return;
  const auto batch =
      storage::parse_produced(entry.asked->records.whole, find()->config().batch, there.core().wall_now());
  if (!batch) co_return;
  KeyWalk walk(*batch);
  while (walk.step()) co_await there.core().yield();
  const bool has_keys = !walk.is_unreadable() && walk.without_key().empty();
  // The partition may have gone meanwhile.
  if (has_keys || find() == nullptr || !batch->crc_matches()) co_return;
  entry.error = ErrorCode::kInvalidRecord;
  entry.refused = refusal_of(walk);
  entry.result.log_start_offset = find()->log_start_offset();
}

// For compacted topics. By the one whose turn it is to append: no request may overtake an earlier one of the same
// partition, and packed records take memory to look through. In pieces, for the core has others to serve.
Task<void> look_at_keys(BrokerCore& there, Share& share) {
  for (Entry* entry : share.entries) {
    if (entry->needs_keys) co_await look_at_keys(there, *entry);
  }
}

// Appends one entry, waiting for room if the core has none just now and goes on.
Task<void> append_entry(BrokerCore& there, Entry& entry, storage::Partition& partition, Instant deadline) {
  const net::kafka::Bytes whole = entry.asked->records.whole;
  const storage::MutableBytes batch(const_cast<std::byte*>(whole.data()), whole.size());  // in the request's own buffer
  for (;;) {
    Result<storage::AppendResult> appended =
        partition.append(batch, {.leader_epoch = entry.leader_epoch}, there.core().wall_now());
    if (appended) {
      entry.result = *appended;
      co_return;
    }
    // At a stop the client hears to send it again: what the disk has to write until the end is what it had accepted.
    if (appended.error() == Errc::kNoMemory && there.core().stopping()) {
      entry.error = ErrorCode::kNotLeaderOrFollower;
      co_return;
    }
    if (appended.error() != Errc::kNoMemory || there.core().now() >= deadline) {
      entry.error = append_error(appended.error());
      if (tells_log_start(appended.error())) entry.result.log_start_offset = partition.log_start_offset();
      co_return;
    }
    there.tell_if_readers_hold_room();
    co_await there.engine().wait_for_room();
  }
}

// Runs on the owner core: appends in order, then waits until what must be durable is.
Task<void> produce_share(BrokerCore& there, Share& share, Instant deadline) {
  OperationGate::Use use(there.operations());
  RecycledVector<storage::Partition*> partitions(share.entries.size(), nullptr);
  if (!co_await there.append_turn().acquire_until(1, deadline)) {
    for (Entry* entry : share.entries) entry->error = ErrorCode::kRequestTimedOut;
    co_return;
  }
  co_await look_at_keys(there, share);
  for (size_t i = 0; i < share.entries.size(); ++i) {
    Entry& entry = *share.entries[i];
    if (entry.error != ErrorCode::kNone) continue;
    partitions[i] = there.engine().find(entry.topic->id.bytes, entry.asked->index);
    if (partitions[i] == nullptr) {
      entry.error = error_of_missing(there, *entry.topic);
      continue;
    }
    co_await append_entry(there, entry, *partitions[i], deadline);
  }
  there.append_turn().release(1);
  size_t missing = 0;
  reactor::Event all_done(there.core());
  RecycledVector<DurableWait> waits(share.entries.size());
  for (size_t i = 0; i < share.entries.size(); ++i) {
    Entry& entry = *share.entries[i];
    if (entry.error != ErrorCode::kNone || !entry.wait_durable) continue;
    if (entry.result.duplicate && planted(Bug::kDuplicateAckedAtOnce)) continue;
    DurableWait& wait = waits[i];
    wait.offset = entry.result.last_offset + 1;
    wait.entry = &entry;
    wait.missing = &missing;
    wait.all_done = &all_done;
    wait.done = [](storage::OffsetWaiter& waiter, Result<void> outcome) {
      auto& self = static_cast<DurableWait&>(waiter);
      if (!outcome) self.entry->error = append_error(outcome.error());
      if (--*self.missing == 0) self.all_done->set();
    };
    ++missing;
    partitions[i]->wait_high_watermark(wait);
  }
  if (missing == 0) co_return;
  if (co_await all_done.wait_until(deadline)) co_return;
  // Stored, but not known to be safe in time.
  for (DurableWait& wait : waits) {
    if (!wait.is_linked()) continue;
    wait.unlink();
    wait.entry->error = ErrorCode::kRequestTimedOut;
  }
}

RecycledVector<Entry> locate_entries(const ClusterView& view, const ProduceRequest& body, bool by_id) {
  RecycledVector<Entry> entries;
  for (const ProduceRequest::Topic& topic : body.topic_data) {
    const AskedTopic asked{.name = topic.name, .id = topic.topic_id, .by_id = by_id};
    const TopicImage* image = asked.find(view);
    bool relaxed = false;
    if (image != nullptr && body.acks == kAcksLeader) {
      relaxed = topic_flush_messages(image->configs, *view.topic_defaults) != 1;
    }
    const bool compacts = image != nullptr && topic_compacts(image->configs, *view.topic_defaults);
    for (const auto& partition : topic.partition_data) {
      Entry& entry = entries.emplace_back();
      entry.asked = &partition;
      entry.asked_topic = asked;
      const Located found = locate(view, asked, partition.index, -1);
      entry.error = found.error;
      entry.topic = found.topic;
      entry.leader_epoch = found.leader_epoch;
      entry.owner = found.owner;
      entry.needs_keys = compacts;
      entry.wait_durable = body.acks == kAcksAll || (body.acks == kAcksLeader && !relaxed);
      if (entry.error == ErrorCode::kNone && entry.topic->name == "__consumer_offsets") {
        entry.error = ErrorCode::kInvalidTopicException;  // as Kafka: only the coordinator writes there
      }
    }
  }
  return entries;
}

// A partition named twice is refused as a whole, and nothing of it is stored: it has one answer, which could not tell
// which of its batches are. (In Kafka the last one wins and the client cannot tell.)
void refuse_duplicates(RecycledVector<Entry>& entries) {
  if (entries.size() < 2) return;  // most requests
  NamedPartitions<Entry*> named;
  for (Entry& entry : entries) {
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

void refuse_unknown_acks(int16_t acks, RecycledVector<Entry>& entries) {
  if (acks == kAcksNone || acks == kAcksLeader || acks == kAcksAll) return;
  for (Entry& entry : entries) {
    if (entry.error == ErrorCode::kNone) entry.error = ErrorCode::kInvalidRequiredAcks;
  }
}

// Before version 3 a request holds message sets of the older formats, which are not taken, whatever is in it.
void refuse_old_formats(RecycledVector<Entry>& entries) {
  for (Entry& entry : entries) {
    if (entry.error == ErrorCode::kNone) entry.error = ErrorCode::kUnsupportedForMessageFormat;
  }
}

// What a request of version 3 or newer has to hold for each partition: one whole batch of format version 2 and nothing
// else. What else is wrong with it the log finds.
bool holds_one_batch(const net::kafka::Records& records) {
  if (records.is_null) return false;
  const auto batch = storage::RecordBatchView::parse(records.whole);
  if (!batch) return batch.error() == Errc::kCorrupt;
  return batch->size_bytes() == records.whole.size();
}

void refuse_no_batches(RecycledVector<Entry>& entries) {
  for (Entry& entry : entries) {
    const bool is_refused = entry.error == ErrorCode::kNone && !holds_one_batch(entry.asked->records);
    if (is_refused) entry.error = ErrorCode::kInvalidRecord;
  }
}

// Who produces with an older version may have consumers that never heard of zstd (KIP-110).
void refuse_newer_codecs(int16_t version, RecycledVector<Entry>& entries) {
  constexpr int16_t kFirstWithZstd = 7;
  if (version >= kFirstWithZstd) return;
  for (Entry& entry : entries) {
    const auto batch = storage::RecordBatchView::parse(entry.asked->records.whole);
    const bool is_refused = batch && batch->compression() == storage::Compression::kZstd;
    const bool is_first = entry.error == ErrorCode::kNone || entry.error == ErrorCode::kInvalidRecord;
    if (is_refused && is_first) entry.error = ErrorCode::kUnsupportedCompressionType;
  }
}

// Transactions have no coordinator yet; a transactional batch would never become visible or be cleaned up. Without a
// transactional id the whole request is refused, as in Kafka.
void refuse_transactional(const ProduceRequest& body, RecycledVector<Entry>& entries) {
  const auto is_transactional = [](const Entry& entry) {
    const auto batch = storage::RecordBatchView::parse(entry.asked->records.whole);
    return batch && batch->is_transactional();
  };
  if (!body.transactional_id && std::ranges::any_of(entries, is_transactional)) {
    for (Entry& entry : entries) entry.error = ErrorCode::kTransactionalIdAuthorizationFailed;
  }
  for (Entry& entry : entries) {
    if (entry.error == ErrorCode::kNone && is_transactional(entry)) entry.error = ErrorCode::kInvalidTxnState;
  }
}

RecycledVector<Share> shares_of(BrokerCore& core, RecycledVector<Entry>& entries) {
  RecycledVector<RecycledVector<Entry*>> by_core(core.core().core_count());
  for (Entry& entry : entries) {
    if (entry.error == ErrorCode::kNone) by_core[entry.owner].push_back(&entry);
  }
  RecycledVector<Share> shares;
  for (size_t owner = 0; owner < by_core.size(); ++owner) {
    if (!by_core[owner].empty()) shares.push_back({static_cast<CoreId>(owner), std::move(by_core[owner])});
  }
  return shares;
}

// Until when the records must be safe. A client's time-out is for the wait for other replicas: Kafka does not count its
// own write, so that 0 is answered with success, and with acks=1 clients may send any number. Here the write is waited
// for, which takes as long as a disk takes: an error after a write that then succeeds would make the client send it
// again.
Instant deadline_of(const ProduceRequest& body, Instant now) {
  constexpr int32_t kLeaderTimeoutMsMin = 30'000;
  constexpr int32_t kAllTimeoutMsMin = 5'000;  // who asks for less does not mean the disk
  const int32_t timeout_ms = std::max(body.timeout_ms, body.acks == kAcksAll ? kAllTimeoutMsMin : kLeaderTimeoutMsMin);
  return now + std::chrono::milliseconds(timeout_ms);
}

// Fills in the words of what was refused (KIP-467).
void explain(const ClusterView& view, const BrokerOptions& options, reactor::WallMillis now, Entry& entry) {
  if (!entry.refused.message.empty()) return;  // whoever refused it has said why
  const ConfigMap none;
  const ConfigMap& own = entry.topic == nullptr ? none : entry.topic->configs;
  const storage::LogConfig config = log_config(typed_topic_config(own, *view.topic_defaults), options.producers);
  entry.refused = explain_refusal(entry.error, entry.asked->records.whole, config.batch, now);
}

ProduceResponse::Topic::Partition refusal_to_wire(const Entry& entry) {
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

ProduceResponse to_wire(const ProduceRequest& body, const RecycledVector<Entry>& entries) {
  ProduceResponse response;
  size_t at = 0;
  response.responses.reserve(body.topic_data.size());
  for (const ProduceRequest::Topic& topic : body.topic_data) {
    ProduceResponse::Topic& out = response.responses.emplace_back();
    out.name = topic.name;
    out.topic_id = topic.topic_id;
    out.partition_responses.reserve(topic.partition_data.size());
    for (const auto& partition : topic.partition_data) {
      const Entry& entry = entries[at++];
      if (entry.repeats) continue;
      if (entry.error != ErrorCode::kNone) {
        out.partition_responses.push_back(refusal_to_wire(entry));
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

}  // namespace

HandlerTask handle_produce(BrokerCore& core, ConnectionContext&, Request& request) {
  const auto body = decode_body<ProduceRequest>(request);
  if (!body) co_return body_corrupt();
  const std::shared_ptr<const ClusterView> view = core.view();
  RecycledVector<Entry> entries = locate_entries(*view, *body, is_by_topic_id(request));
  constexpr int16_t kFirstOfBatches = 3;
  request.header.version < kFirstOfBatches ? refuse_old_formats(entries) : refuse_no_batches(entries);
  refuse_newer_codecs(request.header.version, entries);
  refuse_unknown_acks(body->acks, entries);
  refuse_duplicates(entries);
  refuse_transactional(*body, entries);
  struct Work {
    BrokerCore* home;
    Share* share;
    Instant deadline;
    Task<void> operator()(Core& there) {
      BrokerCore& owner = planted(Bug::kWrongCore) ? home->host().on(share->owner) : home->there(there);
      return produce_share(owner, *share, deadline);
    }
  };
  // Shares and calls may not move once the calls are started.
  RecycledVector<Share> shares = shares_of(core, entries);
  const Instant deadline = deadline_of(*body, core.core().now());
  reactor::RecycledDeque<reactor::RemoteCall<Work>> calls;
  for (Share& share : shares) {
    const CoreId to = planted(Bug::kWrongCore) ? core.core().id() : share.owner;
    calls.emplace_back(core.core(), to, reactor::MessageClass::kRequest, Work{&core, &share, deadline});
    calls.back().start();
  }
  for (auto& call : calls) co_await call.reply();
  if (body->acks == kAcksNone) {
    const bool failed = std::ranges::any_of(entries, [](const Entry& e) { return e.error != ErrorCode::kNone; });
    co_return failed ? Response::closing(net::CloseReason::kRefusedProduce) : Response::none();
  }
  for (Entry& entry : entries) {
    if (entry.error != ErrorCode::kNone) explain(*view, core.options(), core.core().wall_now(), entry);
  }
  co_return respond(request, to_wire(*body, entries));
}

}  // namespace posthaste::broker
