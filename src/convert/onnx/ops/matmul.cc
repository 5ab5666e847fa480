#include <array>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

Result<ir::ValueId> reshaped(NodeContext& cx, ir::ValueId x, std::vector<std::int64_t> shape) {
  return cx.emit(ir::Reshape{.shape = std::move(shape)}, {x});
}

/// ONNX MatMul-1 to MatMul-13: a rank-1 operand gets an axis, which the result loses again.
Status import_matmul(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId x, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(ir::ValueId y, cx.required(1));
  const bool is_row = cx.rank(x) == 1, is_column = cx.rank(y) == 1;
  if (is_row) {
    SMELT_ASSIGN_OR_RETURN(x, cx.emit(ir::ExpandDims{.axes = {0}}, {x}));
  }
  if (is_column) {
    SMELT_ASSIGN_OR_RETURN(y, cx.emit(ir::ExpandDims{.axes = {1}}, {y}));
  }
  SMELT_ASSIGN_OR_RETURN(ir::ValueId out, cx.emit(ir::MatMul{}, {x, y}));
  std::vector<std::int64_t> dropped;
  if (is_row) dropped.push_back(cx.rank(out) - 2);
  if (is_column) dropped.push_back(cx.rank(out) - 1);
  if (!dropped.empty()) {
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Squeeze{.axes = dropped}, {out}));
  }
  cx.set(0, out);
  return {};
}

/// ONNX Gemm-7 to Gemm-13: alpha * A' * B' + beta * C. A constant B becomes linear's weight, [N, K].
Status import_gemm(NodeContext& cx) {
  SMELT_ASSIGN_OR_RETURN(ir::ValueId a, cx.required(0));
  SMELT_ASSIGN_OR_RETURN(ir::ValueId b, cx.required(1));
  if (cx.rank(a) != 2 || cx.rank(b) != 2) return cx.malformed(fmt::format("operands of rank {} and {}", cx.rank(a), cx.rank(b)));
  if (!is_float(cx.type(a).dtype)) return cx.unsupported(fmt::format("operands of {}", name(cx.type(a).dtype)));
  const double alpha = static_cast<double>(cx.float_or("alpha", 1.0F));
  const double beta = static_cast<double>(cx.float_or("beta", 1.0F));
  const bool trans_a = cx.int_or("transA", 0) != 0, trans_b = cx.int_or("transB", 0) != 0;
  ir::ValueId c = cx.input(2);
  if (c.valid() && beta != 1.0) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId factor, cx.scalar(cx.type(c).dtype, beta));
    SMELT_ASSIGN_OR_RETURN(c, cx.emit(ir::Mul{}, {c, factor}));
  }
  const bool has_constant_weight = cx.graph().value(b).constant != nullptr;
  if (has_constant_weight) {
    if (trans_a) {
      SMELT_ASSIGN_OR_RETURN(a, cx.emit(ir::Transpose{.perm = {1, 0}}, {a}));
    }
    if (!trans_b) {
      SMELT_ASSIGN_OR_RETURN(b, cx.emit(ir::Transpose{.perm = {1, 0}}, {b}));
    }
    if (alpha != 1.0) {
      SMELT_ASSIGN_OR_RETURN(const ir::ValueId factor, cx.scalar(cx.type(b).dtype, alpha));
      SMELT_ASSIGN_OR_RETURN(b, cx.emit(ir::Mul{}, {b, factor}));
    }
    // A bias is one number for each column: [N], [1, N]; a scalar or [M, 1] is added behind.
    const smelt::Dim columns = cx.type(b).shape[0];
    if (c.valid() && cx.graph().value(c).constant != nullptr && cx.type(c).shape == Shape{smelt::Dim(1), columns}) {
      SMELT_ASSIGN_OR_RETURN(c, reshaped(cx, c, {-1}));
    }
    if (!c.valid()) return cx.set_result(cx.emit(ir::Linear{}, {a, b}));
    if (cx.graph().value(c).constant != nullptr && cx.type(c).shape == Shape{columns}) {
      return cx.set_result(cx.emit(ir::Linear{}, {a, b, c}));
    }
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId product, cx.emit(ir::Linear{}, {a, b}));
    return cx.set_result(cx.emit(ir::Add{}, {product, c}));
  }
  SMELT_ASSIGN_OR_RETURN(ir::ValueId out, cx.emit(ir::MatMul{.transpose_x = trans_a, .transpose_y = trans_b}, {a, b}));
  if (alpha != 1.0) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId factor, cx.scalar(cx.type(out).dtype, alpha));
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Mul{}, {out, factor}));
  }
  if (c.valid()) {
    SMELT_ASSIGN_OR_RETURN(out, cx.emit(ir::Add{}, {out, c}));
  }
  cx.set(0, out);
  return {};
}

constexpr std::array<OperatorImport, 2> kTable{{{"MatMul", 1, import_matmul}, {"Gemm", 7, import_gemm}}};

}  // namespace

std::span<const OperatorImport> matmul_imports() { return kTable; }

}  // namespace smelt::onnx_format
