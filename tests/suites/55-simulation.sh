# what: the whole broker and its clients in the simulator, by seed; one trace hash a seed, twice and in both builds
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-sim
seeds=1000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=50
seeds_on_all_cores 1 $seeds build/release/bin/posthaste-sim --quiet
seeds_on_all_cores 5001 $((seeds / 50)) build/release/bin/posthaste-sim --quiet --twice

[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-sim
# trace_hashes PRESET: of the seeds from 10001 on, one line each, in order.
sanitized=$((seeds / 20))
trace_hashes() {
  local cores part first count=$sanitized logs=()
  cores=$(nproc)
  for ((part = 0; part < cores; part++)); do
    first=$((count * part / cores))
    logs+=("build/logs/.traces.$$.$part")
    "build/$1/bin/posthaste-sim" --hashes $((10001 + first)) $((count * (part + 1) / cores - first)) >"${logs[part]}" 2>&1 &
  done
  wait
  cat "${logs[@]}"
  rm -f "${logs[@]}"
}
# The seeds under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer; each must leave the trace that it
# leaves in the release build: another one means that an address, an uninitialised byte or an order of evaluation counts.
trace_hashes release >build/logs/traces-release.txt
trace_hashes asan >build/logs/traces-asan.txt
for ((seed = 10001; seed < 10001 + sanitized; seed++)); do
  released=$(grep -a "^seed $seed " build/logs/traces-release.txt)
  if [[ "$released" == *" trace "* ]] && grep -aqxF "$released" build/logs/traces-asan.txt; then
    passed
  else
    failed "seed $seed: '$released' in the release build, '$(grep -a "^seed $seed[: ]" build/logs/traces-asan.txt)' under asan"
  fi
done
# What follows the hashes of a run that died (a report of a sanitizer, a leak) is in no line of a seed.
grep -av '^seed [0-9]* trace [0-9a-f]*$' build/logs/traces-asan.txt && failed "the sanitizers report something, see above"
finish
