# what: the whole tree compiles and links without a warning (release)
# limit: 1500
. "$(dirname "$0")/../tools/suite.sh"
must_build release
passed
finish
