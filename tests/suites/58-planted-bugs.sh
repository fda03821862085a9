# what: bugs planted on purpose: the simulators find each within 5,000 seeds (the table: build/logs/planted-bugs.md)
# modes: full
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build planted posthaste-sim posthaste-storage-crash posthaste-two-logs posthaste-quorum posthaste-drivers posthaste-controller posthaste-streams
counted tests/planted/hunt.sh
finish
