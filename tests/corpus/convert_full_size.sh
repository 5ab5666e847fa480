#!/usr/bin/env bash
# Full-size architectures with seeded weights, at two targets in three variants. In float32 the variant's own gates must hold, and in the
# other variants where the table says so. Elsewhere the table has the least SQNR in dB: random weights spread the noise of rounding
# over as many directions as there are, and no gate made for trained networks tells that from a fault, but a fault leaves less.
# usage: convert_full_size.sh SMELT CORPUS PYTHON   PYTHON: an interpreter with numpy and onnx
set -euo pipefail
smelt=$1 corpus=$2 python=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

variant() {  # MODEL TARGET VARIANT GATE [FLAG...]   GATE: "own", or a least SQNR
  local model=$1 target=$2 name=$3 gate=$4 gates=()
  shift 4
  [ "$gate" = own ] || gates=(--gate "sqnr=$gate")
  if "$smelt" variants "$work/$model.onnx" -o "$work/$model-$target" --target "$target" --variants "$name" --quiet "${gates[@]}" "$@"; then
    passed=$((passed + 1))
  else
    echo "FAIL $model $target $name: exit status $?"
    failed=$((failed + 1))
  fi
}

check() {  # MODEL FP16 INT8 [FLAG...]
  local model=$1 fp16=$2 int8=$3 target
  shift 3
  "$python" "$corpus/hydrate.py" "$corpus/skeletons/$model.onnx" "$work/$model.onnx" >/dev/null
  for target in ios16 ios18; do
    variant "$model" "$target" fp32 own "$@"
    variant "$model" "$target" fp16 "$fp16" "$@"
    variant "$model" "$target" int8 "$int8" "$@"
    rm -rf "$work/$model-$target"
  done
  rm -f "$work/$model.onnx"
}

#     model                  fp16 int8
check resnet50               own  25  --samples 2
check resnet50_dynamo        own  25  --samples 2
check mobilenet_v2           30   10  --samples 4
check fastvit_t8             own  own --samples 4
check fastvit_t8_train       own  20  --samples 4
check efficientnet_b0        35   15  --samples 4
check vit_base               own  22  --samples 2
check distilbert_sst2        45   25  --samples 4 --input input_ids:1x64
check distilbert_sst2_dynamo 45   25  --samples 4 --input input_ids:1x64
check bert_base_mlm          own  22  --samples 1
check bert_large_qa          40   20  --samples 1 --input input_ids:1x64
echo "full-size models: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
