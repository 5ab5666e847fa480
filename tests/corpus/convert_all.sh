#!/usr/bin/env bash
# Every trained model that converts, at two targets in three variants, on its whole evaluation set: every gate must hold.
# usage: convert_all.sh SMELT CORPUS
set -euo pipefail
smelt=$1 trained=$2/trained
if [ ! -d "$trained" ]; then
  echo "trained models: skipped, no corpus"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() {  # MODEL [FLAG...]
  local model=$1 target
  shift
  for target in ios16 ios18; do
    if "$smelt" variants "$trained/$model.onnx" -o "$work/$model-$target" --target "$target" --data "$trained/${model%/*}/eval.npz" -j2 --quiet "$@"; then
      passed=$((passed + 1))
    else
      echo "FAIL $model $target: exit status $?"
      failed=$((failed + 1))
    fi
  done
}

check digits_cnn/model
check digits_cnn/model_dynamo
check digits_cnn/model_ln_silu
check fastvit_tiny/reparam
check fastvit_tiny/train_time
check sentiment/model --input input_ids:1x48
check sentiment/model_dynamo --input input_ids:1x48
check sentiment/model_int32
check fill_mask/model --input input_ids:1x32
check fill_mask/model_dynamo --input input_ids:1x32
check lstm_seq/model --input tokens:1x40 --variants fp32,fp16  # its only large weights are recurrent, which stay float
check lstm_seq/model_static --variants fp32,fp16
check unet_denoise/model
check unet_denoise/model_dynamo
echo "trained models: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
