# what: the metadata quorum in a model world by seed: crashes, lies, partitions, wiped disks and changes of voters against Raft's promises
# limit: 300
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-quorum quorum_model_test
run_gtest build/release/bin/quorum_model_test
seeds=20000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=2000
fresh=$(fresh_seed)
echo "fresh seeds of this commit: from $fresh on"
seeds_on_all_cores 1 $((seeds / 5)) build/release/bin/posthaste-quorum --quiet
seeds_on_all_cores "$fresh" $((seeds * 4 / 5)) build/release/bin/posthaste-quorum --quiet
seeds_on_all_cores "$fresh" $((seeds / 20)) build/release/bin/posthaste-quorum --quiet --twice
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-quorum
traces_agree posthaste-quorum $((fresh + seeds)) $((seeds / 20))
finish
