#include <array>

#include "convert/coreml/lifting.h"
#include "convert/coreml/ops/window.h"

namespace smelt::coreml_format {
namespace {

template <typename Op>
Result<LowerContext::Inputs> window_inputs(const Op& op, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  return LowerContext::Inputs{{"x", x},
                              {"kernel_sizes", cx.param("kernel_sizes", ints_value(op.kernel))},
                              {"strides", cx.param("strides", ints_value(op.stride))},
                              {"pad_type", cx.param("pad_type", string_value("custom"))},
                              {"pad", cx.param("pad", ints_value(interleaved(op.pads_begin, op.pads_end)))},
                              {"ceil_mode", cx.param("ceil_mode", bool_value(false))}};
}

Status lower_max_pool(const ir::Op& any, LowerContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const LowerContext::Inputs inputs, window_inputs(*any.as<ir::MaxPool>(), cx));
  cx.emit("max_pool", inputs);
  return {};
}

Status lower_average_pool(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::AveragePool>();
  SMELT_ASSIGN_OR_RETURN(LowerContext::Inputs inputs, window_inputs(op, cx));
  inputs.emplace_back("exclude_padding_from_average", cx.param("exclude_padding_from_average", bool_value(!op.counts_padding)));
  cx.emit("avg_pool", inputs);
  return {};
}

template <typename Op>
Result<Op> read_window(LiftContext& cx) {
  Op op;
  SMELT_ASSIGN_OR_RETURN(op.kernel, cx.ints("kernel_sizes"));
  SMELT_ASSIGN_OR_RETURN(op.stride, cx.ints("strides"));
  SMELT_ASSIGN_OR_RETURN(const bool ceil_mode, cx.boolean("ceil_mode"));
  if (ceil_mode) return cx.unsupported("ceil_mode");
  SMELT_ASSIGN_OR_RETURN(Pads pads, read_pads(cx, op.kernel.size()));
  op.pads_begin = std::move(pads.begin);
  op.pads_end = std::move(pads.end);
  return op;
}

Status lift_max_pool(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(ir::MaxPool op, read_window<ir::MaxPool>(cx));
  return cx.define(cx.emit(std::move(op), {x}));
}

Status lift_average_pool(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(ir::AveragePool op, read_window<ir::AveragePool>(cx));
  SMELT_ASSIGN_OR_RETURN(const bool excludes, cx.boolean("exclude_padding_from_average"));
  op.counts_padding = !excludes;
  return cx.define(cx.emit(std::move(op), {x}));
}

constexpr std::array<LoweringRow, 2> kLowerings{{{ir::OpKind::kMaxPool, lower_max_pool}, {ir::OpKind::kAveragePool, lower_average_pool}}};
constexpr std::array<LiftRow, 2> kLifts{{{"max_pool", lift_max_pool}, {"avg_pool", lift_average_pool}}};

}  // namespace

std::span<const LoweringRow> pool_lowerings() { return kLowerings; }
std::span<const LiftRow> pool_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
