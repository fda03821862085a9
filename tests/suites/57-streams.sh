# what: real stores, replicas and the streams between them on several simulated hosts, by seed; one trace hash a seed
# limit: 1200
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-streams
seeds=2000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=200
find_fresh_seed
known_and_fresh $seeds build/release/bin/posthaste-streams
seeds_on_all_cores "$fresh" $((seeds / 20)) build/release/bin/posthaste-streams --twice
# Seeds beyond those above that found a bug once (docs/reliability.md).
for seed in 14356480364075; do
  counted build/release/bin/posthaste-streams $seed
done
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-streams
traces_agree posthaste-streams $((fresh + seeds)) $((seeds / 20))
finish
