# what: unit tests of every room (AddressSanitizer and UndefinedBehaviorSanitizer)
# modes: full
# limit: 1500
. "$(dirname "$0")/../tools/suite.sh"
unit_tests asan
finish
