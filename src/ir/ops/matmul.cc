#include "ir/ops/matmul.h"

#include <cstddef>

#include <fmt/format.h>

#include "ir/ops/elementwise.h"

namespace smelt::ir {

Status infer(const MatMul& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 2));
  // ONNX MatMul-13: A and B are of one type T
  SMELT_RETURN_IF_ERROR(rule::one_dtype(cx));
  // ONNX MatMul-13: T is a float or an integer
  if (cx.input(0).dtype == DType::kBool) return rule::malformed("matmul of bool, a float or integer required");
  // The IR's own: ranks >= 2
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 2, SIZE_MAX));
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 1, 2, SIZE_MAX));
  Shape x = cx.input(0).shape;
  Shape y = cx.input(1).shape;
  const std::size_t x_rank = x.size();
  const std::size_t y_rank = y.size();
  const Dim rows = x[x_rank - (op.transpose_x ? 1 : 2)];
  const Dim x_inner = x[x_rank - (op.transpose_x ? 2 : 1)];
  const Dim y_inner = y[y_rank - (op.transpose_y ? 1 : 2)];
  const Dim columns = y[y_rank - (op.transpose_y ? 2 : 1)];
  // NumPy matmul, which ONNX MatMul-13 follows: the inner extents are equal
  if (compare(x_inner, y_inner) == Comparison::kDifferent) {
    return rule::malformed(fmt::format("inner extents differ: {} in {} against {} in {}", x_inner.extent(),
                                       cx.symbols.text(x), y_inner.extent(), cx.symbols.text(y)));
  }
  x.resize(x_rank - 2);
  y.resize(y_rank - 2);
  // NumPy matmul: the axes before the last two broadcast
  SMELT_ASSIGN_OR_RETURN(Shape shape, broadcast(x, y, cx.symbols));
  shape.push_back(rows);
  shape.push_back(columns);
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Linear&, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 3));
  // The IR's own: x, w and b are of one float type
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  // The IR's own: x of rank >= 2, w: T[N, K]
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 0, 2, SIZE_MAX));
  SMELT_RETURN_IF_ERROR(rule::rank_between(cx, 1, 2, 2));
  Shape shape = cx.input(0).shape;
  const Shape& w = cx.input(1).shape;
  // ONNX Gemm-13 with transB: the last axes of A and B are equal
  if (compare(shape.back(), w[1]) == Comparison::kDifferent) {
    return rule::malformed(fmt::format("x has {} features, w takes {}", shape.back().extent(), w[1].extent()));
  }
  // torch.nn.Linear: bias of shape [out_features]
  if (cx.has(2)) SMELT_RETURN_IF_ERROR(rule::shape_is(cx, 2, {w[0]}));
  shape.back() = w[0];
  cx.outputs = {{.dtype = cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

}  // namespace smelt::ir
