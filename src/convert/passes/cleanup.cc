#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// Ops that do nothing, or that undo or repeat the one before them. All exact; clips but for the sign of a zero.
//
// %b = identity(%a)                                     %a
// %b = reshape(%a: [2, 3]) {shape = [2, 3]}         ->  %a
// %b = cast(%a: f32) {to = f32}                         %a
// %b = slice(%a: [4]) {begin = [0], end = [4], ...}     %a
//
// %b = reshape(%a) {shape = [6]}
// %c = expand_dims(%b) {axes = [0]}                 ->  %c = reshape(%a) {shape = [1, 6]}
//
// %b = transpose(%a) {perm = [1, 2, 0]}
// %c = transpose(%b) {perm = [1, 2, 0]}             ->  %c = transpose(%a) {perm = [2, 0, 1]}
//
// %b = transpose(%a: [1, 8, 1, 4]) {perm = [0, 2, 1, 3]}  ->  %b = reshape(%a) {shape = [1, 1, 8, 4]}
//
// %b = relu(%a)
// %c = clip(%b) {min = -1, max = 6}                 ->  %c = clip(%a) {min = 0, max = 6}

namespace smelt::passes {
namespace {

using ir::Graph;
using ir::NoMatch;
using ir::Node;
using ir::NodeId;
using ir::Rewrite;
using ir::ValueId;

const TensorType& input_type(const Graph& graph, const Node& node) { return graph.value(node.inputs[0]).type; }
const TensorType& output_type(const Graph& graph, const Node& node) { return graph.value(node.outputs[0]).type; }

/// x = x, exact: op that gives its operand.
Result<Rewrite> drop_node(const Graph& graph, NodeId id) {
  return replace_with(graph, graph.node(id), graph.node(id).inputs[0]);
}

/// Row-major elements under the shape that they already have; expand and cast to the type that is there. Exact.
Result<Rewrite> drop_same_type(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!is_same(input_type(graph, node), output_type(graph, node))) return Rewrite{NoMatch{"the type changes"}};
  return drop_node(graph, id);
}

/// Exact.
Result<Rewrite> drop_full_slice(const Graph& graph, NodeId id) {
  const ir::Slice& slice = *graph.node(id).op.as<ir::Slice>();
  const Shape& shape = input_type(graph, graph.node(id)).shape;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    const bool is_to_end = slice.end[axis] == std::numeric_limits<std::int64_t>::max() ||
                           compare(shape[axis], Dim(std::max<std::int64_t>(slice.end[axis], 0))) == Comparison::kEqual;
    if (slice.begin[axis] != 0 || slice.step[axis] != 1 || !is_to_end) return Rewrite{NoMatch{"a part of the operand"}};
  }
  return drop_node(graph, id);
}

/// Exact.
Result<Rewrite> drop_single_concat(const Graph& graph, NodeId id) {
  if (graph.node(id).inputs.size() != 1) return Rewrite{NoMatch{"more than one operand"}};
  return drop_node(graph, id);
}

/// Exact.
Result<Rewrite> drop_single_split(const Graph& graph, NodeId id) {
  if (graph.node(id).outputs.size() != 1) return Rewrite{NoMatch{"more than one result"}};
  return drop_node(graph, id);
}

/// Exact.
Result<Rewrite> drop_identity_transpose(const Graph& graph, NodeId id) {
  if (!std::ranges::is_sorted(graph.node(id).op.as<ir::Transpose>()->perm)) return Rewrite{NoMatch{"axes move"}};
  return drop_node(graph, id);
}

/// The attribute that gives a shape: one symbol can be what remains, unless an extent is 0.
std::optional<ir::Reshape> reshape_to(const Shape& shape) {
  ir::Reshape reshape;
  bool has_symbol = false, has_zero = false;
  for (const Dim dim : shape) {
    if (!dim.is_static() && std::exchange(has_symbol, true)) return std::nullopt;
    has_zero = has_zero || dim == Dim(0);
    reshape.shape.push_back(dim.is_static() ? dim.extent() : -1);
  }
  return has_symbol && has_zero ? std::nullopt : std::optional(std::move(reshape));
}

bool is_reshape(ir::OpKind kind) {
  return kind == ir::OpKind::kReshape || kind == ir::OpKind::kSqueeze || kind == ir::OpKind::kExpandDims;
}

/// reshape(reshape(x)) = reshape(x), whatever the shape between. Exact.
Result<Rewrite> merge_reshapes(const Graph& graph, NodeId id) {
  const Node& outer = graph.node(id);
  const Node* inner = producer(graph, outer.inputs[0]);
  if (inner == nullptr || !is_reshape(inner->op.kind())) return Rewrite{NoMatch{"operand is not reshaped"}};
  std::optional<ir::Reshape> reshape = reshape_to(output_type(graph, outer).shape);
  if (!reshape) return Rewrite{NoMatch{"two symbols"}};
  return replace_with(graph, outer, *std::move(reshape), {inner->inputs[0]});
}

/// Exact.
Result<Rewrite> merge_transposes(const Graph& graph, NodeId id) {
  const Node& outer = graph.node(id);
  const Node* inner = produced_by<ir::Transpose>(graph, outer.inputs[0]);
  if (inner == nullptr) return Rewrite{NoMatch{"operand is not transposed"}};
  const std::vector<std::int64_t>& first = inner->op.as<ir::Transpose>()->perm;
  ir::Transpose both;
  for (const std::int64_t axis : outer.op.as<ir::Transpose>()->perm) both.perm.push_back(first[static_cast<std::size_t>(axis)]);
  return replace_with(graph, outer, std::move(both), {inner->inputs[0]});
}

