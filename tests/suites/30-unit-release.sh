# what: unit tests of every room (release)
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
unit_tests release
finish
