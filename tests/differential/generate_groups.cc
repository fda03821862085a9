// Requests of group members, of those who commit offsets, and of administrators of groups.
#include "net/kafka/group_admin.h"
#include "net/kafka/group_offsets.h"
#include "net/kafka/groups.h"
#include "tests/differential/generator.h"

namespace posthaste::differential {
namespace {

// No timer of a member or a rebalance ends within a sequence.
constexpr int32_t kSessionTimeoutMs = 30'000;
constexpr int32_t kRebalanceTimeoutMs = 60'000;
constexpr int16_t kFirstWithMemberIds = 4;
constexpr int16_t kFirstWithInstanceIds = 5;

kafka::Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

void fill_join(kafka::JoinGroupRequest& message, std::string_view group, std::string_view member) {
  message.group_id = group;
  message.session_timeout_ms = kSessionTimeoutMs;
  message.rebalance_timeout_ms = kRebalanceTimeoutMs;
  message.member_id = member;
  message.protocol_type = "consumer";
}

}  // namespace

Generator::Member* Generator::some_member(int& group) {
  group = static_cast<int>(draw(kGroups));
  if (groups_[static_cast<size_t>(group)].members.empty()) group = (group + 1) % kGroups;
  auto& members = groups_[static_cast<size_t>(group)].members;
  return members.empty() ? nullptr : &members[draw(members.size())];
}

// A dynamic member of a version that gives out ids first joins twice; then the leader may hand out assignments.
void Generator::new_member() {
  const int group = static_cast<int>(draw(kGroups));
  const std::string name = fmt::format("$g{}", group);
  auto& first = add<kafka::JoinGroupRequest>();
  Member member{.join = first.number, .connection = kFirstMemberConnection + first.number};
  first.connection = member.connection;
  first.may_be_held_back = true;
  const bool is_static = first.version >= kFirstWithInstanceIds && chance(25);
  if (is_static) member.instance = fmt::format("instance-{}", draw(2));
  const std::vector<int> topics = chance(50) ? std::vector<int>{0} : std::vector<int>{0, 1};
  const bool two = chance(30);
  const auto fill = [&](auto& step, std::string member_id) {
    fill_join(step.message, step.keep(name), step.keep(std::move(member_id)));
    if (member.instance) step.message.group_instance_id = step.keep(*member.instance);
    if (two) step.message.protocols.push_back({.name = "roundrobin", .metadata = subscription(topics)});
    step.message.protocols.push_back({.name = "range", .metadata = subscription(topics)});
  };
  fill(first, "");
  Group& of = groups_[static_cast<size_t>(group)];
  of.joins.push_back(first.number);
  if (first.version >= kFirstWithMemberIds && !is_static) {
    if (chance(10)) return;  // never comes back with its id
    auto& second = add<kafka::JoinGroupRequest>(first.version);
    second.connection = member.connection;
    second.may_be_held_back = true;
    fill(second, fmt::format("$m{}", member.join));
    of.joins.push_back(second.number);
    member.generation_step = second.number;
  } else {
    member.generation_step = first.number;
  }
  of.members.push_back(member);
  if (chance(75)) sync_as(group, member, of.members.size() == 1);
}

void Generator::join_again() {
  int group = 0;
  Member* member = some_member(group);
  if (member == nullptr) return new_member();
  auto& step = add<kafka::JoinGroupRequest>();
  step.connection = member->connection;
  step.may_be_held_back = true;
  const bool other = chance(30);
  fill_join(step.message, step.keep(fmt::format("$g{}", group)),
            step.keep(chance(85) ? fmt::format("$m{}", member->join) : ""));
  if (member->instance && step.version >= kFirstWithInstanceIds && chance(90)) {
    step.message.group_instance_id = step.keep(*member->instance);
  }
  step.message.protocols.push_back(
      {.name = "range", .metadata = subscription(other ? std::vector{1} : std::vector{0})});
  groups_[static_cast<size_t>(group)].joins.push_back(step.number);
  member->generation_step = step.number;
}

void Generator::odd_join() {
  auto& step = add<kafka::JoinGroupRequest>();
  step.connection = kFirstMemberConnection + step.number;
  step.may_be_held_back = true;
  const int group = static_cast<int>(draw(kGroups));
  fill_join(step.message, step.keep(fmt::format("$g{}", group)), "");
  step.message.protocols.push_back({.name = "range", .metadata = subscription({0})});
  bool refused = false;
  switch (draw(8)) {
    case 0:
      step.message.group_id = "";
      break;
    case 1:
      step.message.session_timeout_ms = pick<int32_t>({0, -1, 1, 5'999, 1'800'001, INT32_MAX});
      break;
    case 2:
    case 3:
      // Kafka refuses it too, but keeps an empty group; nothing else is done with this one.
      step.message.group_id = "$g7";
      chance(50) ? step.message.protocols.clear() : void(step.message.protocol_type = "");
      refused = true;
      break;
    case 4:
      step.message.protocol_type = "connect";
      break;
    case 5:
      step.message.protocols.front().name = "unheard-of";
      break;
    case 6:
      step.message.member_id = "stranger";
      break;
    default:
      if (step.version >= kFirstWithInstanceIds) {
        step.message.group_instance_id =
            step.keep(pick<std::string>({"", ".", "instance-0", std::string(300, 'i'), "a/b"}));
        if (chance(50)) step.message.member_id = "stranger";
      }
  }
  groups_[static_cast<size_t>(group)].joins.push_back(step.number);
  if (!refused) return;
  auto& described = add<kafka::DescribeGroupsRequest>();
  described.message.groups = {"$g7"};
  described.traits.insert("the group of a refused join");
}

void Generator::sync_as(int group, const Member& member, bool leads) {
  auto& step = add<kafka::SyncGroupRequest>();
  step.connection = member.connection;
  step.may_be_held_back = true;
  step.message.group_id = step.keep(fmt::format("$g{}", group));
  step.message.member_id = step.keep(fmt::format("$m{}", member.join));
  step.message.generation_id = chance(92) ? generation_of(member.generation_step) : pick({-1, 0, 99});
  if (member.instance && step.version >= 3) step.message.group_instance_id = step.keep(*member.instance);
  if (step.version >= 5) {
    if (chance(90)) step.message.protocol_type = chance(90) ? "consumer" : "connect";
    if (chance(90)) step.message.protocol_name = chance(90) ? "range" : "roundrobin";
  }
  if (!leads) return;
  for (const Member& other : groups_[static_cast<size_t>(group)].members) {
    step.message.assignments.push_back({.member_id = step.keep(fmt::format("$m{}", other.join)),
                                        .assignment = bytes_of(step.keep(fmt::format("for-{}", other.join)))});
  }
  if (chance(10)) step.message.assignments.push_back({.member_id = "stranger", .assignment = bytes_of("x")});
  if (chance(10)) {
    const auto again = step.message.assignments.front().member_id;
    step.message.assignments.push_back({.member_id = again, .assignment = bytes_of("again")});
  }
}

void Generator::sync() {
  int group = 0;
  const Member* member = some_member(group);
  if (member == nullptr) return new_member();
  sync_as(group, *member, chance(60));
}

// Group, member, generation and instance as a member, or a stranger, claims them.
void Generator::fill_claim(auto& step, int16_t first_with_instance, int16_t version, int& group) {
  const Member* member = some_member(group);
  step.message.group_id = step.keep(fmt::format("$g{}", group));
  if (member == nullptr || chance(12)) {
    step.message.member_id = step.keep(pick<std::string>({"", "stranger"}));
    if (chance(12)) step.message.group_id = step.keep(group_name());
  } else {
    step.message.member_id = step.keep(fmt::format("$m{}", member->join));
    if (version >= first_with_instance && (member->instance ? chance(90) : chance(8))) {
      step.message.group_instance_id = step.keep(member->instance.value_or("instance-0"));
    }
  }
}

void Generator::heartbeat() {
  auto& step = add<kafka::HeartbeatRequest>();
  int group = 0;
  const Member* member = some_member(group);
  fill_claim(step, 3, step.version, group);
  step.message.generation_id =
      member != nullptr && chance(85) ? generation_of(member->generation_step) : pick({-1, 0, 1, 99});
}

void Generator::leave() {
  auto& step = add<kafka::LeaveGroupRequest>();
  int group = 0;
  Member* member = some_member(group);
  step.message.group_id = step.keep(chance(92) ? fmt::format("$g{}", group) : group_name());
  if (step.version < 3) {
    step.message.member_id = step.keep(member != nullptr && chance(85) ? fmt::format("$m{}", member->join)
                                                                       : pick<std::string>({"", "stranger"}));
  } else {
    for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
      auto& leaving = step.message.members.emplace_back();
      if (member != nullptr && chance(80)) leaving.member_id = step.keep(fmt::format("$m{}", member->join));
      if (chance(15)) leaving.member_id = "stranger";
      if (chance(20)) leaving.group_instance_id = step.keep(fmt::format("instance-{}", draw(3)));
      if (member != nullptr && member->instance && chance(80)) leaving.group_instance_id = step.keep(*member->instance);
      member = some_member(group);
    }
  }
}

void Generator::commit() {
  auto& step = add<kafka::OffsetCommitRequest>();
  int group = static_cast<int>(draw(kGroups));
  if (chance(50)) {
    step.message.group_id = step.keep(group_name());
    step.message.generation_id_or_member_epoch = chance(85) ? -1 : pick({0, 1, -2});
  } else {
    const Member* member = some_member(group);
    fill_claim(step, 7, step.version, group);
    step.message.generation_id_or_member_epoch =
        member != nullptr && chance(85) ? generation_of(member->generation_step) : pick({-1, 0, 99});
  }
  if (step.version <= 4) step.message.retention_time_ms = chance(80) ? -1 : 3'600'000;
  for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.name = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 1, 2, 0}); n > 0; --n) {
      auto& partition = topic.partitions.emplace_back();
      partition.partition_index = partition_of(topic.name);
      partition.committed_offset = some_offset();
      partition.committed_leader_epoch = some_epoch();
      if (chance(60)) {
        partition.committed_metadata =
            step.keep(chance(90) ? pick<std::string>({"", "here", "caf\u00e9"}) : std::string(4096, 'm'));
      }
    }
  }
  if (!chance(5)) return;
  // Kafka refuses it too, but keeps an empty group; nothing else is done with this one.
  auto& refused = add<kafka::OffsetCommitRequest>();
  refused.message.group_id = "$g6";
  refused.message.topics.push_back({.name = "$t0"});
  refused.message.topics[0].partitions.push_back({.committed_metadata = refused.keep(std::string(4097, 'm'))});
  auto& deleted = add<kafka::DeleteGroupsRequest>();
  deleted.message.groups_names = {"$g6"};
  deleted.traits.insert("the group of a refused commit");
}

