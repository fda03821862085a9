# what: several hosts in the simulator, with a toy replication and with whole brokers on them, by seed; one trace hash a seed
# limit: 1500
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-rig rig_test posthaste-sim-brokers simulation_test
run_gtest build/release/bin/rig_test
run_gtest build/release/bin/simulation_test
seeds=2000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=100
find_fresh_seed
known_and_fresh $seeds build/release/bin/posthaste-rig --quiet
seeds_on_all_cores "$fresh" $((seeds / 20)) build/release/bin/posthaste-rig --quiet --twice --hosts 5
seeds_on_all_cores "$fresh" $((seeds / 10)) build/release/bin/posthaste-sim-brokers --quiet
seeds_on_all_cores "$fresh" $((seeds / 100)) build/release/bin/posthaste-sim-brokers --quiet --twice --brokers 5

[ "$POSTHASTE_TEST_MODE" = full ] || finish
# Each bug of the toy is found: what the judge and the faults are worth.
while read -r bug _; do
  if line=$(build/release/bin/posthaste-rig --bug "$bug" 1 5000 2>/dev/null | grep -a "^found $bug "); then
    passed
    echo "$line"
  else
    failed "the toy's bug $bug is not found in 5,000 seeds"
  fi
done < <(build/release/bin/posthaste-rig --bugs)
must_build asan posthaste-rig posthaste-sim-brokers
traces_agree posthaste-rig $((fresh + seeds)) $((seeds / 20)) --hosts 5
traces_agree posthaste-sim-brokers $((fresh + seeds)) $((seeds / 200)) --brokers 5
finish
