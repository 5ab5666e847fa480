#include <array>
#include <numeric>

#include <fmt/format.h>

#include "convert/onnx/node_context.h"

namespace smelt::onnx_format {
namespace {

/// ONNX ReduceX: axes are an attribute up to opset 17 (ReduceSum: 12), an operand since. None: every axis, unless
/// noop_with_empty_axes, when the input passes through.
Status import_reduce(NodeContext& cx, ir::ReduceFunction function) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.required(0));
  const bool is_root_or_log = function == ir::ReduceFunction::kL2 || function == ir::ReduceFunction::kLogSumExp;
  if (is_root_or_log && !is_float(cx.type(x).dtype)) return cx.unsupported(fmt::format("an input of {}", name(cx.type(x).dtype)));
  std::vector<std::int64_t> axes = cx.ints_or("axes", {});
  if (cx.has(1)) {
    SMELT_ASSIGN_OR_RETURN(axes, cx.constant_ints(1, "axes"));
  }
  if (axes.empty()) {
    const bool is_plain = function == ir::ReduceFunction::kSum || function == ir::ReduceFunction::kMean ||
                          function == ir::ReduceFunction::kMax || function == ir::ReduceFunction::kMin ||
                          function == ir::ReduceFunction::kProd;
    if (cx.int_or("noop_with_empty_axes", 0) != 0) {
      if (!is_plain) return cx.unsupported("noop_with_empty_axes for this reduction");
      cx.set(0, x);
      return {};
    }
    axes.resize(static_cast<std::size_t>(cx.rank(x)));
    std::iota(axes.begin(), axes.end(), 0);
  }
  SMELT_ASSIGN_OR_RETURN(axes, cx.axes(std::move(axes), cx.rank(x)));
  if (axes.empty()) {  // a scalar has nothing to reduce
    cx.set(0, x);
    return {};
  }
  return cx.set_result(cx.emit(ir::Reduce{.function = function, .axes = axes, .keeps_axes = cx.int_or("keepdims", 1) != 0}, {x}));
}

constexpr std::array<OperatorImport, 9> kTable{{
    {"ReduceSum", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kSum); }},
    {"ReduceMean", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kMean); }},
    {"ReduceMax", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kMax); }},
    {"ReduceMin", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kMin); }},
    {"ReduceProd", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kProd); }},
    {"ReduceL1", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kL1); }},
    {"ReduceL2", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kL2); }},
    {"ReduceSumSquare", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kSumSquare); }},
    {"ReduceLogSumExp", 1, [](NodeContext& cx) { return import_reduce(cx, ir::ReduceFunction::kLogSumExp); }},
}};

}  // namespace

std::span<const OperatorImport> reduce_imports() { return kTable; }

}  // namespace smelt::onnx_format
