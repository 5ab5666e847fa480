#!/usr/bin/env bash
# Conversion measured against copying and hashing the same file, in one run: ratios of processor time (user + system), and peak memory.
# usage: run.sh SMELT [MODEL.onnx ...]    Without models: the bundled ones, and a synthetic network of 100 MB.
set -euo pipefail
smelt=$(realpath "$1")
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ $# -eq 0 ]; then
  python3 "$here/make_model.py" "$work/synthetic.onnx" 25
  set -- "$work/synthetic.onnx" "$here"/../fixtures/models/*/*.onnx
fi

# measure COMMAND...: the least of five runs' processor seconds, and their largest peak memory in MiB.
measure() {
  python3 - "$@" <<'PY'
import os, subprocess, sys
best, peak = None, 0
for _ in range(5):
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{sys.argv[1:]} failed")
    seconds = usage.ru_utime + usage.ru_stime
    best = seconds if best is None else min(best, seconds)
    peak = max(peak, usage.ru_maxrss)
print(f"{best:.3f} {peak / 1024:.1f}")
PY
}

printf '%-28s %9s %10s %8s %8s %10s\n' model MiB 'cp+sha s' variant 'ratio' 'peak MiB'
for model in "$@"; do
  read -r copy _ < <(measure cp "$model" "$work/copy")
  read -r hash _ < <(measure sha256sum "$model")
  shape=()
  case "$model" in *sentiment*) shape=(--input input_ids:1x48) ;; esac
  for variant in "fp32 --precision fp32" "fp16" "int8 --weights int8"; do
    read -r name flags <<<"$variant"
    # shellcheck disable=SC2086  # a list of flags
    read -r seconds peak < <(measure "$smelt" convert "$model" -o "$work/out.mlpackage" --no-validate --force --quiet $flags "${shape[@]}")
    python3 - "$(basename "$(dirname "$model")")/$(basename "$model")" "$(stat -c %s "$model")" "$copy" "$hash" "$name" "$seconds" "$peak" <<'PY'
import sys
model, size, copy, digest, variant, seconds, peak = sys.argv[1:]
peer = float(copy) + float(digest)
print(f"{model[-28:]:<28} {int(size) / 2**20:9.1f} {peer:10.3f} {variant:>8} {float(seconds) / max(peer, 1e-3):8.2f} {float(peak):10.1f}")
PY
  done
done
