#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "smelt/result.h"

/// Factors and terms for each channel, axis 1: what a convolution or a sum with one can take up.
namespace smelt::passes {

/// y = scale * x + shift, a pair for each channel.
struct ChannelAffine {
  std::vector<double> scale, shift;
};

[[nodiscard]] bool is_finite(const ChannelAffine& affine);

/// A convolution that can take a factor: f32, weights and bias constant, the result seen by nobody else; nullptr for anything else.
[[nodiscard]] const ir::Node* foldable_conv(const ir::Graph& graph, ir::ValueId id);

/// What a batch normalization does; nothing when its parameters are not constant.
[[nodiscard]] Result<std::optional<ChannelAffine>> batch_norm_affine(const ir::Graph& graph, const ir::Node& batch_norm);

/// A constant that broadcasts along channels only, axis 1 of `rank`, as one value for each of `channels`; nothing for any other.
[[nodiscard]] Result<std::optional<std::vector<double>>> per_channel(const ir::Graph& graph, ir::ValueId id, std::size_t rank,
                                                                     std::size_t channels);

// The maps x * v, x + v, x / v and x - v.
[[nodiscard]] ChannelAffine scaled_by(const std::vector<double>& values);
[[nodiscard]] ChannelAffine shifted_by(const std::vector<double>& values);
[[nodiscard]] ChannelAffine divided_by(const std::vector<double>& values);
[[nodiscard]] ChannelAffine lowered_by(const std::vector<double>& values);

}  // namespace smelt::passes
