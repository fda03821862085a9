# what: clang-tidy on the C++ files of the last change
# modes: full
# limit: 300
. "$(dirname "$0")/../tools/suite.sh"
# The range is POSTHASTE_TIDY_BASE if set, else what differs from origin/main (a branch), else the last commit. A change of the
# whole tree would take an hour of two cores, so the newest files come first and the time is bounded; what is left is named.
seconds=240
base=${POSTHASTE_TIDY_BASE:-}
[ -n "$base" ] || base=$(git merge-base HEAD origin/main 2>/dev/null || true)
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then base=$(git rev-parse -q --verify HEAD~1 || git hash-object -t tree /dev/null); fi
echo "files that differ from $base"
must_build release
end=$((SECONDS + seconds))
while read -r file; do
  [ -f "$file" ] || continue
  if [ $SECONDS -ge $end ]; then
    echo "not looked at, out of time: $file"
    continue
  fi
  if clang-tidy-19 -p build/release --quiet "$file"; then passed; else failed "$file"; fi
done < <(git diff --name-only --diff-filter=AMR "$base" -- '*.cc' | grep -v '_benchmark\.cc$')
# A change without C++ is fine and says so.
[ $((suite_passed + suite_failed)) -gt 0 ] || { echo "no C++ file changed"; passed; }
finish
