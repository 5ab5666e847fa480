#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %true = const bool[1, 1] (every element true)
// %c = where(%true, %a: f32[2, 3], %b: f32[2, 3])   ->  %a
// %c = where(%true, %a: f32[3], %b: f32[2, 3])      ->  %c = expand(%a) {shape = [2, 3]}
// %c = and(%true, %p: bool[4])                      ->  %p
// %c = or(%true, %p: bool[4])                       ->  %c = expand(%true) {shape = [4]}
//
// All exact.

namespace smelt::passes {
namespace {

using ir::NoMatch;
using ir::Rewrite;

/// The result is `chosen`, broadcast to the shape that the root has.
Result<Rewrite> choose(const ir::Graph& graph, const ir::Node& root, ir::ValueId chosen) {
  const TensorType& type = graph.value(root.outputs[0]).type;
  if (is_same(graph.value(chosen).type, type)) return replace_with(graph, root, chosen);
  const auto shape = static_shape(type.shape);
  if (!shape) return Rewrite{NoMatch{"a broadcast to an open shape"}};
  for (const std::int64_t extent : *shape) {
    if (extent < 1) return Rewrite{NoMatch{"an empty result"}};
  }
  return replace_with(graph, root, ir::Expand{.shape = *shape}, {chosen});
}

Result<Rewrite> choose_branch(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& node = graph.node(id);
  const auto condition = uniform_value(graph, node.inputs[0]);
  if (!condition) return Rewrite{NoMatch{"the condition is not one constant"}};
  return choose(graph, node, node.inputs[*condition != 0 ? 1 : 2]);
}

/// and: true is neutral, false decides. or: the other way round.
template <bool Neutral>
Result<Rewrite> simplify_logic(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& node = graph.node(id);
  for (const std::size_t k : {0U, 1U}) {
    const auto value = uniform_value(graph, node.inputs[k]);
    if (!value) continue;
    return choose(graph, node, node.inputs[(*value != 0) == Neutral ? 1 - k : k]);
  }
  return Rewrite{NoMatch{"no constant operand"}};
}

}  // namespace

std::vector<ir::Rule> constant_logic_rules() {
  return {
      {.name = "choose-branch", .root = ir::OpKind::kWhere, .apply = choose_branch},
      {.name = "simplify-and", .root = ir::OpKind::kAnd, .apply = simplify_logic<true>},
      {.name = "simplify-or", .root = ir::OpKind::kOr, .apply = simplify_logic<false>},
  };
}

}  // namespace smelt::passes
