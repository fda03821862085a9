# what: the posthaste command against a real broker
# limit: 200
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/cli/run.py
finish
