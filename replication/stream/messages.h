// What two brokers say to each other so that one follows the logs of the other: ten messages, each a struct that states
// its fields once, in frames by length as Kafka's (int32 length, int16 type, body in flexible encoding). They travel on
// the listener between brokers only; no client sees them. Pure functions, any core. Views of a decoded message point
// into its frame. It knows no socket and no log.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "net/kafka/frame.h"
#include "reactor/result.h"

namespace posthaste::replication::stream {

using net::kafka::Frame;
using net::kafka::since;
using net::kafka::Uuid;

// Versions of the protocol that this release speaks. All messages of a connection have one version, which OPEN settles;
// OPEN itself is always of version 0, so that two releases can tell each other that they share none.
inline constexpr int16_t kVersionMin = 0;
inline constexpr int16_t kVersionMax = 0;
inline constexpr net::kafka::VersionRules kStreamRules = {
    .codec_min = kVersionMin, .codec_max = kVersionMax, .first_flexible = 0};

// A DATA frame holds so many bytes of batches, or one batch that is larger.
inline constexpr uint32_t kDataBytesMax = uint32_t{1} << 20;
// No frame is longer: the largest batch that a topic can be set to take (max.message.bytes of 100 MiB is beyond what
// brokers are run with), and room for the fields around it.
inline constexpr size_t kFrameBytesMax = (size_t{100} << 20) + 4096;

enum class MessageType : int16_t {
  kOpen = 1,
  kSubscribe,
  kUnsubscribe,
  kData,
  kHighWatermark,
  kDiverge,
  kEnd,
  kAck,
  kCredit,
  kPing,
};

// Which connection of the two brokers it is: followers that keep up are not to wait behind one that reads old segments.
enum class StreamClass : int8_t { kLive = 0, kCatchUp = 1 };

// Both ends' first message; the follower's comes first.
struct Open {
  static constexpr MessageType kType = MessageType::kOpen;
  std::string cluster_id;
  int32_t from_broker = -1;
  int64_t from_broker_epoch = -1;  // of its registration: acknowledgements count under it alone
  Uuid incarnation;                // of the process
  int32_t to_broker = -1;          // whom it means to reach
  int32_t core = 0;                // the sender's, of its `cores`
  int32_t cores = 1;
  StreamClass stream_class = StreamClass::kLive;
  int16_t version_min = kVersionMin;
  int16_t version_max = kVersionMax;
  int32_t window_bytes = 0;  // follower: bytes of batches that may be under way to it, or in its hands
  int32_t to_core = 0;       // follower: the core of the leader that it means to reach

  static constexpr void fields(auto& self, auto& field) {
    field(self.cluster_id);
    field(self.from_broker);
    field(self.from_broker_epoch);
    field(self.incarnation);
    field(self.to_broker);
    field(self.core);
    field(self.cores);
    field(self.stream_class);
    field(self.version_min);
    field(self.version_max);
    field(self.window_bytes);
    field.tagged(0, self.to_core, since(0));
  }
};

// Follower: send me this partition, in this term, behind what I have. A number is never used twice on a connection.
struct Subscribe {
  static constexpr MessageType kType = MessageType::kSubscribe;
  int32_t subscription = 0;
  Uuid topic_id;
  int32_t partition = 0;
  int32_t leader_epoch = -1;
  int64_t leader_broker_epoch = -1;
  int64_t end = 0;          // of the follower's log
  int32_t last_epoch = -1;  // the latest epoch that its log knows; -1: none
  int64_t durable = 0;
  int64_t log_start = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.subscription);
    field(self.topic_id);
    field(self.partition);
    field(self.leader_epoch);
    field(self.leader_broker_epoch);
    field(self.end);
    field(self.last_epoch);
    field(self.durable);
    field(self.log_start);
  }
};

// Follower: no more of this one.
struct Unsubscribe {
  static constexpr MessageType kType = MessageType::kUnsubscribe;
  int32_t subscription = 0;

  static constexpr void fields(auto& self, auto& field) { field(self.subscription); }
};

// Where an epoch begins in the leader's log.
struct EpochStart {
  int32_t epoch = -1;
  int64_t start_offset = 0;
  friend bool operator==(const EpochStart&, const EpochStart&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.epoch);
    field(self.start_offset);
  }
};

// Leader: whole batches that follow what ends at `prev_next_offset`, whose last epoch is `prev_epoch`.
struct Data {
  static constexpr MessageType kType = MessageType::kData;
  int32_t subscription = 0;
  int32_t leader_epoch = -1;
  int64_t prev_next_offset = 0;
  int32_t prev_epoch = -1;
  int64_t high_watermark = 0;
  int64_t log_start = 0;
  std::vector<EpochStart> epochs;  // above `prev_epoch`, up to that of the last batch
  net::kafka::Records batches;
  int64_t rolling_hash = 0;  // of all bytes of this subscription before this frame; 0: not told this time

