# what: the guide scenario with kafka-python against a real broker; full: newest and 2.0.2, administration, the README's example
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
what=guide
[ "$POSTHASTE_TEST_MODE" = full ] && what=all
counted python3 tests/clients/python/run.py "$what"
finish