void Generator::offset_fetch() {
  auto& step = add<kafka::OffsetFetchRequest>();
  step.message.require_stable = chance(30);
  const auto topics_of = [&](auto& topics) {
    if (step.version >= 2 && chance(35)) return topics.reset();
    topics.emplace();
    for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
      auto& topic = topics->emplace_back();
      topic.name = step.keep(topic_name(12));
      for (size_t n = pick<size_t>({1, 2, 0}); n > 0; --n) topic.partition_indexes.push_back(partition_of(topic.name));
    }
  };
  if (step.version < 8) {
    step.message.group_id = step.keep(group_name());
    return topics_of(step.message.topics);
  }
  for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
    auto& group = step.message.groups.emplace_back();
    group.group_id = step.keep(group_name());
    topics_of(group.topics);
  }
}

void Generator::find_coordinator() {
  auto& step = add<kafka::FindCoordinatorRequest>();
  step.message.key_type = step.version < 1 || chance(75) ? int8_t{0} : pick<int8_t>({1, 2, 9, -1});
  if (step.message.key_type == 1) step.traits.insert("transactions");
  if (step.version < 4) {
    step.message.key = step.keep(group_name());
  } else {
    for (size_t i = draw(3); i > 0; --i) step.message.coordinator_keys.push_back(step.keep(group_name()));
  }
}

