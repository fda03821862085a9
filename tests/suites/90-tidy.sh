# what: clang-tidy on the C++ files of the last change
# modes: full
# limit: 300
. "$(dirname "$0")/../tools/suite.sh"
# The range is POSTHASTE_TIDY_BASE if set, else what differs from origin/main (a branch), else the last commit. A change of the
# whole tree would take an hour of two cores, so the time is bounded; what is left is named.
seconds=150
base=${POSTHASTE_TIDY_BASE:-}
[ -n "$base" ] || base=$(git merge-base HEAD origin/main 2>/dev/null || true)
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then base=$(git rev-parse -q --verify HEAD~1 || git hash-object -t tree /dev/null); fi
echo "files that differ from $base"
[ -f build/release/compile_commands.json ] || must_build release

# tidy FILE END: one line with the result. A file that is not in the build (a fuzzer) is checked with its neighbours' flags.
tidy() {
  [ -f "$1" ] || return 0
  if [ "$(date +%s)" -ge "$2" ]; then
    echo "tidy-late $1"
  elif output=$(clang-tidy-19 -p build/release --quiet "$1" 2>&1); then
    echo "tidy-clean $1"
  else
    printf '%s\ntidy-dirty %s\n' "$output" "$1"
  fi
}
export -f tidy
while read -r line; do
  case "$line" in
    "tidy-clean "*) passed ;;
    "tidy-dirty "*) failed "${line#tidy-dirty }" ;;
    "tidy-late "*) echo "not looked at, out of time: ${line#tidy-late }" ;;
    *) echo "$line" ;;
  esac
done < <(git diff --name-only --diff-filter=AMR "$base" -- '*.cc' | grep -v '_benchmark\.cc$' |
  xargs -r -P "$(nproc)" -I{} bash -c 'tidy "$@"' tidy {} $(($(date +%s) + seconds)))
# A change without C++ is fine and says so.
[ $((suite_passed + suite_failed)) -gt 0 ] || { echo "no C++ file was looked at"; passed; }
finish
