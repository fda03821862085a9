# what: clang-format of every C++ file
# limit: 120
. "$(dirname "$0")/../tools/suite.sh"
format() { if clang-format-19 --dry-run --Werror "$1"; then echo "formatted"; else echo "unformatted $1"; fi; }
export -f format
while read -r line; do
  case "$line" in
    formatted) passed ;;
    "unformatted "*) failed "${line#unformatted }: run clang-format-19 -i ${line#unformatted }" ;;
    *) echo "$line" ;;
  esac
done < <(git ls-files -z '*.cc' '*.h' | xargs -0 -P "$(nproc)" -I{} bash -c 'format "$1" 2>&1' format {})
finish
