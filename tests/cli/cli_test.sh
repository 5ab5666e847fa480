#!/usr/bin/env bash
# usage: cli_test.sh SMELT SOURCE_DIR
# Every command as a user meets it: exit statuses, what goes to stdout and stderr, what is left on the disk. Stops at the first problem.
# Parts that need the engine's library (SMELT_ENGINE, or the source tree's .deps) are skipped, and named, where it is not there.
set -euo pipefail
smelt=$(realpath "$1") source=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
digits=$source/fixtures/models/digits_cnn/model.onnx data=$source/fixtures/models/digits_cnn/eval.npz
corrupt=$source/fixtures/corrupt
engine=${SMELT_ENGINE:-$source/.deps/onnxruntime/libonnxruntime.so}
has_engine=false
if [ -f "$engine" ]; then
  has_engine=true
  export SMELT_ENGINE=$engine
elif [[ " ${SMELT_TESTS_REQUIRE:-} " == *" engine "* ]]; then
  echo "FAIL engine: this run promises the engine, and there is no $engine"
  exit 1
fi

fail() {
  echo "FAIL $1: $2"
  local file
  for file in "$work/stdout" "$work/stderr"; do if [ -f "$file" ]; then cat "$file"; fi; done
  exit 1
}

# expect NAME STATUS STDOUT-PATTERN STDERR-PATTERN -- ARGS...   An empty pattern means: nothing is printed there.
expect() {
  local name=$1 want=$2 out=$3 err=$4 got=0
  shift 5
  "$smelt" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null || got=$?
  [ "$got" -eq "$want" ] || fail "$name" "exit status $got, want $want"
  if [ -n "$out" ]; then grep -qE -- "$out" "$work/stdout" || fail "$name" "stdout lacks $out"; else [ ! -s "$work/stdout" ] || fail "$name" "stdout is not empty"; fi
  if [ -n "$err" ]; then grep -qE -- "$err" "$work/stderr" || fail "$name" "stderr lacks $err"; else [ ! -s "$work/stderr" ] || fail "$name" "stderr is not empty"; fi
  ! grep -q $'\033' "$work/stdout" "$work/stderr" || fail "$name" "an escape code, and no terminal"
  echo "ok   $name"
}

# Every file of the folder OUT, with its digest.
state() { (cd "$work/out" && find . -printf '%y %p %l\n' | sort && find . -type f -print0 | sort -z | xargs -0r sha256sum); }

# refuse NAME STATUS STDERR-PATTERN -- ARGS...   An error on stderr, nothing on stdout, and the folder OUT as it was.
refuse() {
  local before after
  before=$(state)
  expect "$1" "$2" '' "$3" "${@:4}"
  after=$(state)
  [ "$before" = "$after" ] || fail "$1" "files changed: $(diff <(echo "$before") <(echo "$after"))"
}

skip() { echo "skip $1: no engine library at $engine"; }

# The --json envelope against schemas/report.schema.json, as far as that file's own keywords go.
cat >"$work/check.py" <<'PYTHON'
import json, re, sys

root = json.load(open(sys.argv[1]))
types = {"null": type(None), "boolean": bool, "string": str, "array": list, "object": dict}
known = {"$schema", "$defs", "title", "description", "type", "const", "enum", "required", "properties", "additionalProperties", "items", "minItems",
         "minLength", "minimum", "pattern", "$ref", "anyOf", "allOf", "if", "then", "else"}

def is_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, types[name])

def problems(value, schema, path):
    if not isinstance(schema, dict):
        return [] if schema else [f"{path} must not be there"]
    assert set(schema) <= known, f"this checker does not know {set(schema) - known}"
    found = []
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(is_type(value, n) for n in names): found.append(f"{path} is {value!r}, not {names}")
    if "const" in schema and value != schema["const"]: found.append(f"{path} is {value!r}, not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]: found.append(f"{path} is {value!r}, none of {schema['enum']}")
    if "minimum" in schema and is_type(value, "number") and value < schema["minimum"]: found.append(f"{path} is {value}")
    if isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value): found.append(f"{path} is {value!r}")
        if len(value) < schema.get("minLength", 0): found.append(f"{path} is empty")
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0): found.append(f"{path} has {len(value)} elements")
        for k, element in enumerate(value): found += problems(element, schema.get("items", True), f"{path}[{k}]")
    if isinstance(value, dict):
        found += [f"{path} lacks {key}" for key in schema.get("required", []) if key not in value]
        for key, member in value.items():
            found += problems(member, schema.get("properties", {}).get(key, schema.get("additionalProperties", True)), f"{path}.{key}")
    if "$ref" in schema: found += problems(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], path)
    for part in schema.get("allOf", []): found += problems(value, part, path)
    if "anyOf" in schema:
        each = [problems(value, part, path) for part in schema["anyOf"]]
        if all(each): found += min(each, key=len) if value is None else each[-1]
    if "if" in schema:
        found += problems(value, schema.get("else" if problems(value, schema["if"], path) else "then", True), path)
    return found

