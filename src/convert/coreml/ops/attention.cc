#include <array>
#include <cmath>
#include <limits>

#include "convert/coreml/lifting.h"
#include "tensor/host_tensor.h"

namespace smelt::coreml_format {
namespace {

/// MIL's scale is 1/sqrt(E), always; `legalize` has seen to that, and to the mask's shape.
Status lower_attention(const ir::Op&, LowerContext& cx) {
  if (cx.target() < Target::kIos18) return cx.unsupported("scaled_dot_product_attention needs ios18 or newer");
  LowerContext::Inputs inputs;
  for (const auto& [parameter, k] : {std::pair{"query", std::size_t{0}}, std::pair{"key", std::size_t{1}}, std::pair{"value", std::size_t{2}}, std::pair{"attn_mask", std::size_t{3}}}) {
    if (!cx.has(k)) continue;
    SMELT_ASSIGN_OR_RETURN(const std::string value, cx.in(k));
    inputs.emplace_back(parameter, value);
  }
  cx.emit("scaled_dot_product_attention", inputs);
  return {};
}

/// A bool mask, true where a key counts, as the one to add.
Result<ir::ValueId> additive_mask(LiftContext& cx, ir::ValueId mask, DType dtype) {
  if (cx.type(mask).dtype != DType::kBool) return mask;
  const auto scalar = [&](float value) { return cx.graph().add_constant("", make_constant(float_scalar(dtype, value))); };
  return cx.emit(ir::Where{}, {mask, scalar(0), scalar(-std::numeric_limits<float>::infinity())});
}

Status lift_attention(LiftContext& cx) {
  std::vector<ir::ValueId> inputs;
  for (const char* parameter : {"query", "key", "value"}) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, cx.operand(parameter));
    inputs.push_back(id);
  }
  const TensorType& query = cx.type(inputs[0]);
  const DType dtype = query.dtype;
  const float scale = query.shape.empty() ? 1.0F : static_cast<float>(1.0 / std::sqrt(static_cast<double>(query.shape.back().extent())));
  if (cx.has("attn_mask")) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId mask, cx.operand("attn_mask"));
    SMELT_ASSIGN_OR_RETURN(inputs.emplace_back(), additive_mask(cx, mask, dtype));
  }
  return cx.define(cx.emit(ir::Attention{.scale = scale}, std::move(inputs)));
}

constexpr std::array<LoweringRow, 1> kLowerings{{{ir::OpKind::kAttention, lower_attention}}};
constexpr std::array<LiftRow, 1> kLifts{{{"scaled_dot_product_attention", lift_attention}}};

}  // namespace

std::span<const LoweringRow> attention_lowerings() { return kLowerings; }
std::span<const LiftRow> attention_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
