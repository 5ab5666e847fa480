#include <algorithm>
#include <array>

#include "convert/coreml/lifting.h"
#include "convert/coreml/ops/window.h"

namespace smelt::coreml_format {
namespace {

Status lower_conv(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Conv>();
  // MIL conv: a computed weight is not dilated; a computed bias is of CoreML7 and newer
  const bool is_dilated = std::any_of(op.dilation.begin(), op.dilation.end(), [](std::int64_t d) { return d != 1; });
  if (is_dilated && !cx.is_known(1)) return cx.unsupported("dilations with a weight that is not constant");
  if (cx.target() < Target::kIos17 && cx.has(2) && !cx.is_known(2)) return cx.unsupported("a bias that is not constant needs ios17 or newer");
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string weight, cx.in(1));
  LowerContext::Inputs inputs{{"x", x},
                              {"weight", weight},
                              {"strides", cx.param("strides", ints_value(op.stride))},
                              {"pad_type", cx.param("pad_type", string_value("custom"))},
                              {"pad", cx.param("pad", ints_value(interleaved(op.pads_begin, op.pads_end)))},
                              {"dilations", cx.param("dilations", ints_value(op.dilation))},
                              {"groups", cx.param("groups", int_value(static_cast<std::int32_t>(op.groups)))}};
  if (cx.has(2)) {
    SMELT_ASSIGN_OR_RETURN(const std::string bias, cx.in(2));
    inputs.emplace_back("bias", bias);
  }
  cx.emit("conv", inputs);
  return {};
}

Status lift_conv(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId weight, cx.operand("weight"));
  ir::Conv op;
  SMELT_ASSIGN_OR_RETURN(op.stride, cx.ints("strides"));
  SMELT_ASSIGN_OR_RETURN(op.dilation, cx.ints("dilations"));
  SMELT_ASSIGN_OR_RETURN(op.groups, cx.integer("groups"));
  SMELT_ASSIGN_OR_RETURN(Pads pads, read_pads(cx, op.stride.size()));
  op.pads_begin = std::move(pads.begin);
  op.pads_end = std::move(pads.end);
  std::vector<ir::ValueId> inputs{x, weight};
  if (cx.has("bias")) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId bias, cx.operand("bias"));
    inputs.push_back(bias);
  }
  return cx.define(cx.emit(std::move(op), std::move(inputs)));
}

constexpr std::array<LoweringRow, 1> kLowerings{{{ir::OpKind::kConv, lower_conv}}};
constexpr std::array<LiftRow, 1> kLifts{{{"conv", lift_conv}}};

}  // namespace

std::span<const LoweringRow> conv_lowerings() { return kLowerings; }
std::span<const LiftRow> conv_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
