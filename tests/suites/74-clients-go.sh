# what: franz-go, sarama and kafka-go against a real broker: the scenario of the other clients
# modes: full
# limit: 1200
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/go/run.py
finish