def no_constants(name): raise ValueError(f"{name} is not JSON")

report = json.loads(sys.stdin.read(), parse_constant=no_constants)
command, status = sys.argv[2], int(sys.argv[3])
found = problems(report, root, "report")
if list(report) != ["schema", "command", "exit", "error", "result"]: found.append(f"the keys are {list(report)}")
if report.get("command") != command: found.append(f"command is {report.get('command')}, not {command}")
if report.get("exit") != status: found.append(f"exit is {report.get('exit')}, the process ended with {status}")
if (report.get("error") or {}).get("code") != (sys.argv[4] if len(sys.argv) > 4 else None): found.append(f"error is {report.get('error')}")
print("\n".join(found[:5]))
sys.exit(bool(found))
PYTHON

# json NAME STATUS CODE COMMAND -- ARGS...   One JSON object on stdout that fits the schema, nothing on stderr. CODE: of its error, or empty.
json() {
  local name=$1 want=$2 code=$3 command=$4 got=0 problem
  shift 5
  "$smelt" "$@" --json >"$work/stdout" 2>"$work/stderr" </dev/null || got=$?
  [ "$got" -eq "$want" ] || fail "$name" "exit status $got, want $want"
  [ ! -s "$work/stderr" ] || fail "$name" "stderr is not empty"
  problem=$(python3 "$work/check.py" "$source/schemas/report.schema.json" "$command" "$got" ${code:+"$code"} <"$work/stdout" 2>&1) || fail "$name" "$problem"
  if [ "${KEEP_JSON:-}" ]; then cp "$work/stdout" "$KEEP_JSON/$name.json"; fi
  echo "ok   $name"
}

mkdir out
convert=(convert "$digits" --no-validate)

mkdir made  # and empty

