# what: the metadata quorum by seed, in a model world and with real drivers and stores: crashes, lies, partitions, wiped disks and changes of voters against Raft's promises
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-quorum posthaste-drivers quorum_model_test
run_gtest build/release/bin/quorum_model_test
seeds=20000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=2000
find_fresh_seed
known_and_fresh $seeds build/release/bin/posthaste-quorum --quiet
seeds_on_all_cores "$fresh" $((seeds / 20)) build/release/bin/posthaste-quorum --quiet --twice
seeds_on_all_cores "$fresh" $((seeds / 4)) build/release/bin/posthaste-drivers --quiet
seeds_on_all_cores "$fresh" $((seeds / 40)) build/release/bin/posthaste-drivers --quiet --twice
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-quorum posthaste-drivers
traces_agree posthaste-quorum $((fresh + seeds)) $((seeds / 20))
traces_agree posthaste-drivers $((fresh + seeds)) $((seeds / 100))
finish
