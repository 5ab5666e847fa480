#include "ir/ops/elementwise.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace smelt::ir {
namespace {

bool is_signed_integer(DType dtype) {
  return dtype == DType::kI4 || dtype == DType::kI8 || dtype == DType::kI16 || dtype == DType::kI32 ||
         dtype == DType::kI64;
}

Status refuse_dtype(OpKind kind, DType dtype, std::string_view allowed) {
  return rule::malformed(fmt::format("{} of {}, {} required", op_name(kind), name(dtype), allowed));
}

Status unary_takes(OpKind kind, DType dtype) {
  switch (kind) {
    case OpKind::kIdentity: return {};
    case OpKind::kAbs:
    case OpKind::kNeg:
    case OpKind::kSign:
    case OpKind::kRelu:
      // ONNX Neg-13, Relu-14: T is a float or a signed integer
      if (is_float(dtype) || is_signed_integer(dtype)) return {};
      return refuse_dtype(kind, dtype, "a float or signed integer");
    case OpKind::kNot:
      // ONNX Not-1: T is bool
      if (dtype == DType::kBool) return {};
      return refuse_dtype(kind, dtype, "bool");
    default:
      // ONNX Exp-13 and the others: T is a float
      if (is_float(dtype)) return {};
      return refuse_dtype(kind, dtype, "a float");
  }
}

/// One float operand, same type out.
Status infer_float(InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  // ONNX LeakyRelu-16, Elu-22, HardSigmoid-22, Gelu-20: T is a float
  SMELT_RETURN_IF_ERROR(rule::one_float_dtype(cx));
  cx.outputs = {cx.input(0)};
  return {};
}

bool is_comparison(OpKind kind) {
  return kind == OpKind::kEqual || kind == OpKind::kLess || kind == OpKind::kLessOrEqual || kind == OpKind::kGreater ||
         kind == OpKind::kGreaterOrEqual;
}

Status binary_takes(OpKind kind, DType dtype) {
  if (kind == OpKind::kAnd || kind == OpKind::kOr || kind == OpKind::kXor) {
    // ONNX And-7, Or-7, Xor-7: T is bool
    if (dtype == DType::kBool) return {};
    return refuse_dtype(kind, dtype, "bool");
  }
  if (is_float(dtype) || is_integer(dtype)) return {};
  // ONNX Equal-19: bool too
  if (kind == OpKind::kEqual) return {};
  // ONNX Add-14, Less-13 and the others: T is a number
  return refuse_dtype(kind, dtype, "a float or integer");
}

}  // namespace

Status infer_unary(OpKind kind, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  SMELT_RETURN_IF_ERROR(unary_takes(kind, cx.input(0).dtype));
  cx.outputs = {cx.input(0)};
  if (kind == OpKind::kIsNan) cx.outputs[0].dtype = DType::kBool;
  return {};
}

Status infer(const LeakyRelu&, InferContext& cx) { return infer_float(cx); }
Status infer(const Elu&, InferContext& cx) { return infer_float(cx); }
Status infer(const HardSigmoid&, InferContext& cx) { return infer_float(cx); }
Status infer(const Gelu&, InferContext& cx) { return infer_float(cx); }

Status infer(const Clip&, InferContext& cx) {
  // The IR's own: clip is of floats (ONNX Clip-13 takes integers, which the importer writes as min and max)
  return infer_float(cx);
}

Status infer(const Cast& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  cx.outputs = {{.dtype = op.to, .shape = cx.input(0).shape}};
  return {};
}

Status infer(const Softmax& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(infer_float(cx));
  // ONNX Softmax-13: axis in [-r, r-1], made non-negative by the importer
  return rule::axis_in_rank(op.axis, cx.input(0).shape.size());
}

Status infer_binary(OpKind kind, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 2, 2));
  // ONNX Add-14 and the others: both operands are of type T
  SMELT_RETURN_IF_ERROR(rule::one_dtype(cx));
  SMELT_RETURN_IF_ERROR(binary_takes(kind, cx.input(0).dtype));
  SMELT_ASSIGN_OR_RETURN(Shape shape, broadcast(cx.input(0).shape, cx.input(1).shape, cx.symbols));
  cx.outputs = {{.dtype = is_comparison(kind) ? DType::kBool : cx.input(0).dtype, .shape = std::move(shape)}};
  return {};
}

Status infer(const Where&, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 3, 3));
  // ONNX Where-16: condition is tensor(bool)
  if (cx.input(0).dtype != DType::kBool) return refuse_dtype(OpKind::kWhere, cx.input(0).dtype, "a bool condition");
  // ONNX Where-16: X and Y are both of type T
  if (cx.input(1).dtype != cx.input(2).dtype) {
    return rule::malformed(fmt::format("operand 2 is {}, operand 1 is {}", name(cx.input(2).dtype),
                                       name(cx.input(1).dtype)));
  }
  SMELT_ASSIGN_OR_RETURN(const Shape values, broadcast(cx.input(1).shape, cx.input(2).shape, cx.symbols));
  SMELT_ASSIGN_OR_RETURN(Shape shape, broadcast(cx.input(0).shape, values, cx.symbols));
  cx.outputs = {{.dtype = cx.input(1).dtype, .shape = std::move(shape)}};
  return {};
}

Result<Shape> broadcast(const Shape& a, const Shape& b, const SymbolTable& symbols) {
  Shape shape(std::max(a.size(), b.size()));
  for (std::size_t back = 1; back <= shape.size(); ++back) {
    const Dim from_a = back <= a.size() ? a[a.size() - back] : Dim(1);
    const Dim from_b = back <= b.size() ? b[b.size() - back] : Dim(1);
    Dim& out = shape[shape.size() - back];
    if (from_b == Dim(1)) {
      out = from_a;
    } else if (from_a == Dim(1)) {
      out = from_b;
    } else if (compare(from_a, from_b) == Comparison::kDifferent) {
      // ONNX Broadcasting: extents are equal or one of them is 1
      return rule::malformed(fmt::format("shapes {} and {} do not broadcast: {} against {}", symbols.text(a),
                                         symbols.text(b), symbols.text(from_a), symbols.text(from_b)));
    } else {
      out = from_a.is_static() ? from_a : from_b.is_static() ? from_b : from_a;
    }
  }
  return shape;
}

}  // namespace smelt::ir
