# what: Kafka's own Java client 4.3.1 and console tools: administration, fetch sessions
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/java/run.py
finish
