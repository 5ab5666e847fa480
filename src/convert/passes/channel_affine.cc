#include "convert/passes/channel_affine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "convert/passes/match.h"
#include "ir/ops/all.h"

namespace smelt::passes {

bool is_finite(const ChannelAffine& affine) {
  const auto is_number = [](double value) { return std::isfinite(value); };
  return std::ranges::all_of(affine.scale, is_number) && std::ranges::all_of(affine.shift, is_number);
}

const ir::Node* foldable_conv(const ir::Graph& graph, ir::ValueId id) {
  const ir::Node* conv = produced_by<ir::Conv>(graph, id);
  if (conv == nullptr || !is_single_use(graph, id) || graph.value(id).type.dtype != DType::kF32) return nullptr;
  if (constant_of(graph, conv->inputs[1]) == nullptr) return nullptr;
  const bool has_bias = conv->inputs.size() > 2 && conv->inputs[2].valid();
  return has_bias && constant_of(graph, conv->inputs[2]) == nullptr ? nullptr : conv;
}

Result<std::optional<ChannelAffine>> batch_norm_affine(const ir::Graph& graph, const ir::Node& batch_norm) {
  std::vector<std::vector<double>> parameters;  // gamma, beta, mean, variance
  std::optional<ChannelAffine> affine;
  for (std::size_t k = 1; k < 5; ++k) {
    const Constant* constant = constant_of(graph, batch_norm.inputs[k]);
    if (constant == nullptr) return affine;
    SMELT_ASSIGN_OR_RETURN(std::vector<double> values, load_doubles(*constant));
    parameters.push_back(std::move(values));
  }
  const auto epsilon = static_cast<double>(batch_norm.op.as<ir::BatchNorm>()->epsilon);
  affine.emplace();
  for (std::size_t c = 0; c < parameters[0].size(); ++c) {
    affine->scale.push_back(parameters[0][c] / std::sqrt(parameters[3][c] + epsilon));
    affine->shift.push_back(parameters[1][c] - parameters[2][c] * affine->scale[c]);
  }
  return affine;
}

Result<std::optional<std::vector<double>>> per_channel(const ir::Graph& graph, ir::ValueId id, std::size_t rank, std::size_t channels) {
  const Constant* constant = constant_of(graph, id);
  std::optional<std::vector<double>> values;
  if (constant == nullptr || constant->shape.size() > rank) return values;
  const std::vector<std::int64_t>& shape = constant->shape;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const bool is_channel_axis = k + rank - shape.size() == 1;
    if (shape[k] != 1 && !(is_channel_axis && shape[k] == static_cast<std::int64_t>(channels))) return values;
  }
  SMELT_ASSIGN_OR_RETURN(values, load_doubles(*constant));
  if (values->size() == 1) values->resize(channels, (*values)[0]);
  return values;
}

ChannelAffine scaled_by(const std::vector<double>& values) { return {.scale = values, .shift = std::vector<double>(values.size(), 0.0)}; }
ChannelAffine shifted_by(const std::vector<double>& values) { return {.scale = std::vector<double>(values.size(), 1.0), .shift = values}; }

ChannelAffine divided_by(const std::vector<double>& values) {
  ChannelAffine affine = scaled_by(values);
  for (double& scale : affine.scale) scale = 1.0 / scale;
  return affine;
}

ChannelAffine lowered_by(const std::vector<double>& values) {
  ChannelAffine affine = shifted_by(values);
  for (double& shift : affine.shift) shift = -shift;
  return affine;
}

}  // namespace smelt::passes
