#!/usr/bin/env bash
# The one entry to smelt's source tree: sets up, builds, tests and demonstrates. Every command does the set-up it needs.
#
#   ./smelt.sh demo     build, then inspect the bundled models
#   ./smelt.sh test     build, then run the project's tests (warnings are errors)
#   ./smelt.sh setup    install what the build needs, and stop
#   ./smelt.sh build    build build/release/bin/smelt
#   ./smelt.sh asan     build and run the tests under the address and undefined-behaviour sanitizers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf 'smelt.sh: %s\n' "$*"; }
die() { printf 'smelt.sh: %s\n' "$*" >&2; exit 1; }

# Name and least version of each Debian package, from the lock file.
locked_packages() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' deps.lock; }

missing_packages() {
  local name least have
  while read -r name least; do
    have=$(dpkg-query -W -f='${db:Status-Status} ${Version}' "$name" 2>/dev/null) || have=""
    case "$have" in
      "installed "*) dpkg --compare-versions "${have#installed }" ge "$least" || printf '%s\n' "$name" ;;
      *) printf '%s\n' "$name" ;;
    esac
  done < <(locked_packages)
}

setup() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: these packages (or their equivalents) must be there: $(locked_packages | cut -d' ' -f1 | xargs)"
    return
  fi
  local missing
  missing=$(missing_packages | xargs)
  if [ -z "$missing" ]; then
    say "setup: every package of deps.lock is installed"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    die "setup: missing packages; run this as root, then start again:
    apt-get install --no-install-recommends $missing"
  fi
  say "setup: installing $missing"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  missing=$(missing_packages | xargs)
  [ -z "$missing" ] || die "setup: still missing or older than deps.lock asks: $missing"
}

# build PRESET: configures once, then builds what changed.
build() {
  say "build: preset $1 in build/$1"
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" --log-level=WARNING >/dev/null
  cmake --build --preset "$1" -- --quiet
}

run_tests() {
  say "test: preset $1"
  ctest --test-dir "build/$1" -j2 --output-on-failure --no-tests=error
}

demo() {
  local smelt=build/release/bin/smelt model
  for model in fixtures/models/*/*.onnx; do
    printf '\n$ %s inspect %s\n' "$smelt" "$model"
    "$smelt" inspect "$model"
  done
}

case "${1:-help}" in
  setup) setup ;;
  build) setup; build release ;;
  test) setup; build dev; run_tests dev ;;
  asan) setup; build asan; run_tests asan ;;
  demo) setup; build release; demo ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [ "${1:-help}" = help ] || exit 2 ;;
esac