# --- help
for verb in '' inspect convert variants validate manifest 'manifest check' 'manifest schema'; do
  name=help${verb:+-}${verb// /-}
  # shellcheck disable=SC2086  # two words are two arguments
  (cd "$(dirname "$smelt")" && "./$(basename "$smelt")" $verb --help) >stdout 2>stderr || fail "$name" "exit status $?"
  [ ! -s stderr ] || fail "$name" "stderr is not empty"
  [ -s stdout ] || fail "$name" "no help"
  [ "$(wc -l <stdout)" -le 40 ] || fail "$name" "$(wc -l <stdout) lines"
  [ "$(LC_ALL=C.UTF-8 wc -L <stdout)" -le 120 ] || fail "$name" "$(LC_ALL=C.UTF-8 wc -L <stdout) columns"
  echo "ok   $name"
done

# --- exit 2: wrong usage
refuse usage-no-command 2 'subcommand is required' --
refuse usage-unknown-command 2 . -- melt
refuse usage-bad-flag 2 'bogus' -- "${convert[@]}" -o out/a.mlpackage --bogus
refuse usage-no-output 2 'output is required' -- "${convert[@]}"
refuse usage-target 2 '^error\[E0001\].*"ios14"' -- "${convert[@]}" -o out/a.mlpackage --target ios14
refuse usage-precision 2 '^error\[E0001\].*"fp8"' -- "${convert[@]}" -o out/a.mlpackage --precision fp8
refuse usage-precision-int8 2 '^error\[E0001\].*"int8"' -- "${convert[@]}" -o out/a.mlpackage --precision int8
refuse usage-weights 2 '^error\[E0001\].*"int4"' -- "${convert[@]}" -o out/a.mlpackage --weights int4
refuse usage-threshold 2 '^error\[E0001\].*"lots"' -- "${convert[@]}" -o out/a.mlpackage --weights int8 --weight-threshold lots
refuse usage-threshold-too-high 2 '^error\[E0001\].*onnx::Conv_78.* 27648 ' -- "${convert[@]}" -o out/a.mlpackage --weights int8 --weight-threshold 1MiB
refuse usage-extension 2 '^error\[E0001\].*mlpackage' -- "${convert[@]}" -o out/a.mlmodel
refuse usage-variant 2 '^error\[E0001\].*"fp64"' -- variants "$digits" --no-validate -o out/new --variants fp64
refuse usage-variant-twice 2 '^error\[E0001\].*twice' -- variants "$digits" --no-validate -o out/new --variants fp16,fp16
for shape in image image: :1x1x8x8 image:1x1x8 image:1x1x8x8x image:1x1x8x0 image:1x1x8x-8 image:1x1x8x9 picture:1x1x8x8; do
  refuse "usage-input-$shape" 2 '^error\[E0001\]' -- "${convert[@]}" -o out/a.mlpackage --input "$shape"
done
refuse usage-input-twice 2 '^error\[E0001\].*twice' -- "${convert[@]}" -o out/a.mlpackage --input image:1x1x8x8 --input image:2x1x8x8

# --- exit 1: could not
refuse missing-model 1 '^error\[E0101\]' -- convert none.onnx --no-validate -o out/a.mlpackage
refuse missing-external 1 '^error\[E0101\]: external data' -- convert "$corrupt/external_missing.onnx" --no-validate -o out/a.mlpackage
refuse missing-folder 1 '^error\[E0102\]' -- "${convert[@]}" -o out/none/a.mlpackage
refuse unknown-op 1 '^  com.example::FusedGate@1 \(2 nodes' -- convert "$corrupt/unknown_op.onnx" --no-validate -o out/a.mlpackage
refuse open-extent 1 '= help: .*--input x:1x128' -- convert "$corrupt/open_extent.onnx" --no-validate -o out/a.mlpackage
refuse not-representable 1 '^error\[E0401\].*ios15' -- "${convert[@]}" -o out/a.mlpackage --target ios15 --weights int8
refuse no-manifest 1 '^error\[E0101\].*manifest.json' -- manifest check out

# --- exit 4: malformed or hostile
refuse truncated 4 '^error\[E0201\]' -- convert "$corrupt/truncated.onnx" --no-validate -o out/a.mlpackage
refuse external-parent 4 '^error\[E0204\].*"\.\./weights.bin"' -- convert "$corrupt/external_parent.onnx" --no-validate -o out/a.mlpackage
refuse external-absolute 4 '^error\[E0204\].*"/etc/passwd"' -- convert "$corrupt/external_absolute.onnx" --no-validate -o out/a.mlpackage
head -c 20 /dev/zero >zeros.onnx
refuse zeros 4 '^error\[E02' -- convert zeros.onnx --no-validate -o out/a.mlpackage

# --- exit 6: not installed, said before anything is written
refuse usage-input-shape 2 '^error\[E0001\].*"image:1x0"' -- "${convert[@]}" -o out/a.mlpackage --input image:1x0
refuse usage-input-dtype 2 '^error\[E0001\].*"image" is f32' -- "${convert[@]}" -o out/a.mlpackage --input image:int32
refuse variants-not-representable 1 '^error\[E0401\]' -- variants "$digits" --no-validate -o out/new --target ios15
refuse missing-engine 6 '^error\[E0801\]' -- convert "$digits" -o out/a.mlpackage --engine none.so
refuse missing-engine-variants 6 '^error\[E0801\]' -- variants "$digits" -o out/new --engine none.so
[ -z "$(ls -A out)" ] || fail refusals "out holds $(ls -A out)"

# --- exit 0, without an engine
expect extent-given 0 'y.mlpackage' '' -- convert "$corrupt/open_extent.onnx" --no-validate -o y.mlpackage --input x:1x16
expect convert 0 '^a.mlpackage +ios16 ' '' -- "${convert[@]}" -o out/a.mlpackage
expect convert-relative 0 '^note: the open batch extent' '' -- "${convert[@]}" -o b.mlpackage
expect variants 0 '^model_int8.mlpackage +ios17 ' '' -- variants "$digits" --no-validate -o out/v --target ios17
expect variants-jobs 0 '^model_int8.mlpackage +ios17 ' '' -- variants "$digits" --no-validate -o out/w --target ios17 -j 3
diff -r out/v out/w >/dev/null || fail variants-jobs "other bytes with -j 3"
mkdir out/x
expect convert-jobs 0 '^model_int8.mlpackage +ios17 ' '' -- convert "$digits" --no-validate -o out/x/model_int8.mlpackage --target ios17 --weights int8 -j 4
diff -r out/v/model_int8.mlpackage out/x/model_int8.mlpackage >/dev/null || fail convert-jobs "other bytes with -j 4"
expect verbose 0 '^  onnx::Conv_63 \(288 elements\): not above' '' -- "${convert[@]}" -o out/verbose.mlpackage --weights int8 -v
expect manifest-check 0 '^3 packages, 0 measured again, 0 differences$' '' -- manifest check out/v
expect manifest-schema 0 '"smelt manifest.json"' '' -- manifest schema
"$smelt" manifest schema | cmp - "$source/schemas/manifest.schema.json" || fail manifest-schema "not the file in schemas/"
refuse output-exists 1 '^error\[E0103\]' -- "${convert[@]}" -o out/a.mlpackage
refuse output-exists-variants 1 '^error\[E0103\]' -- variants "$digits" --no-validate -o out/v --variants fp32_int8,fp16
mkdir out/mine.mlpackage
echo precious >out/mine.mlpackage/file
refuse force-on-a-folder 1 '^error\[E0103\]' -- "${convert[@]}" -o out/mine.mlpackage --force
rm -r out/mine.mlpackage
expect force 0 '^a.mlpackage +ios18 ' '' -- "${convert[@]}" -o out/a.mlpackage --force --target ios18

quiet=(
  "inspect $digits"
  "convert $digits --no-validate -o out/quiet.mlpackage"
  "variants $digits --no-validate -o out/quiet"
  "manifest check out/quiet"
)
if $has_engine; then
  quiet+=("convert $digits -o out/quiet2.mlpackage --samples 2" "validate out/quiet2.mlpackage --baseline $digits --samples 2"
          "manifest check out/quiet --measure --source $digits")
fi
for args in "${quiet[@]}"; do
  # shellcheck disable=SC2086  # a list of words
  expect "quiet-${args%% *}" 0 '' '' -- $args --quiet
done
expect quiet-error 1 '' '^error\[E0101\]' -- inspect none.onnx --quiet

json json-inspect 0 '' inspect -- inspect "$digits"
json json-inspect-package 0 '' inspect -- inspect out/a.mlpackage
json json-inspect-blocked 0 '' inspect -- inspect "$corrupt/unknown_op.onnx"
json json-inspect-error 4 E0201 inspect -- inspect "$corrupt/truncated.onnx"
json json-convert 0 '' convert -- "${convert[@]}" -o out/json.mlpackage --weights int8
json json-convert-exists 1 E0103 convert -- "${convert[@]}" -o out/json.mlpackage
json json-convert-usage 2 E0001 convert -- "${convert[@]}" -o out/new.mlpackage --target ios14
json json-convert-engine 6 E0801 convert -- convert "$digits" -o out/new.mlpackage --engine none.so
json json-variants 0 '' variants -- variants "$digits" --no-validate -o out/json --variants fp32,fp16,int8,fp32_int8
json json-variants-error 1 E0301 variants -- variants "$corrupt/unknown_op.onnx" --no-validate -o out/new
json json-manifest 0 '' 'manifest check' -- manifest check out/json
json json-manifest-error 1 E0101 'manifest check' -- manifest check made
json json-manifest-unmeasured 0 '' 'manifest check' -- manifest check out/json --measure
[ ! -e out/new ] && [ ! -e out/new.mlpackage ] || fail json "something was written in spite of an error"

# --- exit 3: a manifest that its files do not bear out
flip() { # FILE OFFSET MASK: changes bits of one byte
  python3 -c 'import sys; p, o, m = sys.argv[1], *map(int, sys.argv[2:]); b = bytearray(open(p, "rb").read()); b[o] ^= m; open(p, "wb").write(b)' "$@"
}
blob=Data/com.apple.CoreML/weights/weight.bin
flip out/json/model_fp32.mlpackage/$blob 200 1
expect manifest-byte 3 '^differs: model_fp32: .*weight.bin" has the digest' '' -- manifest check out/json
json json-manifest-byte 3 '' 'manifest check' -- manifest check out/json
flip out/json/model_fp32.mlpackage/$blob 200 1
touch out/json/model_fp16.mlpackage/extra
expect manifest-extra-file 3 '^differs: model_fp16: .*extra" is not recorded' '' -- manifest check out/json
rm out/json/model_fp16.mlpackage/extra
expect manifest-repaired 0 ' 0 differences$' '' -- manifest check out/json

# --- a full disk behind stdout
if [ -w /dev/full ]; then
  for args in "inspect $digits" "inspect $digits --json" "manifest schema" --help --version; do
    got=0
    # shellcheck disable=SC2086  # a list of words
    "$smelt" $args >/dev/full 2>stderr || got=$?
    if [ "$got" -ne 1 ] || ! grep -q '^error\[E0102\]' stderr; then fail "full-disk ${args%% *}" "exit status $got: $(cat stderr)"; fi
  done
  echo "ok   full-disk"
fi

# --- with an engine
cat >terminal.py <<'PYTHON'
import os, pty, sys
# Runs a command on a terminal of its own and copies what it prints.
out = []
def read(fd):
    out.append(os.read(fd, 65536))
    return out[-1]
status = os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read, lambda fd: b""))
sys.exit(status)
PYTHON

