#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"
#include "convert/coreml/ops/indexing.h"
#include "convert/coreml/ops/window.h"

namespace smelt::coreml_format {
namespace {

/// The parameters that conv and conv_transpose share, the bias apart; `pads` in MIL's order.
template <typename Op>
LowerContext::Inputs conv_inputs(const Op& op, LowerContext& cx, std::string x, std::string weight, std::string_view pad_type,
                                 const std::vector<std::int64_t>& pads) {
  return {{"x", std::move(x)},
          {"weight", std::move(weight)},
          {"strides", cx.param("strides", ints_value(op.stride))},
          {"pad_type", cx.param("pad_type", string_value(pad_type))},
          {"pad", cx.param("pad", ints_value(pads))},
          {"dilations", cx.param("dilations", ints_value(op.dilation))},
          {"groups", cx.param("groups", int_value(static_cast<std::int32_t>(op.groups)))}};
}

Status add_bias(LowerContext& cx, LowerContext::Inputs& inputs) {
  if (!cx.has(2)) return {};
  SMELT_ASSIGN_OR_RETURN(const std::string bias, cx.in(2));
  inputs.emplace_back("bias", bias);
  return {};
}

/// And back: the attributes, and the operands x, weight and, where there is one, bias.
template <typename Op>
Result<std::vector<ir::ValueId>> lift_parameters(LiftContext& cx, Op& op) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId weight, cx.operand("weight"));
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
  return inputs;
}

Status lower_conv(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Conv>();
  // MIL conv: a computed weight is not dilated; a computed bias is of CoreML7 and newer
  const bool is_dilated = std::any_of(op.dilation.begin(), op.dilation.end(), [](std::int64_t d) { return d != 1; });
  if (is_dilated && !cx.is_known(1)) return cx.unsupported("dilations with a weight that is not constant");
  if (cx.target() < Target::kIos17 && cx.has(2) && !cx.is_known(2)) return cx.unsupported("a bias that is not constant needs ios17 or newer");
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string weight, cx.in(1));
  LowerContext::Inputs inputs = conv_inputs(op, cx, x, weight, "custom", interleaved(op.pads_begin, op.pads_end));
  SMELT_RETURN_IF_ERROR(add_bias(cx, inputs));
  cx.emit("conv", inputs);
  return {};
}

Status lift_conv(LiftContext& cx) {
  ir::Conv op;
  SMELT_ASSIGN_OR_RETURN(std::vector<ir::ValueId> inputs, lift_parameters(cx, op));
  return cx.define(cx.emit(std::move(op), std::move(inputs)));
}

/// The bias of a transposed convolution behind it: `product` has the result's type.
Status emit_bias_add(LowerContext& cx, const std::string& product) {
  SMELT_ASSIGN_OR_RETURN(const std::string bias, cx.in(2));
  std::vector<std::int64_t> column(cx.result_type().shape.size() - 1, 1);
  column[0] = cx.result_type().shape[1].extent();
  const std::string shaped = cx.step("reshape", {{"x", bias}, {"shape", cx.param("shape", ints_value(column))}}, {.dtype = cx.type(2).dtype, .shape = to_shape(column)});
  cx.emit("add", LowerContext::Inputs{{"x", product}, {"y", shaped}});
  return {};
}

/// Apple's reader looks into the bias of a conv_transpose, so it has to be constant, at any target.
bool takes_bias(const LowerContext& cx) { return cx.has(2) && cx.is_known(2); }

