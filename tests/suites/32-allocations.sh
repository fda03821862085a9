# what: the steady state of produce and fetch allocates nothing; and every micro benchmark runs
# modes: full
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release allocations_test posthaste-micro
run_gtest build/release/bin/allocations_test

# Each benchmark a few times, only to see that it still does its work: nothing here is timed.
micro=build/release/bin/posthaste-micro
expected=$("$micro" --benchmark_list_tests | wc -l)
if "$micro" --benchmark_min_time=0.001 --benchmark_format=csv >build/logs/micro.csv 2>build/logs/micro.err; then
  ran=$(grep -c '^"' build/logs/micro.csv)
  if [ "$expected" -gt 0 ] && [ "$ran" -eq "$expected" ] && ! grep -q ERROR build/logs/micro.csv; then
    passed "$ran"
  else
    failed "$ran of $expected micro benchmarks ran: see build/logs/micro.csv"
  fi
else
  cat build/logs/micro.err
  failed "posthaste-micro ended with an error"
fi
finish
