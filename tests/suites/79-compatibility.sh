# what: docs/compatibility.md says what the broker lists and what the clients did in the suites before this one
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/compatibility.py --check
finish