void Generator::describe_groups() {
  auto& step = add<kafka::DescribeGroupsRequest>();
  for (size_t i = pick<size_t>({1, 2, 0}); i > 0; --i) step.message.groups.push_back(step.keep(group_name()));
  step.message.include_authorized_operations = chance(30);
}

void Generator::list_groups() {
  auto& step = add<kafka::ListGroupsRequest>();
  if (step.version >= 4) {
    for (size_t i = draw(3); i > 0; --i) {
      step.message.states_filter.push_back(
          step.keep(pick<std::string>({"Stable", "Empty", "stable", "PreparingRebalance", "Nonsense", ""})));
    }
  }
  if (step.version >= 5) {
    for (size_t i = pick<size_t>({0, 0, 1, 2}); i > 0; --i) {
      step.message.types_filter.push_back(
          step.keep(pick<std::string>({"classic", "Classic", "consumer", "share", "Nonsense", ""})));
    }
  }
}

void Generator::delete_groups() {
  auto& step = add<kafka::DeleteGroupsRequest>();
  for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) step.message.groups_names.push_back(step.keep(group_name()));
}

void Generator::offset_delete() {
  auto& step = add<kafka::OffsetDeleteRequest>();
  step.message.group_id = step.keep(group_name());
  for (size_t i = pick<size_t>({1, 1, 2, 0}); i > 0; --i) {
    auto& topic = step.message.topics.emplace_back();
    topic.name = step.keep(topic_name(10));
    for (size_t n = pick<size_t>({1, 2, 0}); n > 0; --n) {
      topic.partitions.push_back({.partition_index = partition_of(topic.name)});
    }
  }
}

}  // namespace posthaste::differential
