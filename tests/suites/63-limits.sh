# what: requests that wait hold no memory, what is created is counted and refused above its budget, limits of control groups and of file descriptors are kept to
# modes: full
# limit: 240
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/overload/limits.py
finish
