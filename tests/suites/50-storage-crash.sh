# what: the storage engine in the simulator: the power goes at any operation, bits rot; a reference model compares
# limit: 1800
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-storage-crash
program=bin/posthaste-storage-crash
seeds=10000
[ "$POSTHASTE_TEST_MODE" = quick ] && seeds=500
seeds_on_all_cores 1 $seeds build/release/$program
seeds_on_all_cores 100001 $((seeds / 1000)) build/release/$program --every-operation
seeds_on_all_cores 200001 $((seeds / 250)) build/release/$program --rot
finish