  static constexpr void fields(auto& self, auto& field) {
    field(self.subscription);
    field(self.leader_epoch);
    field(self.prev_next_offset);
    field(self.prev_epoch);
    field(self.high_watermark);
    field(self.log_start);
    field(self.epochs);
    field(self.batches);
    field.tagged(0, self.rolling_hash, since(0));
  }
};

// Leader: only these have moved. The first one of a subscription says that it is accepted.
struct HighWatermark {
  static constexpr MessageType kType = MessageType::kHighWatermark;
  int32_t subscription = 0;
  int64_t high_watermark = 0;
  int64_t log_start = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.subscription);
    field(self.high_watermark);
    field(self.log_start);
  }
};

// Leader, and the end of the subscription: the follower's log is not a beginning of mine. The largest of my epochs at
// or below the one that you named ends here; cut, and subscribe again.
struct Diverge {
  static constexpr MessageType kType = MessageType::kDiverge;
  int32_t subscription = 0;
  int32_t epoch = -1;
  int64_t end_offset = 0;

  static constexpr void fields(auto& self, auto& field) {
    field(self.subscription);
    field(self.epoch);
    field(self.end_offset);
  }
};

enum class EndReason : int16_t {
  kNotLeader = 1,   // not in that term, or not here
  kOutOfRange,      // the log begins behind what the follower has: at `log_start` it may begin anew
  kAhead,           // the follower's log knows a later epoch than its leader's
  kDamaged,         // what comes next cannot be read here
  kForeignCluster,  // of the connection, as what follows
  kWrongBroker,
  kNoCommonVersion,
  kFarBehind,  // of a subscription: it goes on over the connection for catching up
  kCaughtUp,   // of a subscription there: it goes on over the live one
  kOtherCore,  // of a subscription: the partition is on the leader's core `core_hint`; of the connection: no such core
};

inline constexpr int32_t kWholeConnection = -1;

// The end of a subscription, or of the connection: `subscription` is kWholeConnection.
struct End {
  static constexpr MessageType kType = MessageType::kEnd;
  int32_t subscription = kWholeConnection;
  EndReason reason{};
  int32_t leader_hint = -1;  // the broker that leads, if it is known
  int64_t log_start = -1;    // kOutOfRange: where the first batch that is left begins
  std::string message;       // for the peer's log
  int32_t core_hint = -1;    // kOtherCore: a core that is there

  static constexpr void fields(auto& self, auto& field) {
    field(self.subscription);
    field(self.reason);
    field(self.leader_hint);
    field(self.log_start);
    field(self.message);
    field.tagged(0, self.core_hint, since(0), /*absent=*/-1);
  }
};

// Follower: what it has by now, of each subscription where that has changed. Only `durable` counts for the high
// watermark.
struct Ack {
  static constexpr MessageType kType = MessageType::kAck;
  struct Progress {
    int32_t subscription = 0;
    int64_t durable = 0;
    int64_t end = 0;
    int64_t log_start = 0;
    friend bool operator==(const Progress&, const Progress&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.subscription);
      field(self.durable);
      field(self.end);
      field(self.log_start);
    }
  };
  std::vector<Progress> progress;

  static constexpr void fields(auto& self, auto& field) { field(self.progress); }
};

// Follower: so many bytes of batches have left its hands.
struct Credit {
  static constexpr MessageType kType = MessageType::kCredit;
  int32_t bytes = 0;

  static constexpr void fields(auto& self, auto& field) { field(self.bytes); }
};

// Either end, regularly: it is there, under this registration.
struct Ping {
  static constexpr MessageType kType = MessageType::kPing;
  int64_t time_ms = 0;  // of the sender's wall clock, for logs
  int64_t broker_epoch = -1;

  static constexpr void fields(auto& self, auto& field) {
    field(self.time_ms);
    field(self.broker_epoch);
  }
};

using Message = std::variant<Open, Subscribe, Unsubscribe, Data, HighWatermark, Diverge, End, Ack, Credit, Ping>;

// The frame of a message as `version`, its length in front; batches are spliced, not copied, and must outlive the send.
Frame encode_frame(const Message& message, int16_t version = kVersionMax);

// The message of a frame without its length. Fails: kUnsupported (no such type), kTruncated, kCorrupt (also: bytes
// behind it), kLimit.
reactor::Result<Message> decode_message(net::kafka::Bytes frame, int16_t version = kVersionMax);

// The version that a connection speaks; kUnsupported if the two share none.
reactor::Result<int16_t> common_version(const Open& ours, const Open& theirs);

}  // namespace posthaste::replication::stream
