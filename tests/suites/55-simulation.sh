# what: the whole broker and its clients in the simulator, by seed; one trace hash a seed, twice and in both builds
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-sim
seeds=1000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=50
find_fresh_seed
known_and_fresh $seeds build/release/bin/posthaste-sim --quiet
seeds_on_all_cores "$fresh" $((seeds / 50)) build/release/bin/posthaste-sim --quiet --twice
# Seeds beyond those above that found a bug once, or a mistake of the simulator (docs/reliability.md).
for seed in 3549 4640 5731 5733 7218 7456 8735 9345 12720 13074 13132 13864 14691 15756 20652 21420 21892 22724 31695 \
  33546 33739 40912 42957 43082 43762 44000 796015981 11060772204844; do
  counted build/release/bin/posthaste-sim --quiet $seed
done

[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-sim
traces_agree posthaste-sim $((fresh + seeds)) $((seeds / 20))
finish
