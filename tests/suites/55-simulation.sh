# what: the whole broker and its clients in the simulator, by seed; the same seed twice, in release and under ASan
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-sim
must_build asan posthaste-sim
seeds=1000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=50
seeds_on_all_cores 1 $seeds build/release/bin/posthaste-sim --quiet
seeds_on_all_cores 5001 $((seeds / 50)) build/release/bin/posthaste-sim --quiet --twice
# One seed is one run in every build: the trace hashes of the sanitized program are those of the released one.
few=$((seeds / 50))
build/asan/bin/posthaste-sim --hashes 1 $few >build/logs/simulation-asan.txt
build/release/bin/posthaste-sim --hashes 1 $few >build/logs/simulation-release.txt
if diff build/logs/simulation-asan.txt build/logs/simulation-release.txt; then passed $few; else failed "release and ASan differ"; fi
finish
