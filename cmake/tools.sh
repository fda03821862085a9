# Shell functions that ./run, ./test and the suites share: install missing packages, build a preset. Sourced, not run.
# It does not run tests (tests/tools/runner.sh does).

posthaste_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root and sudo is missing; as root run: $*"
  fi
}

# missing_packages LIST...: prints the packages of these files in cmake/ that are not installed.
missing_packages() {
  local wanted installed package
  wanted=$(cd "$posthaste_root/cmake" && sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@")
  # shellcheck disable=SC2086
  installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' $wanted 2>/dev/null || true) "
  for package in $wanted; do
    case "$installed" in *" installed:$package "*) ;; *) printf '%s\n' "$package" ;; esac
  done
}

# install_packages LIST...
install_packages() {
  command -v dpkg-query >/dev/null || die "Debian 12 is the reference system; install by hand what cmake/packages.txt and, for tests, cmake/packages-test.txt list"
  local missing
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  say "installing Debian packages:" $missing
  as_root apt-get update -qq || die "apt-get update failed: check the network and /etc/apt/sources.list"
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing ||
    die "apt-get install failed; see above"
}

# build_preset PRESET [TARGET...]: configures once, then builds. Ninja configures again by itself when a CMake file changed.
build_preset() {
  local preset=$1
  shift
  if [ ! -f "$posthaste_root/build/$preset/build.ninja" ]; then
    (cd "$posthaste_root" && cmake --preset "$preset") || return 1
  fi
  ninja -C "$posthaste_root/build/$preset" "$@"
}
