# what: the same random sequences of requests against Apache Kafka and Posthaste; what differs must be in docs/differences.md
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste posthaste-differential
count=${POSTHASTE_DIFFERENTIAL_SEQUENCES:-150}
if build/release/bin/posthaste-differential --table | diff - docs/differences.md; then
  passed
else
  failed "docs/differences.md is not what posthaste-differential --table writes"
fi
counted python3 tests/differential/run.py "${POSTHASTE_DIFFERENTIAL_SEED:-1}" "$count"
# It must see a difference.
if python3 tests/differential/run.py --spoilt 1 40 >build/logs/differential-spoilt.txt; then
  failed "a broker that refuses what Kafka takes is not found"
elif grep -q 'MESSAGE_TOO_LARGE' build/logs/differential-spoilt.txt; then
  passed
else
  failed "$(tail -n 1 build/logs/differential-spoilt.txt)"
fi
finish
