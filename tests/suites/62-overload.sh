# what: 10,000 connections, slow readers and writers, requests for many times the memory, a flood of questions: memory stays in its budget, good clients go on
# modes: full
# limit: 420
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/overload/run.py full
finish
