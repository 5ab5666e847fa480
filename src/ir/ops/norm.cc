#include "ir/ops/norm.h"

#include <cstddef>

namespace smelt::ir {

Status infer(const BatchNorm&, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 5, 5));
  // The IR's own: all five of one float type (ONNX BatchNormalization-15 lets mean and variance be another)
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  // The IR's own: x of rank 2 to 5
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 2, 5));
  // ONNX BatchNormalization-15: scale, B, mean and var have shape [C]
  for (std::size_t i = 1; i < 5; ++i) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, i, {cx.input(0).shape[1]}));
  cx.outputs = {cx.input(0)};
  return {};
}

Status infer(const LayerNorm& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 3));
  // ONNX LayerNormalization-17: X, Scale and B are of one float type
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  const Shape& x = cx.input(0).shape;
  // ONNX LayerNormalization-17: axis in [-r, r), made non-negative by the importer
  SMELT_RETURN_IF_ERROR(rule::axis_in_rank(op.axis, x.size()));
  const Shape normalized(x.begin() + op.axis, x.end());
  // The IR's own: gamma and beta have shape x.shape[axis:]
  for (std::size_t i = 1; i < 3; ++i) {
    if (cx.has(i)) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, i, normalized));
  }
  cx.outputs = {cx.input(0)};
  return {};
}

Status infer(const InstanceNorm&, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 3, 3));
  // ONNX InstanceNormalization-22: input, scale and B are of one float type
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  // ONNX InstanceNormalization-22: input is N, C and at least one spatial axis
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 3, SIZE_MAX));
  // ONNX InstanceNormalization-22: scale and B have shape [C]
  for (std::size_t i = 1; i < 3; ++i) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, i, {cx.input(0).shape[1]}));
  cx.outputs = {cx.input(0)};
  return {};
}

}  // namespace smelt::ir
