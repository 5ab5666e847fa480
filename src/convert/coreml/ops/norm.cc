#include <array>
#include <numeric>

#include <fmt/format.h>

#include "convert/coreml/lifting.h"

namespace smelt::coreml_format {
namespace {

/// MIL's normalizations take constant parameters only.
Status check_parameters(const LowerContext& cx) {
  for (std::size_t k = 1; k < cx.node().inputs.size(); ++k) {
    if (cx.has(k) && !cx.is_known(k)) return cx.unsupported(fmt::format("operand {} is not constant", k));
  }
  return {};
}

Status lower_batch_norm(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::BatchNorm>();
  SMELT_RETURN_IF_ERROR(check_parameters(cx));
  if (cx.type(0).shape.size() < 3) return cx.unsupported(fmt::format("an operand of rank {}", cx.type(0).shape.size()));
  LowerContext::Inputs inputs;
  // IR operands: x, gamma, beta, mean, variance.
  for (const auto& [parameter, k] : {std::pair{"x", 0}, std::pair{"gamma", 1}, std::pair{"beta", 2}, std::pair{"mean", 3}, std::pair{"variance", 4}}) {
    SMELT_ASSIGN_OR_RETURN(const std::string value, cx.in(static_cast<std::size_t>(k)));
    inputs.emplace_back(parameter, value);
  }
  inputs.emplace_back("epsilon", cx.param("epsilon", float_value(cx.type(0).dtype, static_cast<double>(op.epsilon))));
  cx.emit("batch_norm", inputs);
  return {};
}

Status lower_layer_norm(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::LayerNorm>();
  SMELT_RETURN_IF_ERROR(check_parameters(cx));
  std::vector<std::int64_t> axes(cx.type(0).shape.size() - static_cast<std::size_t>(op.axis));
  std::iota(axes.begin(), axes.end(), op.axis);
  SMELT_ASSIGN_OR_RETURN(const std::string x, cx.in(0));
  LowerContext::Inputs inputs{{"x", x},
                              {"axes", cx.param("axes", ints_value(axes))},
                              {"epsilon", cx.param("epsilon", float_value(cx.type(0).dtype, static_cast<double>(op.epsilon)))}};
  for (const auto& [parameter, k] : {std::pair{"gamma", std::size_t{1}}, std::pair{"beta", std::size_t{2}}}) {
    if (!cx.has(k)) continue;
    SMELT_ASSIGN_OR_RETURN(const std::string value, cx.in(k));
    inputs.emplace_back(parameter, value);
  }
  cx.emit("layer_norm", inputs);
  return {};
}

Status lower_instance_norm(const ir::Op& any, LowerContext& cx) {
  const auto& op = *any.as<ir::InstanceNorm>();
  SMELT_RETURN_IF_ERROR(check_parameters(cx));
  if (cx.type(0).shape.size() > 4) return cx.unsupported(fmt::format("an operand of rank {}", cx.type(0).shape.size()));
  LowerContext::Inputs inputs;
  for (const auto& [parameter, k] : {std::pair{"x", 0}, std::pair{"gamma", 1}, std::pair{"beta", 2}}) {
    SMELT_ASSIGN_OR_RETURN(const std::string value, cx.in(static_cast<std::size_t>(k)));
    inputs.emplace_back(parameter, value);
  }
  inputs.emplace_back("epsilon", cx.param("epsilon", float_value(cx.type(0).dtype, static_cast<double>(op.epsilon))));
  cx.emit("instance_norm", inputs);
  return {};
}

Status lift_batch_norm(LiftContext& cx) {
  std::vector<ir::ValueId> inputs;
  for (const char* parameter : {"x", "gamma", "beta", "mean", "variance"}) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, cx.operand(parameter));
    inputs.push_back(id);
  }
  SMELT_ASSIGN_OR_RETURN(const float epsilon, cx.number("epsilon"));
  return cx.define(cx.emit(ir::BatchNorm{.epsilon = epsilon}, std::move(inputs)));
}

Status lift_layer_norm(LiftContext& cx) {
  SMELT_ASSIGN_OR_RETURN(const ir::ValueId x, cx.operand("x"));
  SMELT_ASSIGN_OR_RETURN(const std::vector<std::int64_t> axes, cx.ints("axes"));
  SMELT_ASSIGN_OR_RETURN(const float epsilon, cx.number("epsilon"));
  const auto rank = static_cast<std::int64_t>(cx.type(x).shape.size());
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const std::int64_t axis = axes[k] < 0 ? axes[k] + rank : axes[k];
    if (axis != rank - static_cast<std::int64_t>(axes.size()) + static_cast<std::int64_t>(k)) return cx.unsupported("axes that are not the last ones");
  }
  std::vector<ir::ValueId> inputs{x};
  if (cx.has("gamma") || cx.has("beta")) {
    inputs.resize(2);
    if (cx.has("gamma")) {
      SMELT_ASSIGN_OR_RETURN(inputs[1], cx.operand("gamma"));
    }
  }
  if (cx.has("beta")) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId beta, cx.operand("beta"));
    inputs.push_back(beta);
  }
  return cx.define(cx.emit(ir::LayerNorm{.axis = rank - static_cast<std::int64_t>(axes.size()), .epsilon = epsilon}, std::move(inputs)));
}

Status lift_instance_norm(LiftContext& cx) {
  std::vector<ir::ValueId> inputs;
  for (const char* parameter : {"x", "gamma", "beta"}) {
    SMELT_ASSIGN_OR_RETURN(const ir::ValueId id, cx.operand(parameter));
    inputs.push_back(id);
  }
  SMELT_ASSIGN_OR_RETURN(const float epsilon, cx.number("epsilon"));
  return cx.define(cx.emit(ir::InstanceNorm{.epsilon = epsilon}, std::move(inputs)));
}

constexpr std::array<LoweringRow, 3> kLowerings{{{ir::OpKind::kBatchNorm, lower_batch_norm},
                                                 {ir::OpKind::kLayerNorm, lower_layer_norm},
                                                 {ir::OpKind::kInstanceNorm, lower_instance_norm}}};
constexpr std::array<LiftRow, 3> kLifts{{{"batch_norm", lift_batch_norm}, {"layer_norm", lift_layer_norm}, {"instance_norm", lift_instance_norm}}};

}  // namespace

std::span<const LoweringRow> norm_lowerings() { return kLowerings; }
std::span<const LiftRow> norm_lifts() { return kLifts; }

}  // namespace smelt::coreml_format
