// What a quorum writes into its own log and its snapshots beside the metadata: control records, whose key is a version
// and a type, whose value is one of the structures here with its own version in front (KIP-595, KIP-630, KIP-853).
// Batches are storage/'s to make; what the records mean is the quorum's.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/kafka/codec.h"

namespace posthaste::net::kafka {

// Kafka's numbers; 0 and 1 are of transactions.
enum class ControlRecordType : int16_t {
  kLeaderChange = 2,
  kSnapshotHeader = 3,
  kSnapshotFooter = 4,
  kKraftVersion = 5,
  kKraftVoters = 6,
};

// The first record of an epoch: who leads, who may vote, who voted for the leader. Version 1 names directories too.
struct LeaderChangeRecord {
  static constexpr ControlRecordType kType = ControlRecordType::kLeaderChange;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 1, .first_flexible = 0};

  struct Voter {
    int32_t voter_id = 0;
    Uuid voter_directory_id;

    friend bool operator==(const Voter&, const Voter&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.voter_id);
      field(self.voter_directory_id, since(1));
    }
  };

  int16_t version = 0;
  int32_t leader_id = 0;
  std::vector<Voter> voters;
  std::vector<Voter> granting_voters;

  friend bool operator==(const LeaderChangeRecord&, const LeaderChangeRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.version);
    field(self.leader_id);
    field(self.voters);
    field(self.granting_voters);
  }
};

// The first record of a snapshot: when the last record that it holds was appended, in ms since 1970.
struct SnapshotHeaderRecord {
  static constexpr ControlRecordType kType = ControlRecordType::kSnapshotHeader;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 0, .first_flexible = 0};

  int16_t version = 0;
  int64_t last_contained_log_timestamp = 0;

  friend bool operator==(const SnapshotHeaderRecord&, const SnapshotHeaderRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.version);
    field(self.last_contained_log_timestamp);
  }
};

// The last record of a snapshot that is whole.
struct SnapshotFooterRecord {
  static constexpr ControlRecordType kType = ControlRecordType::kSnapshotFooter;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 0, .first_flexible = 0};

  int16_t version = 0;

  friend bool operator==(const SnapshotFooterRecord&, const SnapshotFooterRecord&) = default;

  static constexpr void fields(auto& self, auto& field) { field(self.version); }
};

// The version of the quorum's protocol from here on: 1 has voters in the log.
struct KraftVersionRecord {
  static constexpr ControlRecordType kType = ControlRecordType::kKraftVersion;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 0, .first_flexible = 0};

  int16_t version = 0;
  int16_t kraft_version = 0;

  friend bool operator==(const KraftVersionRecord&, const KraftVersionRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.version);
    field(self.kraft_version);
  }
};

// Who may vote from here on, all of them, with where to reach each and what it understands.
struct VotersRecord {
  static constexpr ControlRecordType kType = ControlRecordType::kKraftVoters;
  static constexpr VersionRules kRules{.codec_min = 0, .codec_max = 0, .first_flexible = 0};

  struct Voter {
    struct Endpoint {
      std::string name;
      std::string host;
      uint16_t port = 0;

      friend bool operator==(const Endpoint&, const Endpoint&) = default;

      static constexpr void fields(auto& self, auto& field) {
        field(self.name);
        field(self.host);
        field(self.port);
      }
    };

    struct KraftVersionRange {
      int16_t min_supported_version = 0;
      int16_t max_supported_version = 0;

      friend bool operator==(const KraftVersionRange&, const KraftVersionRange&) = default;

      static constexpr void fields(auto& self, auto& field) {
        field(self.min_supported_version);
        field(self.max_supported_version);
      }
    };

    int32_t voter_id = 0;
    Uuid voter_directory_id;
    std::vector<Endpoint> endpoints;
    KraftVersionRange kraft_version_feature;

    friend bool operator==(const Voter&, const Voter&) = default;

    static constexpr void fields(auto& self, auto& field) {
      field(self.voter_id);
      field(self.voter_directory_id);
      field(self.endpoints);
      field(self.kraft_version_feature);
    }
  };

  int16_t version = 0;
  std::vector<Voter> voters;

  friend bool operator==(const VotersRecord&, const VotersRecord&) = default;

  static constexpr void fields(auto& self, auto& field) {
    field(self.version);
    field(self.voters);
  }
};

using QuorumRecord =
    std::variant<LeaderChangeRecord, SnapshotHeaderRecord, SnapshotFooterRecord, KraftVersionRecord, VotersRecord>;

// The key and the value of `record`, in the version that it states itself; CHECKs that it is one of the record's. Any
// core; cannot fail.
std::string encode_key(const QuorumRecord& record);
std::string encode_value(const QuorumRecord& record);

// The record that a key and its value are. As in Kafka a newer version of the key is read as ours, and tags that nobody
// knows are skipped. Any core. Fails: kUnsupported (a type that is none of these, a newer version of the value),
// kTruncated, kCorrupt (also: bytes behind the value), kLimit.
reactor::Result<QuorumRecord> decode_quorum_record(std::string_view key, std::string_view value);

}  // namespace posthaste::net::kafka
