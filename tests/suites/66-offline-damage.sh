# what: a data folder damaged while the broker is down, stopped or killed: each acknowledged record is served exactly, or refused and said
# modes: full
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
# All cases; every commit flips other bits, the same commit the same ones.
commit=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1)
counted python3 tests/damage/run.py --all --seed "${POSTHASTE_DAMAGE_SEED:-$((16#$commit))}"
finish
