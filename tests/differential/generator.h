// Makes the sequence of a seed: all of its steps, before any of them is sent. It keeps a rough model of what the steps
// should have led to, only so that later steps meet something; the brokers are never asked. Odd values are mixed into
// every request: what a broker refuses is compared as much as what it does.
#pragma once
#include <array>
#include <initializer_list>
#include <map>
#include <random>
#include <string>

#include "tests/differential/step.h"

namespace posthaste::differential {

// The versions that both brokers serve, by API.
using Versions = std::map<kafka::ApiKey, std::pair<int16_t, int16_t>>;

// `base_time_ms`: records are dated from it on; before the run, so that no broker's clock is taken for it.
Sequence make_sequence(uint64_t seed, const Versions& versions, int64_t base_time_ms);

// Connections of a sequence. Members of groups have one each, for their requests may be held back.
inline constexpr int kMainConnection = 0;
inline constexpr int kEndedConnection = 1;    // for what a broker may end it for: acks=0, old versions of Produce
inline constexpr int kHostileConnection = 2;  // mostly closed after one request
inline constexpr int kFirstMemberConnection = 10;

class Generator {
 public:
  Generator(uint64_t seed, const Versions& versions, int64_t base_time_ms);
  Sequence run();

 private:
  static constexpr int kTopics = 3;
  static constexpr int kGroups = 2;

  struct Topic {
    bool exists = false;
    int partitions = 0;
    bool compacts = false;
  };
  struct Member {
    int join = 0;  // the step that named it
    int connection = 0;
    std::optional<std::string> instance;
    int generation_step = 0;
  };
  struct Group {
    std::vector<Member> members;
    std::vector<int> joins;  // all that may have given out an id
  };
  struct Producer {
    int step = 0;
    std::map<std::pair<int, int>, int32_t> next_sequence;
  };

  // --- draws
  uint64_t draw(uint64_t limit) { return random_() % limit; }
  bool chance(int percent) { return draw(100) < static_cast<uint64_t>(percent); }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[draw(values.size())];
  }
  int some_topic();
  std::string topic_name(int odd_percent);
  int32_t partition_of(int topic);
  int32_t partition_of(std::string_view name);
  std::string group_name();
  int64_t some_offset();
  int32_t some_epoch() { return chance(70) ? -1 : pick({0, 1, 5, -2, INT32_MAX}); }

  template <class Request>
  ApiStep<Request>& add(std::optional<int16_t> version = std::nullopt) {
    const int16_t least = versions_.at(Request::kKey).first;
    const int16_t greatest = newest(Request::kKey);
    auto step = std::make_unique<ApiStep<Request>>(version.value_or(
        static_cast<int16_t>(least + static_cast<int16_t>(draw(static_cast<uint64_t>(greatest - least + 1))))));
    step->number = static_cast<int>(sequence_.size());
    ApiStep<Request>& added = *step;
    sequence_.push_back(std::move(step));
    return added;
  }
  int16_t newest(kafka::ApiKey api) const { return versions_.at(api).second; }

  // --- topics (generate_topics.cc)
  void create_plain_topic(int topic, int partitions);
  void create_topics();
  void delete_topics();
  void create_partitions();
  void metadata();
  void describe_topic_partitions();
  void describe_cluster();
  void api_versions();
  void describe_configs();
  void alter_configs();
  void incremental_alter_configs();
  std::pair<std::string, std::optional<std::string>> some_config();

  // --- leaders and places of partitions (generate_replicas.cc)
  void elect_leaders();
  void reassign();
  void list_reassignments();

  // --- logs (generate_logs.cc)
  void init_producer_id();
  void produce();
  void produce_odd();
  void produce_idempotent();
  void fetch();
  void fetch_session();
  void list_offsets();
  void offset_for_leader_epoch();
  void delete_records();
  void describe_producers();
  void describe_log_dirs();
  BatchRecipe some_batch();

  // --- groups (generate_groups.cc)
  void new_member();
  void join_again();
  void sync();
  void heartbeat();
  void leave();
  void commit();
  void offset_fetch();
  void find_coordinator();
  void describe_groups();
  void list_groups();
  void delete_groups();
  void offset_delete();
  void odd_join();
  Member* some_member(int& group);
  void sync_as(int group, const Member& member, bool leads);
  void fill_claim(auto& message, int16_t first_with_instance, int16_t version, int& group);

  // --- hostile frames (generate_hostile.cc)
  void hostile();

  // --- the end (generate_state.cc)
  void look_at_state();
  void clean_up();

  std::mt19937_64 random_;
  const Versions& versions_;
  int64_t base_time_ms_;
  Sequence sequence_;
  std::array<Topic, kTopics> topics_;
  std::array<Group, kGroups> groups_;
  std::vector<Producer> producers_;
  bool has_deleted_records_ = false;
};

}  // namespace posthaste::differential
