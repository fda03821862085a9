# what: the whole broker and its clients in the simulator, by seed; some seeds twice, one trace hash
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-sim
seeds=1000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=50
seeds_on_all_cores 1 $seeds build/release/bin/posthaste-sim --quiet
seeds_on_all_cores 5001 $((seeds / 50)) build/release/bin/posthaste-sim --quiet --twice
finish
