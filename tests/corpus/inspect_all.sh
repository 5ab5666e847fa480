#!/usr/bin/env bash
# usage: inspect_all.sh SMELT CORPUS
# Every trained and published model and every backend test model must be read; a skeleton, whose weights are left out, must be
# refused as a tensor without data. Where a folder states its operator counts (trained/index.json), ours must agree.
set -euo pipefail
smelt=$1 corpus=$2
if [ ! -d "$corpus" ]; then
  echo "corpus: skipped, no folder $corpus"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
fail() { echo "corpus: $1"; failed=$((failed + 1)); }

tar -xJf "$corpus"/onnx/backend-test-data-*.tar.xz -C "$work"
while IFS= read -r model; do
  if "$smelt" inspect --json "$model" >/dev/null; then passed=$((passed + 1)); else fail "$model was refused"; fi
done < <(find "$corpus/trained" "$corpus/models" "$work" -name '*.onnx' | sort)

for model in "$corpus"/skeletons/*.onnx; do
  status=0
  "$smelt" inspect "$model" >/dev/null 2>"$work/err" || status=$?
  if [ "$status" -eq 4 ] && grep -q 'E0202.*has no data' "$work/err"; then passed=$((passed + 1)); else fail "$model: status $status"; fi
done

python3 - "$smelt" "$corpus/trained" <<'PY' || fail 'operator counts'
import json, subprocess, sys
smelt, folder = sys.argv[1:]
index = json.load(open(f"{folder}/index.json"))
wrong = 0
for name, row in sorted(index.items()):
    report = json.loads(subprocess.check_output([smelt, "inspect", "--json", f"{folder}/{name}"]))["result"]
    ours = {op["op_type"]: op["count"] for op in report["operators"]}
    if ours != row["ops"] or report["bytes"] != row["bytes"]:
        print(f"corpus: {name}: {ours} is not {row['ops']}")
        wrong += 1
print(f"corpus: operator counts of {len(index)} trained models compared, {wrong} differ")
sys.exit(1 if wrong or not index else 0)
PY
echo "corpus: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