/// Everything that the kernels reach, then the part that is wanted; zeros where they reach nothing come before the bias.
Status lower_transposed_in_parts(const ir::ConvTranspose& op, LowerContext& cx, const std::string& x, const std::string& weight) {
  const std::size_t axes = op.stride.size();
  TensorType full = cx.result_type(), kept = full;
  std::vector<std::int64_t> begin(axes + 2, 0), end, pads(2 * (axes + 2), 0);
  for (std::size_t k = 0; k < 2; ++k) end.push_back(full.shape[k].extent());
  bool grows = false, cuts = false;
  for (std::size_t k = 0; k < axes; ++k) {
    const std::int64_t wanted = cx.result_type().shape[k + 2].extent();
    const std::int64_t reach = wanted + op.pads_begin[k] + op.pads_end[k] - op.output_padding[k];
    begin[k + 2] = std::min(op.pads_begin[k], reach);
    end.push_back(std::min(op.pads_begin[k] + wanted, reach));
    if (begin[k + 2] == end[k + 2]) return cx.unsupported("a result that no kernel reaches");
    full.shape[k + 2] = Dim(reach);
    kept.shape[k + 2] = Dim(end[k + 2] - begin[k + 2]);
    pads[2 * (k + 2) + 1] = wanted - kept.shape[k + 2].extent();
    grows = grows || kept.shape[k + 2] != cx.result_type().shape[k + 2];
    cuts = cuts || kept.shape[k + 2] != full.shape[k + 2];
  }
  LowerContext::Inputs inputs = conv_inputs(op, cx, x, weight, "valid", std::vector<std::int64_t>(2 * axes, 0));
  const bool adds_bias = cx.has(2) && (grows || !takes_bias(cx));
  if (!adds_bias) SMELT_RETURN_IF_ERROR(add_bias(cx, inputs));
  std::string part = cx.step("conv_transpose", inputs, full);
  const auto slice = [&] {
    LowerContext::Inputs sliced = slice_parameters(cx, begin, end, std::vector<std::int64_t>(axes + 2, 1));
    sliced.emplace_back("x", part);
    return sliced;
  };
  if (!grows && !adds_bias) {
    cx.emit("slice_by_index", slice());
    return {};
  }
  if (cuts) part = cx.step("slice_by_index", slice(), kept);
  const auto grown = [&] {
    return LowerContext::Inputs{{"x", part},
                                {"pad", cx.param("pad", ints_value(pads))},
                                {"mode", cx.param("mode", string_value("constant"))},
                                {"constant_val", cx.param("constant_val", float_value(cx.type(0).dtype, 0))}};
  };
  if (!adds_bias) {
    cx.emit("pad", grown());
    return {};
  }
  if (grows) part = cx.step("pad", grown(), cx.result_type());
  return emit_bias_add(cx, part);
}

/// MIL has no output_padding, and its asymmetric pads and output_shape differ between devices: those are cut by a slice.
Status lower_conv_transpose(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::ConvTranspose>();
  if (cx.target() < Target::kIos17 && !cx.is_known(1)) return cx.unsupported("a weight that is not constant needs ios17 or newer");
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  SMELT_ASSIGN_OR_RETURN(const std::string weight, cx.in(1));
  const bool grows = std::any_of(op.output_padding.begin(), op.output_padding.end(), [](std::int64_t pad) { return pad != 0; });
  if (grows || op.pads_begin != op.pads_end) return lower_transposed_in_parts(op, cx, x, weight);
  LowerContext::Inputs inputs = conv_inputs(op, cx, x, weight, "custom", interleaved(op.pads_begin, op.pads_end));
  if (cx.has(2) && !takes_bias(cx)) return emit_bias_add(cx, cx.step("conv_transpose", inputs, cx.result_type()));
  SMELT_RETURN_IF_ERROR(add_bias(cx, inputs));
  cx.emit("conv_transpose", inputs);
  return {};
}

Status lift_conv_transpose(LiftContext& cx) {
  ir::ConvTranspose op;
  SMELT_ASSIGN_OR_RETURN(std::vector<ir::ValueId> inputs, lift_parameters(cx, op));
  op.output_padding.assign(op.stride.size(), 0);
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId result, cx.emit(std::move(op), std::move(inputs)));
  if (cx.has("output_shape")) {
    SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> shape, cx.ints("output_shape"));
    if (to_shape(shape) != cx.type(result).shape) return cx.unsupported("an output_shape that the pads do not give");
  }
  return cx.define(std::vector<ir::ValueId>{result});
}

constexpr std::array<LoweringRow, 2> kLowerings{{{ir::OpKind::kConv, lower_conv}, {ir::OpKind::kConvTranspose, lower_conv_transpose}}};
constexpr std::array<LiftRow, 2> kLifts{{{"conv", lift_conv}, {"conv_transpose", lift_conv_transpose}}};

}  // namespace

std::span<const LoweringRow> conv_lowerings() { return kLowerings; }
std::span<const LiftRow> conv_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
