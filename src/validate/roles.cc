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
    case ir::OpKind::kConcat: return true;
    default: return false;
  }
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
      const auto* gather = node.op.as<ir::Gather>();
      if (gather == nullptr || use.operand != 1) continue;
      const Dim rows = graph.value(node.inputs[0]).type.shape[static_cast<std::size_t>(gather->axis)];
      if (rows.is_static()) bound = bound == 0 ? rows.extent() : std::min(bound, rows.extent());
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
