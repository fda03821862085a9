#!/usr/bin/env bash
# Runs seeds of the simulators until it is stopped (Ctrl-C, SIGTERM), on all cores at the lowest priority, in turns of
# the whole broker, of several, of the storage engine alone and of the rig for several hosts. What fails is printed and added to build/logs/seeds-failed.txt with
# the commit. Copies the programs first, so that the tree can be built meanwhile.
# usage: tests/tools/seeds_forever.sh [FIRST_SEED]     POSTHASTE_SEED_CORES=1 leaves the other cores alone
#        needs: cmake --preset release && ninja -C build/release posthaste-sim posthaste-storage-crash posthaste-rig posthaste-sim-brokers
set -uo pipefail
cd "$(dirname "$0")/../.."
first=${1:-$((0x$(git rev-parse HEAD | cut -c1-11) + 1000000))} # beyond those that ./test runs
cores=${POSTHASTE_SEED_CORES:-$(nproc)}
commit=$(git rev-parse --short HEAD)
git diff --quiet HEAD || commit=$commit+changes
sim_seeds=200 # of one turn of one core: some seconds of each program
crash_seeds=1000
brokers_seeds=50
rig_seeds=500
turn_seconds_max=1800 # a simulator that hangs has failed
folder=$(mktemp -d)
failures=build/logs/seeds-failed.txt
mkdir -p build/logs
cp build/release/bin/posthaste-{sim,storage-crash,rig,sim-brokers} "$folder" || exit 1
trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null; wait; rm -rf "$folder"; exit 0' EXIT INT TERM # the workers end theirs

# run PROGRAM FIRST COUNT: all of them, also those behind one that ends the process.
run() {
  local program=$1 seed=$2 end=$(($2 + $3)) output status failed
  output=$folder/$program.$seed
  while [ "$seed" -lt "$end" ]; do
    timeout "$turn_seconds_max" nice -n 19 "$folder/$program" $([ "$program" = posthaste-storage-crash ] || echo --quiet) \
      "$seed" $((end - seed)) >"$output" 2>&1 &
    child=$!
    wait $child
    status=$?
    grep -a '^seed [0-9]*: ' "$output" | sed "s/^/$commit $program /" | tee -a "$failures"
    [ "$status" -le 1 ] && break
    failed=$(grep -a '^seed [0-9]*: ' "$output" | tail -n 1 | sed 's/^seed \([0-9]*\):.*/\1/')
    if [ -z "$failed" ]; then # killed, or it hangs: nobody said where
      echo "$commit $program somewhere in $seed to $((end - 1)): status $status" | tee -a "$failures"
      break
    fi
    seed=$((failed + 1))
  done
  rm -f "$output"
}

worker() { # worker NUMBER
  local at=$1 turn=0
  child=
  trap '[ -z "$child" ] || kill $child 2>/dev/null; exit 0' TERM INT
  trap - EXIT
  while true; do
    run posthaste-sim $((first + at * sim_seeds)) $sim_seeds
    run posthaste-storage-crash $((first + at * crash_seeds)) $crash_seeds
    run posthaste-sim-brokers $((first + at * brokers_seeds)) $brokers_seeds
    run posthaste-rig $((first + at * rig_seeds)) $rig_seeds
    at=$((at + cores))
    turn=$((turn + 1))
    printf '%s: core %d: %d seeds of the broker, %d of several, %d of the storage engine, %d of the rig, from %d on\n' \
      "$(date +%T)" "$1" $((turn * sim_seeds)) $((turn * brokers_seeds)) $((turn * crash_seeds)) $((turn * rig_seeds)) \
      "$first"
  done
}

for ((core = 0; core < cores; core++)); do worker $core & done
wait
