#include "ir/ops/quant.h"

#include <cstddef>

#include <fmt/format.h>

namespace smelt::ir {

Status infer(const Dequantize& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 2));
  const TensorType& q = cx.input(0);
  const TensorType& scale = cx.input(1);
  // The IR's own: q is i8
  if (q.dtype != DType::kI8) return rule::malformed(fmt::format("q is {}, i8 required", name(q.dtype)));
  // ONNX DequantizeLinear-13: x_scale is a float
  if (!is_float(scale.dtype)) return rule::malformed(fmt::format("scale is {}, a float required", name(scale.dtype)));
  // ONNX DequantizeLinear-13: x_scale is a vector for per-channel; the IR's own: of one element for per-tensor
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 1, 1, 1));
  if (scale.shape[0] != Dim(1)) {
    // ONNX DequantizeLinear-13: axis in [-r, r-1], made non-negative by the importer
    SMELT_RETURN_IF_ERROR(rule::axis_in_rank(op.axis, q.shape.size()));
    // ONNX DequantizeLinear-13: x_scale has the extent of x along the axis
    SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 1, {q.shape[static_cast<std::size_t>(op.axis)]}));
  }
  cx.outputs = {{.dtype = scale.dtype, .shape = q.shape}};
  return {};
}

}  // namespace smelt::ir
