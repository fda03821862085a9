# what: starts that cannot succeed say why within seconds, signals stop at any moment, names and every-address listeners tell each client where to connect
# modes: full
# limit: 180
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/process/starts.py
counted python3 tests/process/listeners.py
finish
