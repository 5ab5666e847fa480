#!/usr/bin/env bash
# usage: inspect_test.sh SMELT SOURCE_DIR
# The command line as a user meets it: exit status, what goes to stdout, what goes to stderr.
set -euo pipefail
smelt=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect NAME STATUS STDOUT-PATTERN STDERR-PATTERN -- ARGS...   An empty pattern means: nothing is printed there.
expect() {
  local name=$1 want=$2 out=$3 err=$4 got=0
  shift 5
  "$smelt" "$@" >"$work/out" 2>"$work/err" || got=$?
  local bad=""
  [ "$got" -eq "$want" ] || bad="exit status $got, want $want"
  if [ -n "$out" ]; then grep -qE -- "$out" "$work/out" || bad="$bad; stdout lacks $out"; else [ ! -s "$work/out" ] || bad="$bad; stdout not empty"; fi
  if [ -n "$err" ]; then grep -qE -- "$err" "$work/err" || bad="$bad; stderr lacks $err"; else [ ! -s "$work/err" ] || bad="$bad; stderr not empty"; fi
  if [ -n "$bad" ]; then
    echo "FAIL $name: $bad"
    cat "$work/out" "$work/err"
    failures=$((failures + 1))
  else
    echo "ok   $name"
  fi
}

digits=$source/fixtures/models/digits_cnn/model.onnx
version=$(sed -n 's/^project(smelt VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
expect version 0 "^smelt $version\$" '' -- --version
expect help 0 'smelt inspect' '' -- --help
expect no-command 2 '' 'subcommand is required' --
expect unknown-flag 2 '' 'bogus' -- inspect "$digits" --bogus
expect text 0 '^input +image: float32 \[batch, 1, 8, 8\]$' '' -- inspect "$digits"
expect operators 0 'nodes +17: Conv 6, Relu 6' '' -- inspect "$digits"
expect digest 0 "sha256 $(sha256sum "$digits" | cut -d' ' -f1)\$" '' -- inspect "$digits"
expect json 0 '"ir_version": 8' '' -- inspect --json "$digits"
expect missing 1 '' '^error\[E0101\]' -- inspect "$work/none.onnx"
expect folder 1 '' '^error\[E0101\]' -- inspect "$work"
mkfifo "$work/fifo"
expect fifo 1 '' '^error\[E0101\]' -- inspect "$work/fifo"
: >"$work/empty.onnx"
expect empty 4 '' '^error\[E02' -- inspect "$work/empty.onnx"
head -c 5000 "$digits" >"$work/cut.onnx"
expect truncated 4 '' '^error\[E0201\]' -- inspect "$work/cut.onnx"
gzip -c "$digits" >"$work/gz.onnx"
expect gzip 4 '' '^error\[E0203\].*gzip' -- inspect "$work/gz.onnx"

"$smelt" inspect --json "$digits" >"$work/a"
(cd / && TZ=Asia/Tokyo LC_ALL=C.UTF-8 "$smelt" inspect --json "$digits" >"$work/b")
cmp "$work/a" "$work/b" || failures=$((failures + 1))

echo "$failures failures"
[ "$failures" -eq 0 ]
