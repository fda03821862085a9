# What every suite sources: the counting of results. A suite calls passed/failed or run_gtest, and `finish` as its last line.
# It does not decide which suites run (runner.sh does).
set -uo pipefail
# shellcheck source=../../cmake/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../cmake/tools.sh"
cd "$posthaste_root" || exit 1
suite_passed=0
suite_failed=0

passed() { suite_passed=$((suite_passed + ${1:-1})); }
failed() { # failed MESSAGE
  suite_failed=$((suite_failed + 1))
  printf 'FAILED: %s\n' "$1"
}

finish() {
  printf '%d passed, %d failed\n' "$suite_passed" "$suite_failed"
  [ "$suite_failed" -eq 0 ]
  exit
}

# must_build PRESET [TARGET...]: ends the suite when the build fails.
must_build() {
  build_preset "$@" && return
  failed "the $1 build is broken"
  finish
}

# counted COMMAND...: runs a program whose last line is `N passed, M failed` and adds that.
counted() {
  local output=build/logs/.counted.$$ status line
  "$@" 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$output" | tail -n 1)
  rm -f "$output"
  if [ -z "$line" ]; then
    failed "$1 ended with status $status and without a result line"
    return
  fi
  passed "${line%% *}"
  local bad=${line#*, }
  bad=${bad%% *}
  [ "$bad" -eq 0 ] && [ "$status" -ne 0 ] && bad=1
  suite_failed=$((suite_failed + bad))
}

# run_gtest PROGRAM [ARGUMENT...]: counts its tests; a crash or an empty program is a failure.
run_gtest() {
  local output=build/logs/.gtest.$$
  echo "== $*"
  "$@" --gtest_color=no >"$output" 2>&1
  count_gtest "$1" $? "$output"
}

# run_gtest_in_parts PROGRAM: the same; some parts of its tests run side by side. For what needs neither the machine's time
# nor anything outside the process.
run_gtest_in_parts() {
  local parts part pids=()
  parts=$(nproc)
  [ "$parts" -le 4 ] || parts=4
  echo "== $1 in $parts parts"
  for ((part = 0; part < parts; part++)); do
    GTEST_TOTAL_SHARDS=$parts GTEST_SHARD_INDEX=$part "$1" --gtest_color=no >"build/logs/.gtest.$$.$part" 2>&1 &
    pids+=($!)
  done
  for ((part = 0; part < parts; part++)); do
    wait "${pids[part]}"
    count_gtest "$1" $? "build/logs/.gtest.$$.$part"
  done
}

# count_gtest PROGRAM STATUS OUTPUT: of a run that has ended.
count_gtest() {
  local status=$2 output=$3 good bad
  good=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests\{0,1\}\..*/\1/p' "$output" | tail -n 1)
  bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) tests\{0,1\}, listed below:.*/\1/p' "$output" | tail -n 1)
  if [ "$status" -ne 0 ]; then cat "$output"; else tail -n 3 "$output"; fi
  rm -f "$output"
  passed "${good:-0}"
  suite_failed=$((suite_failed + ${bad:-0}))
  if [ -z "$good" ] || { [ "$status" -ne 0 ] && [ "${bad:-0}" -eq 0 ]; }; then
    failed "$1 ended with status $status"
  elif [ "$good" -eq 0 ] && [ "${bad:-0}" -eq 0 ]; then
    failed "$1 holds no test"
  fi
}

# unit_tests PRESET: builds and runs the unit-test program of every room. The reactor's tests are of real threads and clocks.
unit_tests() {
  local preset=$1 programs=() room
  for room in reactor storage net config replication broker app; do
    [ -n "$(find "$room" -name '*_test.cc' -print -quit 2>/dev/null)" ] && programs+=("${room}_test")
  done
  must_build "$preset" "${programs[@]}"
  for room in "${programs[@]}"; do
    if [ "$room" = reactor_test ]; then
      run_gtest "build/$preset/bin/$room"
    else
      run_gtest_in_parts "build/$preset/bin/$room"
    fi
  done
}

# find_fresh_seed: the first of the seeds that this commit alone runs: each commit sees new ones, and runs its own again. Say
# another one with POSTHASTE_FRESH_SEED. A single seed that failed: PROGRAM SEED. Sets $fresh and prints it.
find_fresh_seed() {
  local commit
  commit=$(git rev-parse HEAD 2>/dev/null) || commit=$(sha1sum CMakeLists.txt)
  fresh=${POSTHASTE_FRESH_SEED:-$((0x${commit:0:11}))}
  echo "fresh seeds of this commit: from $fresh on"
}

# seeds_on_all_cores FIRST COUNT COMMAND...: splits the seeds over the machine's cores; each part is `counted`.
seeds_on_all_cores() {
  local first=$1 count=$2 cores part i share logs=()
  shift 2
  cores=$(nproc)
  share=$(((count + cores - 1) / cores))
  for ((i = 0; i < cores && i * share < count; i++)); do
    part=$((count - i * share < share ? count - i * share : share))
    logs+=("build/logs/.seeds.$$.$i")
    "$@" $((first + i * share)) "$part" >"${logs[i]}" 2>&1 &
  done
  wait
  for log in "${logs[@]}"; do
    counted cat "$log"
    rm -f "$log"
  done
}

# known_and_fresh COUNT COMMAND...: a fifth of the seeds from 1 on, which every commit runs, and four fifths from $fresh on.
known_and_fresh() {
  local count=$1
  shift
  seeds_on_all_cores 1 $((count / 5)) "$@"
  seeds_on_all_cores "$fresh" $((count * 4 / 5)) "$@"
}

# trace_hashes PRESET FIRST COUNT PROGRAM [OPTION...]: of these seeds, one line each, in order.
trace_hashes() {
  local preset=$1 first=$2 count=$3 program=$4 cores part from logs=()
  shift 4
  cores=$(nproc)
  for ((part = 0; part < cores; part++)); do
    from=$((count * part / cores))
    logs+=("build/logs/.traces.$$.$part")
    "build/$preset/bin/$program" "$@" --hashes $((first + from)) $((count * (part + 1) / cores - from)) >"${logs[part]}" 2>&1 &
  done
  wait
  cat "${logs[@]}"
  rm -f "${logs[@]}"
}

# traces_agree PROGRAM FIRST COUNT [OPTION...]: the seeds under AddressSanitizer, LeakSanitizer and
# UndefinedBehaviorSanitizer; each must leave the trace that it leaves in the release build: another one means that an
# address, an uninitialised byte or an order of evaluation counts.
traces_agree() {
  local program=$1 first=$2 count=$3 seed released logs
  shift 3
  logs=build/logs/traces-$program
  trace_hashes release "$first" "$count" "$program" "$@" >"$logs-release.txt"
  trace_hashes asan "$first" "$count" "$program" "$@" >"$logs-asan.txt"
  for ((seed = first; seed < first + count; seed++)); do
    released=$(grep -a "^seed $seed " "$logs-release.txt")
    if [[ "$released" == *" trace "* ]] && grep -aqxF "$released" "$logs-asan.txt"; then
      passed
    else
      failed "$program, seed $seed: '$released' in the release build, '$(grep -a "^seed $seed[: ]" "$logs-asan.txt")' under asan"
    fi
  done
  # What follows the hashes of a run that died (a report of a sanitizer, a leak) is in no line of a seed.
  grep -av '^seed [0-9]* trace [0-9a-f]*$' "$logs-asan.txt" && failed "the sanitizers report something, see above"
  return 0
}
