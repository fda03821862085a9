#include "broker/fetching/fetch_sessions.h"

#include <limits>

namespace posthaste::broker {

using net::ConnectionContext;
using net::kafka::ErrorCode;
using net::kafka::FetchRequest;

namespace {

// Session epochs with a meaning of their own (KIP-227).
constexpr int32_t kInitialEpoch = 0;  // start a session
constexpr int32_t kFinalEpoch = -1;   // no session, or the end of one

}  // namespace

size_t partitions_of(const FetchRequest& request) {
  size_t count = 0;
  for (const auto& topic : request.topics) count += topic.partitions.size();
  return count;
}

void FetchSession::update(const FetchRequest& request) {
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      // A partition that is there keeps what was last sent; only what the reader asks for is new.
      const KeyView key{topic.topic_id, topic.topic, partition.partition};
      auto found = entries_.find(key);
      if (found == entries_.end()) found = entries_.emplace(Key(key), Entry()).first;
      found->second.wish = partition;
    }
  }
  for (const auto& topic : request.forgotten_topics_data) {
    for (const int32_t partition : topic.partitions) {
      const auto found = entries_.find(KeyView{topic.topic_id, topic.topic, partition});
      if (found != entries_.end()) entries_.erase(found);
    }
  }
}

bool FetchSession::Entry::must_send(const Answer& answer) {
  const bool failed = answer.error_code != ErrorCode::kNone;
  const bool news = answer.records.size() > 0 || high_watermark != answer.high_watermark ||
                    log_start_offset != answer.log_start_offset || answer.diverging_epoch.epoch >= 0;
  high_watermark = failed ? -1 : answer.high_watermark;
  log_start_offset = failed ? -1 : answer.log_start_offset;
  return news || failed;
}

void FetchSession::next_epoch() { epoch_ = epoch_ == std::numeric_limits<int32_t>::max() ? 1 : epoch_ + 1; }

FetchContext FetchSessions::begin(ConnectionContext& connection, const FetchRequest& request, bool by_topic_id) {
  const int32_t id = request.session_id;
  if (request.session_epoch == kInitialEpoch || request.session_epoch == kFinalEpoch) {
    if (find(connection, id) != nullptr) end(id);
    return request.session_epoch == kInitialEpoch ? create(connection, request, by_topic_id) : FetchContext{};
  }
  Held* held = find(connection, id);
  if (held == nullptr) return {.error = ErrorCode::kFetchSessionIdNotFound};
  return go_on(*held, request, by_topic_id);
}

FetchContext FetchSessions::create(ConnectionContext& connection, const FetchRequest& request, bool by_topic_id) {
  const size_t partitions = partitions_of(request);
  if (connection.closing()) return {};
  if (held_.size() >= limits_.sessions || partitions_ + partitions > limits_.partitions) return {};
  const auto id = static_cast<int32_t>(next_id_ & static_cast<uint32_t>(std::numeric_limits<int32_t>::max()));
  next_id_ += step_;
  if (id == 0 || held_.contains(id)) return {};
  Held& held = held_[id];
  held.owner = this;
  held.connection = &connection;
  held.session = std::make_shared<FetchSession>();
  held.session->id_ = id;
  held.session->by_topic_id_ = by_topic_id;
  held.session->update(request);
  held.session->next_epoch();
  held.on_close = [](net::CloseWatcher& watcher) {
    auto& self = static_cast<Held&>(watcher);
    self.owner->end(self.session->id());
  };
  connection.watch(held);
  partitions_ += held.session->entries().size();
  return {.session = held.session};
}

FetchContext FetchSessions::go_on(Held& held, const FetchRequest& request, bool by_topic_id) {
  FetchSession& session = *held.session;
  if (request.session_epoch != session.epoch()) return {.error = ErrorCode::kInvalidFetchSessionEpoch};
  if (session.by_topic_id_ != by_topic_id) return {.error = ErrorCode::kFetchSessionTopicIdError};
  partitions_ -= session.entries().size();
  session.update(request);
  partitions_ += session.entries().size();
  session.next_epoch();
  FetchContext context{.session = held.session, .incremental = true};
  // A session that has outgrown the limits continues for this request and is not found by the next one, which then
  // starts a new one; an empty one is of no use.
  if (session.entries().empty() || partitions_ > limits_.partitions) end(session.id());
  if (context.session->entries().empty()) return {};
  return context;
}

FetchSessions::Held* FetchSessions::find(const ConnectionContext& connection, int32_t id) {
  const auto found = held_.find(id);
  return found == held_.end() || found->second.connection != &connection ? nullptr : &found->second;
}

void FetchSessions::end(int32_t id) {
  const auto found = held_.find(id);
  partitions_ -= found->second.session->entries().size();
  held_.erase(found);
}

}  // namespace posthaste::broker
