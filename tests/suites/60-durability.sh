# what: 20 rounds of SIGKILL under load with real processes: every acknowledged record there once, in order, at its offset
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste posthaste-durability durability_test
run_gtest build/release/bin/durability_test
rounds=20
data=build/test-data/durability
rm -rf "$data" && mkdir -p "$data"
rm -f build/logs/durability.broker.log
counted build/release/bin/posthaste-durability --broker build/release/bin/posthaste --data "$data" --log build/logs/durability.broker.log \
  --rounds "$rounds" ${POSTHASTE_DURABILITY_SEED:+--seed "$POSTHASTE_DURABILITY_SEED"}
[ "$suite_failed" -gt 0 ] || rm -rf "$data"
finish
