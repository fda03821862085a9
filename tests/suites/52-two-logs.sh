# what: a log that leads and one that follows it, the power going at any operation, against a model of KIP-101
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
program=bin/posthaste-two-logs
must_build release posthaste-two-logs
seeds=2000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=500
find_fresh_seed
known_and_fresh $seeds build/release/$program
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-two-logs
seeds_on_all_cores $((fresh + seeds)) $((seeds / 20)) build/asan/$program
finish
