#include <array>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"

namespace smelt::coreml_format {
namespace {

/// iOS 16 and 17: constexpr_affine_dequantize, every parameter an attribute, the zero point written though it is 0.
Status lower_affine(const ir::Dequantize& op, LowerContext& cx, MilOperation operation) {
  SMELT_ASSIGN_OR_RETURN(MilValue data, cx.builder().weight_value(*cx.constant(0)));
  SMELT_ASSIGN_OR_RETURN(MilValue scale, cx.builder().weight_value(*cx.constant(1)));
  if (element_count(*cx.constant(1)) == 1) scale.type.dims.clear();  // a scale for the whole tensor is a scalar here
  operation.type = "constexpr_affine_dequantize";
  operation.attributes.emplace("quantized_data", std::move(data));
  operation.attributes.emplace("scale", std::move(scale));
  operation.attributes.emplace("zero_point", MilValue{.type = {.dtype = MilDataType::kInt8, .dims = {}}, .data = std::vector<std::byte>(1)});
  operation.attributes.emplace("axis", int_value(static_cast<std::int32_t>(op.axis)));
  cx.builder().add(std::move(operation));
  return {};
}

/// iOS 18: constexpr_blockwise_shift_scale, parameters as inputs in place, the scale of the data's rank; symmetric: no offset.
Status lower_blockwise(const ir::Dequantize& op, LowerContext& cx, MilOperation operation) {
  SMELT_ASSIGN_OR_RETURN(MilValue data, cx.builder().weight_value(*cx.constant(0)));
  SMELT_ASSIGN_OR_RETURN(MilValue scale, cx.builder().weight_value(*cx.constant(1)));
  const std::int64_t count = static_cast<std::int64_t>(element_count(*cx.constant(1)));
  scale.type.dims.assign(cx.type(0).shape.size(), 1);
  scale.type.dims[static_cast<std::size_t>(op.axis)] = count;
  operation.type = "constexpr_blockwise_shift_scale";
  operation.inputs["data"] = {MilBinding(std::move(data))};
  operation.inputs["scale"] = {MilBinding(std::move(scale))};
  cx.builder().add(std::move(operation));
  return {};
}

Status lower_dequantize(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::Dequantize>();
  if (cx.target() < Target::kIos16) return cx.unsupported("compressed weights need ios16 or newer");
  if (cx.constant(0) == nullptr || cx.constant(1) == nullptr) return cx.unsupported("only constants can be dequantized");
  SMELT_ASSIGN_OR_RETURN(const std::string name, cx.builder().name_of(cx.node().outputs[0]));
  MilOperation operation{.type = {}, .inputs = {}, .outputs = {{name, to_mil(cx.result_type())}}, .blocks = {}, .attributes = {}};
  operation.attributes.emplace("name", string_value(name));
  return cx.target() >= Target::kIos18 ? lower_blockwise(op, cx, std::move(operation)) : lower_affine(op, cx, std::move(operation));
}

Result<ir::ValueId> dequantized(LiftContext& cx, const MilValue& data, MilValue scale, std::int64_t axis) {
  if (data.type.dtype != MilDataType::kInt8) return cx.unsupported(fmt::format("codes of type {}", mil_type_name(data.type.dtype)));
  const std::optional<std::uint64_t> count = mil_element_count(scale.type);
  if (!count) return cx.malformed("a scale with an unknown extent");
  scale.type.dims = {static_cast<std::int64_t>(*count)};
  SMELT_ASSIGN_OR_RETURN(ConstantRef codes, cx.constant(data));
  SMELT_ASSIGN_OR_RETURN(ConstantRef scales, cx.constant(scale));
  const ir::ValueId q = cx.graph().add_constant({}, std::move(codes));
  const ir::ValueId s = cx.graph().add_constant({}, std::move(scales));
  return cx.emit(ir::Dequantize{.axis = axis}, {q, s});
}

Status lift_affine(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const MilValue* data, cx.value("quantized_data"));
  SMELT_ASSIGN_OR_RETURN(const MilValue* scale, cx.value("scale"));
  SMELT_ASSIGN_OR_RETURN(const std::int64_t axis, cx.integer("axis"));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> zero_points, cx.ints("zero_point"));
  for (const std::int64_t zero_point : zero_points) {
    if (zero_point != 0) return cx.unsupported(fmt::format("a zero point of {}", zero_point));
  }
  return cx.define(dequantized(cx, *data, *scale, axis));
}

Status lift_blockwise(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const MilValue* data, cx.value("data"));
  SMELT_ASSIGN_OR_RETURN(const MilValue* scale, cx.value("scale"));
  if (cx.has("offset")) return cx.unsupported("an offset");
  if (scale->type.dims.size() != data->type.dims.size()) return cx.malformed("a scale of another rank than its data");
  std::optional<std::size_t> axis;
  for (std::size_t k = 0; k < scale->type.dims.size(); ++k) {
    const std::int64_t extent = scale->type.dims[k].value_or(0);
    if (extent == 1) continue;
    if (axis || extent != data->type.dims[k].value_or(-1)) return cx.unsupported("blocks, or scales on several axes");
    axis = k;
  }
  return cx.define(dequantized(cx, *data, *scale, static_cast<std::int64_t>(axis.value_or(0))));
}

constexpr std::array<LoweringRow, 1> kLowerings{{{ir::OpKind::kDequantize, lower_dequantize}}};
constexpr std::array<LiftRow, 2> kLifts{{{"constexpr_affine_dequantize", lift_affine}, {"constexpr_blockwise_shift_scale", lift_blockwise}}};

}  // namespace

std::span<const LoweringRow> quant_lowerings() { return kLowerings; }
std::span<const LiftRow> quant_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
