#!/usr/bin/env bash
# Runs the suites in tests/suites/ one after another, shows progress, keeps each log in build/logs/, adds up the counts.
# A suite is a script whose header may say `# modes: quick full` (default: both) and `# limit: SECONDS` (default 600), and
# whose last line of the form `N passed, M failed` is its result. A suite without such a line, or that ends with an error
# while it counts no failure, is one failure. It does not install anything: ./test does, and calls this.
# usage: tests/tools/runner.sh quick|full [SUITE...]
set -uo pipefail
cd "$(dirname "$0")/../.."
mode=$1
shift
heartbeat_seconds=30
failure_tail_lines=60
mkdir -p build/logs
export POSTHASTE_TEST_MODE=$mode

chosen() { # chosen FILE PATTERN...: no pattern, or one that is part of the name
  local file=$1 pattern
  shift
  [ $# -gt 0 ] || return 0
  for pattern in "$@"; do case "$(basename "$file")" in *"$pattern"*) return 0 ;; esac done
  return 1
}
header() { sed -n "s/^# $2: *//p" "$1" | head -1; }

suites=()
for file in tests/suites/*.sh; do
  modes=$(header "$file" modes)
  case " ${modes:-quick full} " in *" $mode "*) chosen "$file" "$@" && suites+=("$file") ;; esac
done
if [ ${#suites[@]} -eq 0 ]; then
  echo "no suite matches: $*"
  exit 2
fi

running=
stop() { [ -z "$running" ] || kill -TERM -- "-$running" 2>/dev/null; exit 130; }
trap stop INT TERM

total_passed=0 total_failed=0 number=0 started=$SECONDS
for file in "${suites[@]}"; do
  number=$((number + 1))
  name=$(basename "$file" .sh)
  log=build/logs/$name.log
  limit=$(header "$file" limit)
  limit=${limit:-600}
  printf '[%d/%d] %s: %s\n' "$number" "${#suites[@]}" "$name" "$(header "$file" what)"
  begin=$SECONDS
  # A process group of its own, so that a suite that is too slow ends with everything it started.
  setsid bash "$file" >"$log" 2>&1 </dev/null &
  running=$!
  next=$((begin + heartbeat_seconds))
  late=no
  while kill -0 "$running" 2>/dev/null; do
    if [ $((SECONDS - begin)) -ge "$limit" ]; then
      late=yes
      kill -TERM -- "-$running" 2>/dev/null
      sleep 2
      kill -KILL -- "-$running" 2>/dev/null
      break
    fi
    if [ $SECONDS -ge $next ]; then
      printf '       %4ds  %s\n' $((SECONDS - begin)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
      next=$((SECONDS + heartbeat_seconds))
    fi
    sleep 0.2
  done
  wait "$running" 2>/dev/null
  status=$?
  running=
  result=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
  passed=0 failed=0
  [ -z "$result" ] || { passed=${result%% *} failed=${result#*, } failed=${failed%% *}; }
  if [ $late = yes ]; then
    echo "stopped: over its limit of $limit s" >>"$log"
    failed=$((failed + 1))
  elif [ -z "$result" ] || { [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; }; then
    echo "ended with status $status and the result line '${result:-none}'" >>"$log"
    failed=$((failed + 1))
  fi
  if [ "$failed" -gt 0 ]; then
    tail -n "$failure_tail_lines" "$log" | sed 's/^/       | /'
    printf '       FAILED: %d passed, %d failed in %d s; whole log: %s\n' "$passed" "$failed" $((SECONDS - begin)) "$log"
  else
    printf '       ok: %d passed in %d s\n' "$passed" $((SECONDS - begin))
  fi
  total_passed=$((total_passed + passed))
  total_failed=$((total_failed + failed))
done
printf '%d of %d suites in %d s\n' "$number" "${#suites[@]}" $((SECONDS - started))
printf '%d passed, %d failed\n' "$total_passed" "$total_failed"
[ "$total_failed" -eq 0 ] && [ "$total_passed" -gt 0 ]
