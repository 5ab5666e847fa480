#!/usr/bin/env bash
# The one entry to smelt's source tree: sets up, builds, tests and demonstrates. Every command does the set-up it needs.
#
#   ./smelt.sh demo     build, then convert, quantize and validate the bundled models, with a verdict table
#   ./smelt.sh test     build, then run the project's tests (warnings are errors); with --all also every model of a corpus
#                       beside the checkout, the full-size ones too (half an hour, 4 GB of disk)
#   ./smelt.sh setup    install what the build needs, and stop
#   ./smelt.sh build    build build/release/bin/smelt
#   ./smelt.sh bench    measure speed and memory, conversion against cp and sha256sum, and print the tables
#   ./smelt.sh asan     build and run the tests under the address and undefined-behaviour sanitizers
#   ./smelt.sh fuzz [TARGET] [SECONDS]   fuzz one reader, or each in turn, 60 seconds unless told otherwise
#   ./smelt.sh coverage run the tests with counters and print the line coverage of src/
#   ./smelt.sh tidy [FILE...]            run clang-tidy on these files, or on all of src/ and tools/
#   ./smelt.sh format   format every C++ file; with --check say which are not, and fail
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export PATH="$PWD/.deps/cmake/bin:$PATH"

say() { printf 'smelt.sh: %s\n' "$*"; }
die() { printf 'smelt.sh: %s\n' "$*" >&2; exit 1; }

# locked KIND: the fields behind KIND of each such line of the lock file.
locked() { sed -n "s/^$1 //p" deps.lock; }

# missing_packages KIND: the Debian packages of KIND that are not there, or too old.
missing_packages() {
  local name version have
  while read -r name version _; do
    have=$(dpkg-query -W -f='${db:Status-Status} ${Version}' "$name" 2>/dev/null) || have=""
    case "$have" in
      "installed "*) dpkg --compare-versions "${have#installed }" ge "$version" || printf '%s\n' "$name" ;;
      *) printf '%s\n' "$name" ;;
    esac
  done < <(locked "$1")
}

# package_to_install KIND NAME: "NAME=VERSION" as locked, if the archive offers that version with the locked digest, which apt then holds the
# file against. NAME alone if the archive has moved on to another version, or the machine is not the one of the digests.
package_to_install() {
  local name=$2 version sha256 offered
  read -r _ version sha256 < <(locked "$1" | grep "^$2 ")
  offered=$(apt-cache show "$name=$version" 2>/dev/null | sed -n 's/^SHA256: //p')
  if [ "$(dpkg --print-architecture)" != amd64 ]; then
    printf '%s\n' "$name"
  elif [ -z "$offered" ]; then
    say "setup: the archive has no $name $version any more; taking what it has" >&2
    printf '%s\n' "$name"
  elif grep -qx "$sha256" <<<"$offered"; then
    printf '%s\n' "$name=$version"
  else
    die "setup: $name $version in the archive is not the package that deps.lock names"
  fi
}

setup_packages() {
  local kind=${1:-deb}
  if ! command -v dpkg-query >/dev/null; then
    say "setup: not a Debian system; these packages (or their equivalents) must be there: $(locked "$kind" | cut -d' ' -f1 | xargs)"
    return
  fi
  local missing name item wanted=()
  missing=$(missing_packages "$kind" | xargs)
  if [ -z "$missing" ]; then
    say "setup: every $kind package of deps.lock is installed"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    die "setup: missing packages; run this as root, then start again:
    apt-get install --no-install-recommends $missing"
  fi
  say "setup: installing $missing"
  apt-get update -qq
  for name in $missing; do
    item=$(package_to_install "$kind" "$name")
    wanted+=("$item")
  done
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
  missing=$(missing_packages "$kind" | xargs)
  [ -z "$missing" ] || die "setup: still missing or older than deps.lock asks: $missing"
}

