# what: confluent-kafka, aiokafka and kafka-python against a real broker: every codec, groups with a killed member, times, administration
# modes: full
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/python/more.py
finish
