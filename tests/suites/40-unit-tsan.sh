# what: what crosses cores, under ThreadSanitizer
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build tsan reactor_test
run_gtest build/tsan/bin/reactor_test
finish
