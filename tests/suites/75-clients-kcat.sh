# what: kcat against a real broker: list, produce and consume with all codecs
# limit: 200
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/clients/kcat/run.py
finish