if $has_engine; then
  expect convert-parity 0 '^p.mlpackage .* PASS ' '' -- convert "$digits" -o out/p.mlpackage --precision fp32 --samples 5
  expect convert-data 0 '99\.83 % \(baseline 99\.83 %\) +PASS ' '' -- convert "$digits" -o out/data.mlpackage --data "$data"
  expect gate-fails 3 '^f.mlpackage .* FAIL ' '' -- convert "$digits" -o out/f.mlpackage --gate linf=1e-12
  [ -f out/f.mlpackage/Manifest.json ] || fail gate-fails "the package is gone"
  expect gate-fails-quiet 3 '' '' -- validate out/p.mlpackage --baseline "$digits" --gate linf=1e-12 --quiet
  expect gate-fails-validate 3 '^failed: p.mlpackage: linf of "logits" is .*, the limit is 1e-12$' '' -- validate out/p.mlpackage --baseline "$digits" --gate linf=1e-12
  expect gate-fails-worst-op 3 '^worst op: f.mlpackage: [a-z_]+ ".*", SQNR [0-9.]+ dB from .*, for "logits" of sample [0-9]+$' '' -- validate out/f.mlpackage --baseline "$digits" --gate linf=1e-12
  json json-worst-op 3 '' validate -- validate out/f.mlpackage --baseline "$digits" --gate linf=1e-12
  json json-gate-fails 3 '' validate -- validate out/p.mlpackage --baseline "$digits" --gate linf=1e-12
  refuse gate-missing-output 2 '^error\[E0001\].*"none"' -- validate out/p.mlpackage --baseline "$digits" --gate none.linf=1
  refuse gate-malformed 2 '^error\[E0001\].*speed' -- validate out/p.mlpackage --baseline "$digits" --gate speed=1
  expect validate 0 '^p.mlpackage .* PASS$' '' -- validate out/p.mlpackage --baseline "$digits"
  refuse validate-no-package 4 '^error\[E0203\]' -- validate made --baseline "$digits"
  refuse validate-no-baseline 1 '^error\[E0101\]' -- validate out/p.mlpackage --baseline none.onnx
  refuse convert-gate-of-nothing 2 '^error\[E0001\].*nosuch' -- convert "$digits" -o out/new.mlpackage --gate nosuch.linf=1
  refuse convert-data-missing 1 '^error\[E0101\]' -- convert "$digits" -o out/new.mlpackage --data none.npz
  refuse validate-missing-engine 6 '^error\[E0801\]' -- validate out/p.mlpackage --baseline "$digits" --engine none.so

  # The highest exponent bit of a weight of the last of the file's float32 blobs, the classifier's.
  offset=$(($(stat -c %s out/p.mlpackage/$blob) - 1))
  flip out/p.mlpackage/$blob "$offset" 64
  expect byte-flip 3 '^p.mlpackage .* FAIL$' '' -- validate out/p.mlpackage --baseline "$digits"
  json json-byte-flip 3 '' validate -- validate out/p.mlpackage --baseline "$digits"
  flip out/p.mlpackage/$blob "$offset" 64
  expect byte-flip-undone 0 '^p.mlpackage .* PASS$' '' -- validate out/p.mlpackage --baseline "$digits"

  expect variants-data 0 '^model_int8.mlpackage .* PASS ' '' -- variants "$digits" -o out/d --data "$data"
  expect validate-folder 0 '^model_fp16.mlpackage .* PASS$' '' -- validate out/d --baseline fp32 --variants int8,fp16 --save out/saved --data "$data"
  for variant in int8 fp16; do
    for name in inputs baseline variant; do [ -s "out/saved/model_$variant/$name.npz" ] || fail validate-folder "no model_$variant/$name.npz"; done
  done
  refuse validate-folder-unknown 2 '^error\[E0001\].*"fp64"' -- validate out/d --baseline fp32 --variants fp64
  refuse measure-needs-source 2 '^error\[E0001\].*"model.onnx".*not beside' -- manifest check out/d --measure --data "$data"
  echo another >out/model.onnx  # of that name, and not the recorded one
  refuse measure-needs-the-source 2 '^error\[E0001\].*"model.onnx".*not beside' -- manifest check out/d --measure --data "$data"
  cp "$digits" out/model.onnx
  expect measure-source-above 0 '^3 packages, 3 measured again, 0 differences$' '' -- manifest check out/d --measure --data "$data"
  rm out/model.onnx
  refuse measure-needs-data 2 '^error\[E0001\].*eval.npz' -- manifest check out/d --measure --source "$digits"
  for time in once twice; do
    expect "measure-$time" 0 '^3 packages, 3 measured again, 0 differences$' '' -- manifest check out/d --measure --source "$digits" --data "$data"
  done
  python3 - out/d/manifest.json <<'PYTHON'
