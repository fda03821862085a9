// The bugs that can be planted in replication/ (reactor/planted.h), and the simulator that must find each.
#pragma once
#include "reactor/planted.h"

namespace posthaste::replication {

inline constexpr reactor::PlantedBugs kBugs(std::to_array<reactor::PlantedBug>({
    {"waits-count-durable-bytes", reactor::kSimulation,
     "what a reader waits for is counted by what is durable here, though other replicas hold it back"},
    {"view-of-another-term", reactor::kSimulation,
     "a replica takes records from, and is read by, who believes in another leader"},
    {"waiters-survive-demotion", reactor::kSimulation,
     "who waits for the high watermark goes on waiting when the role that promised it ends"},
    {"quorum-vote-not-durable", reactor::kQuorum, "a vote is answered before it is on disk"},
    {"quorum-leader-counts-early", reactor::kQuorum, "a leader counts its own records before they are durable"},
    {"quorum-old-epoch-by-count", reactor::kQuorum,
     "a leader commits records of an older epoch because a majority has them"},
    {"quorum-snapshot-without-voters", reactor::kQuorum, "a snapshot does not say who votes"},
    {"quorum-cuts-below-committed", reactor::kQuorum, "a follower cuts all of its log that is in no snapshot"},
    {"quorum-removed-voter-counts", reactor::kQuorum, "the voters before are counted until a change is committed"},
    {"quorum-change-too-early", reactor::kQuorum,
     "a leader changes the voters before it has committed in its epoch, or while a change is under way"},
    {"quorum-leads-alone", reactor::kQuorum, "a leader that no majority fetches from does not resign"},
    {"quorum-pre-vote-beside-leader", reactor::kQuorum, "a pre-vote is granted by who hears a leader"},
    {"quorum-unverified-votes", reactor::kQuorum, "a voter votes whose disk may have lost a vote"},
    {"driver-sends-before-writes", reactor::kDrivers,
     "a member's messages leave before the vote and the records that they speak of are on disk"},
    {"high-watermark-from-positions", reactor::kStreams,
     "the high watermark counts what followers have received, not what they have made durable"},
    {"own-durable-left-out", reactor::kStreams,
     "the high watermark counts what is durable on the followers only, not on the leader itself"},
    {"follower-starts-epoch", reactor::kStreams, "a replica that begins to follow starts its leader's epoch by itself"},
    {"previous-epoch-unchecked", reactor::kStreams,
     "a follower goes on at the end of its log whatever epoch its last records are of"},
    {"truncation-to-high-watermark", reactor::kStreams,
     "a follower cuts its log to its own high watermark before it follows, not to where it agrees with the leader"},
    {"caught-up-is-durable", reactor::kStreams,
     "a leader that sends a follower back to the live connection counts as durable what it has sent"},
    {"caught-up-leaves-gap", reactor::kStreams,
     "a leader goes on at the end of its log with a follower that comes back to the live connection"},
    {"unverified-preferred", reactor::kController,
     "a replica whose disk may have lied is elected though one that is beyond doubt lives"},
    {"stale-ack-expands", reactor::kController,
     "a replica enters the ISR by what an earlier life of its broker has acknowledged"},
    {"elr-kept-when-min-isr-falls", reactor::kController,
     "who left an ISR stays eligible when fewer replicas begin to be enough to commit"},
    {"unclean-without-leave", reactor::kController,
     "a replica that may not hold all that was committed is elected in a topic that does not allow it"},
    {"lost-stays-eligible", reactor::kController, "a replica whose disk is gone stays in ISR and ELR"},
    {"first-unverified-leads", reactor::kController,
     "of members whose disks may have lied the first one leads, not the one that holds most"},
}));

}  // namespace posthaste::replication