/// Axes of extent 1 hold no order: when the others stay in order, no element moves. Exact.
Result<Rewrite> reshape_for_transpose(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const Shape& shape = input_type(graph, node).shape;
  std::vector<std::int64_t> moved;
  for (const std::int64_t axis : node.op.as<ir::Transpose>()->perm) {
    if (compare(shape[static_cast<std::size_t>(axis)], Dim(1)) != Comparison::kEqual) moved.push_back(axis);
  }
  if (!std::ranges::is_sorted(moved)) return Rewrite{NoMatch{"axes of more than one element move"}};
  std::optional<ir::Reshape> reshape = reshape_to(output_type(graph, node).shape);
  if (!reshape) return Rewrite{NoMatch{"two symbols"}};
  return replace_with(graph, node, *std::move(reshape), {node.inputs[0]});
}

/// f(f(x)) = x. Exact (neg of the least integer wraps to itself, twice).
template <typename T>
Result<Rewrite> drop_double(const Graph& graph, NodeId id) {
  const Node* inner = produced_by<T>(graph, graph.node(id).inputs[0]);
  if (inner == nullptr) return Rewrite{NoMatch{"operand is of another op"}};
  return replace_with(graph, graph.node(id), inner->inputs[0]);
}

/// relu(relu(x)) = relu(x). Exact.
Result<Rewrite> drop_repeated_relu(const Graph& graph, NodeId id) {
  if (produced_by<ir::Relu>(graph, graph.node(id).inputs[0]) == nullptr) return Rewrite{NoMatch{"operand is of another op"}};
  return drop_node(graph, id);
}

/// The bounds of a clip or a float relu, when they are in order.
std::optional<ir::Clip> bounds_of(const Graph& graph, const Node* node) {
  if (node == nullptr || !is_float(output_type(graph, *node).dtype)) return std::nullopt;
  if (node->op.as<ir::Relu>() != nullptr) return ir::Clip{.min = 0.0F};
  const ir::Clip* clip = node->op.as<ir::Clip>();
  return clip != nullptr && clip->min <= clip->max ? std::optional(*clip) : std::nullopt;
}

/// clip(clip(x)) = clip(x) to the inner bounds as the outer moves them. Exact but for the sign of a zero at a bound.
Result<Rewrite> merge_clips(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const std::optional<ir::Clip> outer = bounds_of(graph, &node);
  const std::optional<ir::Clip> inner = bounds_of(graph, producer(graph, node.inputs[0]));
  if (!outer || !inner) return Rewrite{NoMatch{"not clip of clip"}};
  const ir::Clip both{.min = std::clamp(inner->min, outer->min, outer->max), .max = std::clamp(inner->max, outer->min, outer->max)};
  return replace_with(graph, node, both, {producer(graph, node.inputs[0])->inputs[0]});
}

/// Exact.
Result<Rewrite> drop_open_clip(const Graph& graph, NodeId id) {
  if (*graph.node(id).op.as<ir::Clip>() != ir::Clip{}) return Rewrite{NoMatch{"it has a bound"}};
  return drop_node(graph, id);
}

}  // namespace

std::vector<ir::Rule> cleanup_rules() {
  using ir::OpKind;
  return {
      {.name = "drop-identity", .root = OpKind::kIdentity, .apply = drop_node},
      {.name = "drop-same-type-reshape", .root = OpKind::kReshape, .apply = drop_same_type},
      {.name = "drop-same-type-reshape", .root = OpKind::kSqueeze, .apply = drop_same_type},
      {.name = "drop-same-type-reshape", .root = OpKind::kExpandDims, .apply = drop_same_type},
      {.name = "drop-same-type-expand", .root = OpKind::kExpand, .apply = drop_same_type},
      {.name = "drop-same-type-cast", .root = OpKind::kCast, .apply = drop_same_type},
      {.name = "drop-full-slice", .root = OpKind::kSlice, .apply = drop_full_slice},
      {.name = "drop-single-concat", .root = OpKind::kConcat, .apply = drop_single_concat},
      {.name = "drop-single-split", .root = OpKind::kSplit, .apply = drop_single_split},
      {.name = "drop-identity-transpose", .root = OpKind::kTranspose, .apply = drop_identity_transpose},
      {.name = "merge-reshapes", .root = OpKind::kReshape, .apply = merge_reshapes},
      {.name = "merge-reshapes", .root = OpKind::kSqueeze, .apply = merge_reshapes},
      {.name = "merge-reshapes", .root = OpKind::kExpandDims, .apply = merge_reshapes},
      {.name = "merge-transposes", .root = OpKind::kTranspose, .apply = merge_transposes},
      {.name = "reshape-for-transpose", .root = OpKind::kTranspose, .apply = reshape_for_transpose},
      {.name = "drop-double-neg", .root = OpKind::kNeg, .apply = drop_double<ir::Neg>},
      {.name = "drop-double-not", .root = OpKind::kNot, .apply = drop_double<ir::Not>},
      {.name = "drop-repeated-relu", .root = OpKind::kRelu, .apply = drop_repeated_relu},
      {.name = "merge-clips", .root = OpKind::kClip, .apply = merge_clips},
      {.name = "merge-clips", .root = OpKind::kRelu, .apply = merge_clips},
      {.name = "drop-open-clip", .root = OpKind::kClip, .apply = drop_open_clip},
  };
}

}  // namespace smelt::passes
