#include "replication/quorum_description.h"

namespace posthaste::replication {

using quorum::Progress;
using quorum::Quorum;
using quorum::ReplicaKey;
using reactor::Instant;
using reactor::WallMillis;
using Member = QuorumDescription::Member;

namespace {

// Who fetches for nothing new waits at the leader, and lacks nothing meanwhile.
Member describe_one(const ReplicaKey& key, const Quorum& leader, Instant now, WallMillis wall_now) {
  Member member{.key = key};
  if (key == leader.self()) {
    member.log_end = leader.log().end_offset();
    member.fetched = member.caught_up = wall_now;
    return member;
  }
  const auto found = leader.progress().find(key);
  if (found == leader.progress().end()) return member;
  const Progress& progress = found->second;
  const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(now - progress.last_fetch);
  member.log_end = progress.match;
  member.fetched = {wall_now.value - ago.count()};
  if (progress.match == leader.log().end_offset()) member.caught_up = member.fetched;
  return member;
}

}  // namespace

QuorumDescription describe(const Quorum& member, Instant now, WallMillis wall_now) {
  QuorumDescription out{.is_leader = member.role() == quorum::Role::kLeader,
                        .leader = member.leader(),
                        .epoch = member.epoch(),
                        .high_watermark = member.high_watermark(),
                        .voters = {},
                        .observers = {}};
  if (!out.is_leader) return out;
  for (const ReplicaKey& voter : member.voters()) out.voters.push_back(describe_one(voter, member, now, wall_now));
  for (const auto& [key, progress] : member.progress()) {
    if (!member.voters().contains(key)) out.observers.push_back(describe_one(key, member, now, wall_now));
  }
  return out;
}

}  // namespace posthaste::replication
