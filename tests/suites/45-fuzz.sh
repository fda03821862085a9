# what: fuzz targets over seeds and old findings, then each 30 s in libFuzzer with sanitizers and an allocation budget
# modes: full
# limit: 2400
. "$(dirname "$0")/../tools/suite.sh"
# A finding: build/fuzz/findings/NAME-...; repeat it with build/asan/bin/fuzz-NAME FILE, mend the cause, and keep the file in
# tests/fuzz/regressions/NAME/.
targets="frame request response record-batch journal table recovery broker-records"
seconds=${POSTHASTE_FUZZ_SECONDS:-30}
# A gate looks at the same inputs each time; who explores chooses another seed, or hours.
export fuzz_seed=${POSTHASTE_FUZZ_SEED:-1}
megabytes=2048
python3 tests/fuzz/seeds.py build/fuzz-seeds || { failed "no seeds"; finish; }

must_build release fuzz_targets
for target in $targets; do
  inputs=(build/fuzz-seeds/$target)
  [ -d tests/fuzz/regressions/$target ] && inputs+=(tests/fuzz/regressions/$target)
  counted build/release/bin/fuzz-$target "${inputs[@]}" 2>/dev/null
done

must_build asan fuzz_targets
mkdir -p build/fuzz/findings
fuzz() { # fuzz TARGET: libFuzzer's log to build/logs/fuzz-TARGET.log, what it learnt to build/fuzz/corpus/TARGET
  mkdir -p "build/fuzz/corpus/$1" "tests/fuzz/regressions/$1"
  build/asan/bin/fuzz-"$1" -max_total_time="$2" -rss_limit_mb="$3" -timeout=20 -max_len=4096 -entropic=0 -seed="$fuzz_seed" -print_final_stats=1 \
    -artifact_prefix="build/fuzz/findings/$1-" "build/fuzz/corpus/$1" "build/fuzz-seeds/$1" "tests/fuzz/regressions/$1" >"build/logs/fuzz-$1.log" 2>&1
}
export -f fuzz
# shellcheck disable=SC2086
printf '%s\n' $targets | xargs -P "$(nproc)" -I{} bash -c 'fuzz "$@" || touch "build/fuzz/findings/.failed-$1"' fuzz {} "$seconds" "$megabytes"
for target in $targets; do
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/logs/fuzz-$target.log")
  if [ -f "build/fuzz/findings/.failed-$target" ] || [ -z "$executions" ]; then
    tail -n 30 "build/logs/fuzz-$target.log"
    failed "fuzz-$target; its log is build/logs/fuzz-$target.log"
  else
    echo "fuzz-$target: $executions executions"
    passed
  fi
  rm -f "build/fuzz/findings/.failed-$target"
  rmdir "tests/fuzz/regressions/$target" 2>/dev/null
done
finish
