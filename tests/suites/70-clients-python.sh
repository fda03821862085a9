# what: the guide scenario with kafka-python, newest and 2.0.2, against a real broker
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/python/run.py
finish
