# what: real stores, replicas and the streams between them on several simulated hosts, by seed; one trace hash a seed
# limit: 1200
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-streams
seeds=2000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=200
# The same seeds for every commit, as long as a fault is known that about one in 4,000 shows (docs/replication.md).
seeds_on_all_cores 1 $seeds build/release/bin/posthaste-streams
seeds_on_all_cores 1 $((seeds / 20)) build/release/bin/posthaste-streams --twice
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-streams
traces_agree posthaste-streams 1 $((seeds / 20))
finish
