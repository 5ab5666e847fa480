#include "ir/ops/reduce.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

namespace smelt::ir {

std::string_view word(ReduceFunction function) {
  switch (function) {
    case ReduceFunction::kSum: return "sum";
    case ReduceFunction::kMean: return "mean";
    case ReduceFunction::kMax: return "max";
    case ReduceFunction::kMin: return "min";
    case ReduceFunction::kProd: return "prod";
    case ReduceFunction::kL1: return "l1";
    case ReduceFunction::kL2: return "l2";
    case ReduceFunction::kSumSquare: return "sum_square";
    case ReduceFunction::kLogSumExp: return "log_sum_exp";
  }
  SMELT_CHECK(false);
}

Status infer(const Reduce& op, InferContext& cx) {
  SMELT_RETURN_IF_ERROR(rule::operands(cx, 1, 1));
  const DType dtype = cx.input(0).dtype;
  const bool is_root_or_log = op.function == ReduceFunction::kL2 || op.function == ReduceFunction::kLogSumExp;
  // ONNX ReduceSum-13 and the others: T is a float or integer; the IR's own: a float where the result is a root or logarithm
  if (!is_float(dtype) && (is_root_or_log || !is_integer(dtype))) {
    return rule::malformed(fmt::format("{} of {}, {} required", word(op.function), name(dtype),
                                       is_root_or_log ? "a float" : "a float or integer"));
  }
  const Shape& x = cx.input(0).shape;
  // The IR's own: the importer has made ONNX's empty axes explicit
  if (op.axes.empty()) return rule::malformed(fmt::format("no axes of {} are reduced, at least 1 required", x.size()));
  // ONNX ReduceSum-13: axes in [-r, r-1], made non-negative by the importer
  SMELT_RETURN_IF_ERROR(rule::axes_in_rank(op.axes, x.size()));
  Shape shape;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool is_reduced = std::ranges::binary_search(op.axes, static_cast<std::int64_t>(i));
    if (!is_reduced) {
      shape.push_back(x[i]);
    } else if (op.keeps_axes) {
      shape.emplace_back(1);
    }
  }
  cx.outputs = {{.dtype = dtype, .shape = std::move(shape)}};
  return {};
}

}  // namespace smelt::ir
