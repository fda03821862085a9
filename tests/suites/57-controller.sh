# what: the controller's decisions for a cluster against a model world by seed: deaths, lies, wiped disks, early fencing, other controllers, changes of min.insync.replicas
# limit: 300
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-controller controller_model_test
run_gtest build/release/bin/controller_model_test
seeds=10000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=1000
find_fresh_seed
known_and_fresh "$seeds" build/release/bin/posthaste-controller --quiet
seeds_on_all_cores "$fresh" $((seeds / 20)) build/release/bin/posthaste-controller --quiet --twice
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-controller
traces_agree posthaste-controller $((fresh + seeds)) $((seeds / 20))
finish
