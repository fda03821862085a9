# what: the whole tree compiles and links without a warning (release); quick: the broker and two simulators, other suites build what they run
# limit: 1500
. "$(dirname "$0")/../tools/suite.sh"
targets=()
[ "$POSTHASTE_TEST_MODE" = quick ] && targets=(posthaste posthaste-storage-crash posthaste-sim)
must_build release "${targets[@]}"
passed
finish
