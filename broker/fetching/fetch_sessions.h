// Incremental fetch sessions (KIP-227): the broker remembers which partitions a reader wants, so that a request names
// only what changed and an answer only what is new. A session lives on the core of the connection that made it and ends
// with that connection: every client starts a new one after it has reconnected. Pure bookkeeping: it reads no log.
#pragma once
#include <compare>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/kafka/errors.h"
#include "net/kafka/fetch.h"
#include "net/request.h"

namespace posthaste::broker {

// One reader's partitions and what was last sent about each.
class FetchSession {
 public:
  using Wish = net::kafka::FetchRequest::Topic::Partition;
  using Answer = net::kafka::FetchResponse::Topic::Partition;

  // Of the topic either the id or the name, the same for all of a session.
  struct KeyView {
    net::kafka::Uuid topic_id;
    std::string_view topic;
    int32_t partition = 0;
    friend auto operator<=>(const KeyView&, const KeyView&) = default;
  };
  struct Key {
    explicit Key(const KeyView& view) : topic_id(view.topic_id), topic(view.topic), partition(view.partition) {}
    KeyView view() const { return {topic_id, topic, partition}; }
    net::kafka::Uuid topic_id;
    std::string topic;
    int32_t partition = 0;
  };
  // Finds by view: a request that names what the session has makes no string.
  struct KeyLess {
    using is_transparent = void;
    bool operator()(const Key& a, const Key& b) const { return a.view() < b.view(); }
    bool operator()(const Key& a, const KeyView& b) const { return a.view() < b; }
    bool operator()(const KeyView& a, const Key& b) const { return a < b.view(); }
  };

  struct Entry {
    Wish wish;
    // As last sent; -1: never, or with an error, so that the next answer names the partition whatever it says.
    int64_t high_watermark = -1;
    int64_t log_start_offset = -1;

    // Whether the reader has to see this answer; takes it as sent then.
    bool must_send(const Answer& answer);
  };

  int32_t id() const { return id_; }
  // The epoch that the next request must carry.
  int32_t epoch() const { return epoch_; }
  // An entry stays where it is until a request forgets it.
  std::map<Key, Entry, KeyLess>& entries() { return entries_; }

  // Adds and replaces what the request names, then drops what it forgets.
  void update(const net::kafka::FetchRequest& request);
  void next_epoch();
  // 0, 1, 2 ...: whose turn it is to come first in an answer.
  uint64_t next_turn() { return turn_++; }

 private:
  friend class FetchSessions;
  int32_t id_ = 0;
  bool by_topic_id_ = false;
  int32_t epoch_ = 0;
  uint64_t turn_ = 0;
  std::map<Key, Entry, KeyLess> entries_;
};

struct FetchSessionLimits {
  uint32_t sessions = 1000;         // max.incremental.fetch.session.cache.slots
  uint32_t partitions = 1'000'000;  // ours: of all sessions together, kFetchSessionPartitionBytes each
};
// An entry of a session with its node and a name that is not short.
inline constexpr uint64_t kFetchSessionPartitionBytes = 256;

// That a request names, as often as it does.
size_t partitions_of(const net::kafka::FetchRequest& request);

// What a request is to read, and what it left behind.
struct FetchContext {
  net::kafka::ErrorCode error = net::kafka::ErrorCode::kNone;  // for the whole answer
  // Null: without a session (the answer names every partition and session id 0). Shared: a session may end while its
  // last request still waits.
  std::shared_ptr<FetchSession> session;
  bool incremental = false;  // the answer leaves out partitions without news
};

// The sessions of one core.
class FetchSessions {
 public:
  // Ids are unique over the cores: `core` of `cores`.
  FetchSessions(const FetchSessionLimits& limits, uint32_t core, uint32_t cores)
      : limits_(limits), next_id_(core + 1), step_(cores) {}
  FetchSessions(const FetchSessions&) = delete;
  FetchSessions& operator=(const FetchSessions&) = delete;

  // What `request`, which came over `connection`, means; `by_topic_id`: its version names topics by id. A session that
  // does not fit the limits is declined: the reader then continues without one. FETCH_SESSION_ID_NOT_FOUND,
  // INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR (it continues in a version that names topics in another
  // way).
  FetchContext begin(net::ConnectionContext& connection, const net::kafka::FetchRequest& request, bool by_topic_id);

  size_t session_count() const { return held_.size(); }
  size_t partition_count() const { return partitions_; }

 private:
  struct Held : net::CloseWatcher {
    FetchSessions* owner = nullptr;
    net::ConnectionContext* connection = nullptr;
    std::shared_ptr<FetchSession> session;
  };

  FetchContext create(net::ConnectionContext& connection, const net::kafka::FetchRequest& request, bool by_topic_id);
  FetchContext go_on(Held& held, const net::kafka::FetchRequest& request, bool by_topic_id);
  Held* find(const net::ConnectionContext& connection, int32_t id);
  void end(int32_t id);

  FetchSessionLimits limits_;
  uint32_t next_id_;
  uint32_t step_;
  size_t partitions_ = 0;
  std::map<int32_t, Held> held_;  // by id
};

}  // namespace posthaste::broker
