# what: clang-format of every C++ file
# limit: 120
. "$(dirname "$0")/../tools/suite.sh"
while read -r file; do
  if clang-format-19 --dry-run --Werror "$file"; then passed; else failed "$file: run clang-format-19 -i $file"; fi
done < <(git ls-files '*.cc' '*.h')
finish
