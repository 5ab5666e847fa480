#include "validate/roles.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace smelt::parity {
namespace {

/// Whether a node hands its first operand on, element for element or a part of them.
bool passes_on(ir::OpKind kind) {
  switch (kind) {
    case ir::OpKind::kIdentity:
    case ir::OpKind::kCast:
    case ir::OpKind::kReshape:
    case ir::OpKind::kTranspose:
    case ir::OpKind::kSqueeze:
    case ir::OpKind::kExpandDims:
    case ir::OpKind::kExpand:
    case ir::OpKind::kSlice:
    case ir::OpKind::kSplit:
    case ir::OpKind::kConcat: return true;
    default: return false;
  }
}

/// The axes of operand 0 that operand 1 of a node indexes: one of gather, one for each number of a tuple of gather_nd.
std::vector<std::size_t> indexed_axes(const ir::Graph& graph, const ir::Node& node) {
  if (const auto* gather = node.op.as<ir::Gather>()) return {static_cast<std::size_t>(gather->axis)};
  std::vector<std::size_t> axes;
  if (const auto* gather = node.op.as<ir::GatherNd>()) {
    const Dim length = graph.value(node.inputs[1]).type.shape.back();
    for (std::int64_t k = 0; k < length.extent(); ++k) axes.push_back(static_cast<std::size_t>(gather->batch_axes + k));
  }
  return axes;
}

/// The rows of the smallest table that a value indexes; 0 if none.
std::int64_t index_bound(const ir::Graph& graph, ir::ValueId start) {
  std::int64_t bound = 0;
  std::set<ir::ValueId> seen;
  std::vector<ir::ValueId> waiting{start};
  while (!waiting.empty()) {
    const ir::ValueId id = waiting.back();
    waiting.pop_back();
    if (!seen.insert(id).second) continue;
    for (const ir::Use& use : graph.value(id).uses) {
      const ir::Node& node = graph.node(use.node);
      if (passes_on(node.op.kind())) waiting.insert(waiting.end(), node.outputs.begin(), node.outputs.end());
      if (use.operand != 1) continue;
      for (const std::size_t axis : indexed_axes(graph, node)) {
        const Dim rows = graph.value(node.inputs[0]).type.shape[axis];
        if (rows.is_static()) bound = bound == 0 ? rows.extent() : std::min(bound, rows.extent());
      }
    }
  }
  return bound;
}

}  // namespace

Result<std::vector<InputSpec>> input_specs(const ir::Graph& graph) {
  std::vector<InputSpec> specs;
  for (const ir::ValueId id : graph.inputs()) {
    const ir::Value& input = graph.value(id);
    const auto shape = static_shape(input.type.shape);
    if (!shape) return Error(ErrorCode::kOpenShape, fmt::format("input \"{}\" has open extents", input.name));
    InputSpec spec{.name = input.name, .dtype = input.type.dtype, .shape = *shape, .role = InputRole::kValues, .index_bound = 0};
    if (is_integer(input.type.dtype)) {
      spec.index_bound = index_bound(graph, id);
      spec.role = spec.index_bound > 0 ? InputRole::kIndex : InputRole::kMask;
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace smelt::parity
