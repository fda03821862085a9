# what: the whole broker and its clients in the simulator, by seed; one trace hash a seed, twice and in both builds
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-sim
seeds=1000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=50
fresh=$(fresh_seed)
echo "fresh seeds of this commit: from $fresh on"
seeds_on_all_cores 1 $((seeds / 5)) build/release/bin/posthaste-sim --quiet
seeds_on_all_cores "$fresh" $((seeds * 4 / 5)) build/release/bin/posthaste-sim --quiet
seeds_on_all_cores "$fresh" $((seeds / 50)) build/release/bin/posthaste-sim --quiet --twice
# Seeds beyond those above that found a bug once, or a mistake of the simulator (docs/reliability.md).
for seed in 3549 4640 5731 5733 7218 7456 8735 9345 12720 13074 13132 13864 14691 15756 20652 21420 21892 22724 31695 \
  33546 33739 40912 42957 43082 43762 44000 796015981 11060772204844; do
  counted build/release/bin/posthaste-sim --quiet $seed
done

[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-sim
# trace_hashes PRESET: of the seeds from $first_sanitized on, one line each, in order.
first_sanitized=$((fresh + seeds))
sanitized=$((seeds / 20))
trace_hashes() {
  local cores part first count=$sanitized logs=()
  cores=$(nproc)
  for ((part = 0; part < cores; part++)); do
    first=$((count * part / cores))
    logs+=("build/logs/.traces.$$.$part")
    "build/$1/bin/posthaste-sim" --hashes $((first_sanitized + first)) $((count * (part + 1) / cores - first)) >"${logs[part]}" 2>&1 &
  done
  wait
  cat "${logs[@]}"
  rm -f "${logs[@]}"
}
# The seeds under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer; each must leave the trace that it
# leaves in the release build: another one means that an address, an uninitialised byte or an order of evaluation counts.
trace_hashes release >build/logs/traces-release.txt
trace_hashes asan >build/logs/traces-asan.txt
for ((seed = first_sanitized; seed < first_sanitized + sanitized; seed++)); do
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
