#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %one = const f32[1] (every element 1)
// %b = mul(%a: f32[2, 3], %one)          ->  %a
//
// x * 1, x / 1, x - 0 are exact. x + 0 is exact but for -0, which the sum makes +0. The result's type must be x's: a constant of
// more axes than x broadcasts it.

namespace smelt::passes {
namespace {

template <std::size_t ConstantOperand, int Neutral>
Result<ir::Rewrite> drop_neutral(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& node = graph.node(id);
  const ir::ValueId x = node.inputs[1 - ConstantOperand];
  if (!is_same(graph.value(x).type, graph.value(node.outputs[0]).type)) return ir::Rewrite{ir::NoMatch{"the operand is broadcast"}};
  const auto value = uniform_value(graph, node.inputs[ConstantOperand]);
  if (!value || *value != static_cast<double>(Neutral)) return ir::Rewrite{ir::NoMatch{"no neutral constant"}};
  return replace_with(graph, node, x);
}

}  // namespace

std::vector<ir::Rule> identity_operand_rules() {
  using ir::OpKind;
  return {
      {.name = "drop-mul-by-one", .root = OpKind::kMul, .apply = drop_neutral<1, 1>},
      {.name = "drop-mul-by-one", .root = OpKind::kMul, .apply = drop_neutral<0, 1>},
      {.name = "drop-div-by-one", .root = OpKind::kDiv, .apply = drop_neutral<1, 1>},
      {.name = "drop-add-of-zero", .root = OpKind::kAdd, .apply = drop_neutral<1, 0>},
      {.name = "drop-add-of-zero", .root = OpKind::kAdd, .apply = drop_neutral<0, 0>},
      {.name = "drop-sub-of-zero", .root = OpKind::kSub, .apply = drop_neutral<1, 0>},
  };
}

}  // namespace smelt::passes
