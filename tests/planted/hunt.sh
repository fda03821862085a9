#!/usr/bin/env bash
# Plants each bug of every room's planted_bugs.h in turn and lets its simulator look for it, at most 5,000 seeds long. Prints a
# table; the last line is `N passed, M failed`. With --write the table in docs/reliability.md is replaced.
# usage: tests/planted/hunt.sh [--write] [BUG...]      needs: cmake --preset planted && ninja -C build/planted posthaste-sim posthaste-storage-crash posthaste-two-logs posthaste-quorum posthaste-drivers posthaste-controller posthaste-streams
set -uo pipefail
cd "$(dirname "$0")/../.."
bin=build/planted/bin
seeds_max=5000
seconds_max=900 # for one bug: a simulator that hangs has found nothing
write=no
[ "${1:-}" = --write ] && write=yes && shift
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

hunt() { # hunt PROGRAM BUG: PROGRAM may have an option behind it
  local begin=$SECONDS line
  # shellcheck disable=SC2086
  line=$(timeout "$seconds_max" $bin/$1 --bug "$2" 1 "$seeds_max" 2>/dev/null | grep -a "^\(found\|missed\) $2 " | tail -n 1)
  printf '%s\t%s\t%s\t%s\n' "$2" "$1" "$((SECONDS - begin))" "${line:-missed $2 (it did not end in $seconds_max s)}" >"$results/$2"
}

bugs=()
for program in posthaste-storage-crash "posthaste-storage-crash --every-operation" "posthaste-storage-crash --rot" posthaste-two-logs posthaste-quorum posthaste-drivers posthaste-controller posthaste-streams posthaste-sim; do
  while read -r bug what; do
    [ $# -gt 0 ] && [[ " $* " != *" $bug "* ]] && continue
    bugs+=("$bug")
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    hunt "$program" "$bug" &
    # shellcheck disable=SC2086
  done < <($bin/$program --bugs)
done
wait

found=0
table=$results/.table
printf '| bug | what is wrong | found by | seeds needed | how it shows |\n|---|---|---|---|---|\n' >"$table"
for bug in "${bugs[@]}"; do
  IFS=$'\t' read -r _ program seconds line <"$results/$bug"
  # shellcheck disable=SC2086
  what=$($bin/$program --bugs | sed -n "s/^$bug //p")
  if [[ "$line" == found* ]]; then
    found=$((found + 1))
    read -r _ _ seed how <<<"$line"
    printf '| %s | %s | `%s` | %s | %s |\n' "$bug" "$what" "$program" "$seed" "$(cut -c1-160 <<<"$how" | tr '|' '/')" >>"$table"
  else
    printf '| %s | %s | `%s` | **not found** | |\n' "$bug" "$what" "$program" >>"$table"
  fi
  printf '%-28s %4ss  %s\n' "$bug" "$seconds" "$(cut -c1-150 <<<"$line")"
done
mkdir -p build/logs
cp "$table" build/logs/planted-bugs.md
if [ $write = yes ]; then
  sed -i -e '/^<!-- table -->$/,/^<!-- end of table -->$/{//!d}' -e "/^<!-- table -->\$/r $table" docs/reliability.md
fi
printf '%d passed, %d failed\n' "$found" $((${#bugs[@]} - found))
[ "$found" -eq "${#bugs[@]}" ] && [ "$found" -gt 0 ]
