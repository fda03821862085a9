# what: the broker as a process: ready in under 100 ms, idle memory, stops, restarts, what bad settings get
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/process/run.py
counted python3 tests/process/stops.py
counted python3 tests/process/full_pipe.py
finish
