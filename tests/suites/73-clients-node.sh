# what: KafkaJS and @confluentinc/kafka-javascript against a real broker: the scenario of the other clients
# modes: full
# limit: 1500
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/node/run.py
finish
