# what: a log that leads and one that follows it, the power going at any operation, against a model of KIP-101
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
program=bin/posthaste-two-logs
must_build release posthaste-two-logs
seeds=2000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=500
fresh=$(fresh_seed)
echo "fresh seeds of this commit: from $fresh on"
seeds_on_all_cores 1 $((seeds / 5)) build/release/$program
seeds_on_all_cores "$fresh" $((seeds * 4 / 5)) build/release/$program
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-two-logs
seeds_on_all_cores $((fresh + seeds)) $((seeds / 20)) build/asan/$program
finish
