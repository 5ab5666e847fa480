#include <algorithm>
#include <array>
#include <numeric>

#include "convert/coreml/lifting.h"

namespace smelt::coreml_format {
namespace {

struct FunctionRow {
  ir::ReduceFunction function;
  std::string_view type;
};
constexpr std::array<FunctionRow, 9> kFunctions{{{ir::ReduceFunction::kSum, "reduce_sum"},
                                                 {ir::ReduceFunction::kMean, "reduce_mean"},
                                                 {ir::ReduceFunction::kMax, "reduce_max"},
                                                 {ir::ReduceFunction::kMin, "reduce_min"},
                                                 {ir::ReduceFunction::kProd, "reduce_prod"},
                                                 {ir::ReduceFunction::kL1, "reduce_l1_norm"},
                                                 {ir::ReduceFunction::kL2, "reduce_l2_norm"},
                                                 {ir::ReduceFunction::kSumSquare, "reduce_sum_square"},
                                                 {ir::ReduceFunction::kLogSumExp, "reduce_log_sum_exp"}}};

Status lower_reduce(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Reduce>();
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  const auto row = std::find_if(kFunctions.begin(), kFunctions.end(), [&](const FunctionRow& r) { return r.function == op.function; });
  cx.emit(row->type, LowerContext::Inputs{{"x", x}, {"axes", cx.param("axes", ints_value(op.axes))}, {"keep_dims", cx.param("keep_dims", bool_value(op.keeps_axes))}});
  return {};
}

Status lift_reduce(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  const auto row = std::find_if(kFunctions.begin(), kFunctions.end(), [&](const FunctionRow& r) { return r.type == cx.operation().type; });
  ir::Reduce op{.function = row->function, .axes = {}, .keeps_axes = false};
  const auto rank = static_cast<std::int64_t>(cx.type(x).shape.size());
  if (cx.has("axes")) {
    SMELT_ASSIGN_OR_RETURN(op.axes, cx.ints("axes"));
    for (std::int64_t& axis : op.axes) axis += axis < 0 ? rank : 0;
    std::sort(op.axes.begin(), op.axes.end());
  } else {
    op.axes.resize(static_cast<std::size_t>(rank));
    std::iota(op.axes.begin(), op.axes.end(), 0);
  }
  if (cx.has("keep_dims")) {
    SMELT_ASSIGN_OR_RETURN(op.keeps_axes, cx.boolean("keep_dims"));
  }
  return cx.define(cx.emit(std::move(op), {x}));
}

constexpr std::array<LoweringRow, 1> kLowerings{{{ir::OpKind::kReduce, lower_reduce}}};
constexpr std::array<LiftRow, 9> kLifts{{{"reduce_sum", lift_reduce},
                                         {"reduce_mean", lift_reduce},
                                         {"reduce_max", lift_reduce},
                                         {"reduce_min", lift_reduce},
                                         {"reduce_prod", lift_reduce},
                                         {"reduce_l1_norm", lift_reduce},
                                         {"reduce_l2_norm", lift_reduce},
                                         {"reduce_sum_square", lift_reduce},
                                         {"reduce_log_sum_exp", lift_reduce}}};

}  // namespace

std::span<const LoweringRow> reduce_lowerings() { return kLowerings; }
std::span<const LiftRow> reduce_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
