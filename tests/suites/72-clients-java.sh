# what: Kafka's own Java client 4.3.1 (the scenario of the other clients, administration) and its console tools, groups with a killed member
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/java/run.py
finish