# fetch NAME: the file of a PyPI package into .deps/download, its digest checked.
fetch() {
  local name version file sha256 attempt kind
  read -r name version file sha256 < <(locked pypi | grep "^$1 ")
  kind=(--only-binary :all: --python-version 3.11 --platform "$(platform_of "$file")")
  case "$file" in *.tar.gz) kind=(--no-binary "$name") ;; esac
  mkdir -p .deps/download
  if [ ! -f ".deps/download/$file" ]; then
    [ -x .deps/venv/bin/pip ] || python3 -m venv .deps/venv
    for attempt in 1 2 3; do
      if .deps/venv/bin/pip download -q --no-deps "${kind[@]}" -d .deps/download "$name==$version"; then break; fi
      [ "$attempt" -lt 3 ] || die "setup: $name $version cannot be downloaded"
    done
  fi
  printf '%s  %s\n' "$sha256" ".deps/download/$file" | sha256sum --check --quiet || die "setup: $file is not the file that deps.lock names"
}

# The first platform tag in a wheel's name.
platform_of() { local tag=${1%.whl}; tag=${tag##*-}; printf '%s' "${tag%%.*}"; }

# unpacked NAME DIRECTORY: whether DIRECTORY holds what deps.lock names now.
unpacked() { [ "$(cat "$2/sha256" 2>/dev/null)" = "$(locked pypi | sed -n "s/^$1 .* //p")" ]; }

on_x86_64() { [ "$(uname -m)" = x86_64 ]; }

setup_cmake() {
  if ! on_x86_64; then
    say "setup: deps.lock pins CMake for x86_64 only; the system's own must be 3.26 or newer"
    return
  fi
  if unpacked cmake .deps/cmake; then return; fi
  say "setup: fetching CMake"
  fetch cmake
  rm -rf .deps/cmake .deps/unpack
  python3 -m zipfile -e .deps/download/cmake-*.whl .deps/unpack
  mv .deps/unpack/cmake/data .deps/cmake
  rm -rf .deps/unpack
  chmod +x .deps/cmake/bin/*
  locked pypi | sed -n 's/^cmake .* //p' >.deps/cmake/sha256
}

setup_onnx() {
  if [ ! -f .deps/onnx/smelt_stamp ]; then
    say "setup: fetching and building the onnx library (about a minute, once)"
    fetch onnx
  fi
  local built
  [ -f .deps/download/onnx-*.tar.gz ] || fetch onnx
  built=$(JOBS=2 scripts/build_onnx.sh .deps/download/onnx-*.tar.gz "$(command -v cmake)" .deps/onnx)
  say "setup: ${built#build_onnx.sh: }"
}

setup_engine() {
  if unpacked onnxruntime .deps/onnxruntime; then
    say "setup: ONNX Runtime is there"
    return
  fi
  if ! on_x86_64; then
    say "setup: deps.lock pins ONNX Runtime for x86_64 only; give another with --engine, or convert with --no-validate"
    return
  fi
  say "setup: fetching ONNX Runtime"
  fetch onnxruntime
  rm -rf .deps/onnxruntime .deps/unpack
  mkdir -p .deps/onnxruntime
  python3 -m zipfile -e .deps/download/onnxruntime-*.whl .deps/unpack
  mv .deps/unpack/onnxruntime/capi/libonnxruntime.so.* .deps/onnxruntime/libonnxruntime.so
  rm -rf .deps/unpack
  locked pypi | sed -n 's/^onnxruntime .* //p' >.deps/onnxruntime/sha256
}

setup() {
  setup_packages
  setup_cmake
  setup_onnx
  setup_engine
}

# build PRESET: configures once, then builds what changed.
build() {
  say "build: preset $1 in build/$1"
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" --log-level=WARNING >/dev/null
  cmake --build --preset "$1" -- --quiet
}

run_tests() {
  say "test: preset $1"
  # Where the set-up installs the engine, a test that needs it may not skip.
  if on_x86_64; then export SMELT_TESTS_REQUIRE="${SMELT_TESTS_REQUIRE:-} engine"; fi
  ctest --test-dir "build/$1" -j2 --output-on-failure --no-tests=error
}

# Every model of the corpus that is to convert, the full-size architectures among them.
convert_corpus() {
  local corpus=../shared/corpus python
  [ -d "$corpus/trained" ] || die "test --all: no corpus at $corpus"
  python=$(tests/oracle/environment.sh) || die "test --all: the Python environment that fills the architectures cannot be installed"
  tests/corpus/convert_all.sh build/release/bin/smelt "$corpus"
  tests/corpus/convert_full_size.sh build/release/bin/smelt "$corpus" "$python"
}

# Each bundled model in fp32, fp16 and int8 at two targets, read back and measured on its evaluation set.
demo() {
  local smelt=build/release/bin/smelt out=out/demo model folder target name shape
  rm -rf "$out"
  for model in fixtures/models/*/*.onnx; do
    folder=$(dirname "$model") name=$(basename "$(dirname "$model")")
    shape=()
    [ "$name" != sentiment ] || shape=(--input input_ids:1x48)
    for target in ios16 ios18; do
      printf '\n$ %s variants %s -o %s --target %s --data %s %s\n' "$smelt" "$model" "$out/$name-$target" "$target" "$folder/eval.npz" "${shape[*]}"
      "$smelt" variants "$model" -o "$out/$name-$target" --target "$target" --data "$folder/eval.npz" "${shape[@]}"
    done
    printf '\n$ %s manifest check %s\n' "$smelt" "$out/$name-ios16"
    "$smelt" manifest check "$out/$name-ios16"
  done
  say "demo: the packages and their manifest.json are in $out"
}

# fuzz [TARGET] [SECONDS]: what is new goes to build/fuzz/corpus/TARGET, a finding to build/fuzz/findings.
fuzz() {
  local target seconds=${2:-60} targets
  targets=${1:-$(find fuzz/corpus -mindepth 1 -maxdepth 1 -printf '%f\n' | sort)}
  export TMPDIR=${TMPDIR:-$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)}
  for target in $targets; do
    [ -d "fuzz/corpus/$target" ] || die "fuzz: no target $target; there are: $(find fuzz/corpus -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"
    mkdir -p "build/fuzz/corpus/$target" build/fuzz/findings
    say "fuzz: $target for $seconds seconds"
    "build/fuzz/bin/fuzz_$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/findings/$target-" "build/fuzz/corpus/$target" "fuzz/corpus/$target" 2>"build/fuzz/$target.log" ||
      die "fuzz: a finding; see build/fuzz/$target.log"
    grep '^stat::number_of_executed_units' "build/fuzz/$target.log"
  done
}

# tidy [FILE...]: all of src/ and tools/ where none is named.
tidy() {
  cmake --preset tidy --log-level=WARNING >/dev/null
  if [ $# -eq 0 ]; then set -- $(git ls-files 'src/*.cc' 'tools/*.cc'); fi
  printf '%s\n' "$@" | xargs -n 1 -P 2 clang-tidy-14 -p build/tidy --quiet --warnings-as-errors='*'
}

cpp_files() { git ls-files '*.h' '*.cc'; }

case "${1:-help}" in
  setup) setup ;;
  build) setup; build release ;;
  test)
    [ "${2:---all}" = --all ] || die "test: \"$2\" is not --all"
    setup
    build dev
    run_tests dev
    if [ "${2:-}" = --all ]; then build release; convert_corpus; fi
    ;;
  asan) setup; build asan; run_tests asan ;;
  bench) setup; build release; shift; python3 bench/run.py build/release/bin/smelt "$@" ;;
  demo) setup; build release; demo ;;
  fuzz) setup; setup_packages deb-fuzz; build fuzz; fuzz "${2:-}" "${3:-}" ;;
  coverage) setup; build coverage; run_tests coverage; scripts/coverage.py build/coverage src ;;
  tidy) setup; setup_packages deb-lint; tidy "${@:2}" ;;
  format)
    setup_packages deb-lint
    if [ "${2:-}" = --check ]; then cpp_files | xargs clang-format-14 --dry-run --Werror; else cpp_files | xargs clang-format-14 -i; fi
    ;;
  *) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [ "${1:-help}" = help ] || exit 2 ;;
esac
