#!/usr/bin/env bash
# Every trained and real model that converts, at two targets in three variants: every gate must hold. The trained ones run on their
# whole evaluation sets. A model whose own gates do not hold in a variant has given ones there, and the reason beside them.
# usage: convert_all.sh SMELT CORPUS
set -euo pipefail
smelt=$1 corpus=$2
if [ ! -d "$corpus/trained" ]; then
  echo "models: skipped, no corpus"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() {  # MODEL [FLAG...]
  local model=$1 target
  shift
  for target in ios16 ios18; do
    if "$smelt" variants "$corpus/$model.onnx" -o "$work/$model-$target" --target "$target" -j2 --quiet "$@"; then
      passed=$((passed + 1))
    else
      echo "FAIL $model $target $*: exit status $?"
      failed=$((failed + 1))
    fi
  done
}

trained() {  # MODEL [FLAG...]
  check "trained/$1" --data "$corpus/trained/${1%/*}/eval.npz" "${@:2}"
}

trained digits_cnn/model
trained digits_cnn/model_dynamo
trained digits_cnn/model_ln_silu
trained fastvit_tiny/reparam
trained fastvit_tiny/train_time
trained sentiment/model --input input_ids:1x48
trained sentiment/model_dynamo --input input_ids:1x48
trained sentiment/model_int32
trained fill_mask/model --input input_ids:1x32
trained fill_mask/model_dynamo --input input_ids:1x32
trained lstm_seq/model --input tokens:1x40 --variants fp32,fp16
trained lstm_seq/model --input tokens:1x40 --variants int8 --weight-threshold 64  # its only large weights are recurrent, which stay float
trained lstm_seq/model_static --variants fp32,fp16
trained lstm_seq/model_static --variants int8 --weight-threshold 64
trained unet_denoise/model
trained unet_denoise/model_dynamo

# Real weights. Without data of their own they see normal noise, on which their scores stand near the edge of a decision.
check models/mnist-cntk
check models/ultraface-slim-320 --samples 10
check models/ultraface-rfb-320 --samples 10 --variants fp32,fp16
check models/ultraface-rfb-320 --samples 10 --variants int8 --gate linf=0.1 --gate rmse=5e-3  # one score in 4420 of an image moves by 6 %
seq=(--input input_ids:1x32 --input attention_mask:1x32 --input token_type_ids:1x32)
check models/minilm-l6-v2 "${seq[@]}" --data "$corpus/models/minilm/eval.npz" --samples 20
check models/ppocr-rec --input x:1x3x48x320 --samples 2 --variants fp32
check models/ppocr-rec --input x:1x3x48x320 --samples 2 --variants fp16 --gate linf=0.05 --gate rmse=1e-3
check models/ppocr-rec --input x:1x3x48x320 --samples 2 --variants int8 --gate linf=0.5 --gate rmse=5e-3
echo "models: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
