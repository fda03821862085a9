# what: include rule, banned symbols, no mutable globals, headers stand alone; and that each check can fail
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste_storage posthaste_net posthaste_replication posthaste_broker
counted python3 tests/architecture/check.py --self-test
counted python3 tests/architecture/check.py
finish
