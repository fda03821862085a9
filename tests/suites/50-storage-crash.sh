# what: the storage engine in the simulator: the power goes at any operation, bits rot; a reference model compares
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
program=bin/posthaste-storage-crash
must_build release posthaste-storage-crash
seeds=10000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=500
find_fresh_seed
known_and_fresh $seeds build/release/$program
seeds_on_all_cores "$fresh" $((seeds / 1000)) build/release/$program --every-operation
seeds_on_all_cores "$fresh" $((seeds / 250)) build/release/$program --rot
# Seeds beyond those above that found a bug once (docs/reliability.md).
for seed in 2037 4175 4640 55024 65676 93848 115144 426647 472776 100239349 100482141; do
  seeds_on_all_cores $seed 1 build/release/$program
done
for seed in 12851824932261; do
  seeds_on_all_cores $seed 1 build/release/$program --rot
done
[ "$POSTHASTE_TEST_MODE" = full ] || finish
must_build asan posthaste-storage-crash
# The same with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer: fewer seeds, other ones.
fresh=$((fresh + seeds))
seeds_on_all_cores $fresh $((seeds / 100)) build/asan/$program
seeds_on_all_cores $fresh $((seeds / 5000)) build/asan/$program --every-operation
seeds_on_all_cores $fresh $((seeds / 250)) build/asan/$program --rot
finish