import json, math, sys
text = json.load(open(sys.argv[1]))
output = text["models"][0]["parity"]["outputs"][0]
output["rmse"] = math.nextafter(output["rmse"], 0)
json.dump(text, open(sys.argv[1], "w"))
PYTHON
  expect measure-edited 3 '^differs: model_fp16: logits.rmse is recorded as' '' -- manifest check out/d --measure --source "$digits" --data "$data"
  json json-measure-edited 3 '' 'manifest check' -- manifest check out/d --measure --source "$digits" --data "$data"
  json json-convert-parity 0 '' convert -- convert "$digits" -o out/jp.mlpackage --data "$data"
  json json-convert-gate 3 '' convert -- convert "$digits" -o out/jg.mlpackage --gate linf=1e-12
  json json-variants-parity 0 '' variants -- variants "$digits" -o out/jv
  json json-validate 0 '' validate -- validate out/jv --baseline fp32 --variants int8,fp16
  json json-validate-error 2 E0001 validate -- validate out/jp.mlpackage --baseline "$digits" --gate none.linf=1

  # Colours: on a terminal, unless NO_COLOR says otherwise.
  unset NO_COLOR
  python3 terminal.py "$smelt" validate out/p.mlpackage --baseline "$digits" >stdout 2>stderr || fail color "exit status $?"
  grep -q $'\033\[32mPASS\033\[0m' stdout || fail color "none on a terminal"
  NO_COLOR=1 python3 terminal.py "$smelt" validate out/p.mlpackage --baseline "$digits" >stdout 2>stderr || fail no-color "exit status $?"
  grep -q PASS stdout || fail no-color "no verdict"
  ! grep -q $'\033' stdout || fail no-color "an escape code"
  echo "ok   color"
else
  for part in convert-parity gates byte-flip validate-folder measure json-parity color; do skip "$part"; done
fi

# The packages for other readers, tests/oracle/check_kept.py: by now all of them are as smelt wrote them again.
if [ "${SMELT_KEEP_PACKAGES:-}" ]; then
  mkdir -p "$SMELT_KEEP_PACKAGES"
  while read -r package; do
    name=${package#./} name=cli.${name//\//.}
    rm -rf "${SMELT_KEEP_PACKAGES:?}/$name"
    cp -r "$package" "$SMELT_KEEP_PACKAGES/$name"
  done < <(find . -name '*.mlpackage' -type d -exec test -f '{}/Manifest.json' ';' -print)
fi
echo "all ok"
