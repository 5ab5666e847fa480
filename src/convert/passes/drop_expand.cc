#include <utility>
#include <variant>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %e = expand(%a: f32[1, 3]) {shape = [2, 3]}
// %c = add(%e, %b: f32[2, 3])                  ->  %c = add(%a, %b)
//
// The op broadcasts by itself. Exact; only when the result keeps its shape without the expand.

namespace smelt::passes {
namespace {

Result<ir::Rewrite> drop_expand(const ir::Graph& graph, ir::NodeId id) {
  const ir::Node& node = graph.node(id);
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    const ir::Node* expand = produced_by<ir::Expand>(graph, node.inputs[k]);
    if (expand == nullptr) continue;
    std::vector<ir::ValueId> inputs = node.inputs;
    inputs[k] = expand->inputs[0];
    SMELT_ASSIGN_OR_RETURN(ir::Rewrite rewrite, replace_with(graph, node, node.op, std::move(inputs)));
    if (std::holds_alternative<ir::Patch>(rewrite)) return rewrite;
  }
  return ir::Rewrite{ir::NoMatch{"no operand is expanded needlessly"}};
}

}  // namespace

std::vector<ir::Rule> drop_expand_rules() {
  using ir::OpKind;
  std::vector<ir::Rule> rules;
  for (const OpKind root : {OpKind::kAdd, OpKind::kSub, OpKind::kMul, OpKind::kDiv, OpKind::kPow, OpKind::kMin, OpKind::kMax,
                            OpKind::kEqual, OpKind::kLess, OpKind::kLessOrEqual, OpKind::kGreater, OpKind::kGreaterOrEqual,
                            OpKind::kAnd, OpKind::kOr, OpKind::kXor, OpKind::kWhere, OpKind::kAttention}) {
    rules.push_back({.name = "drop-expand", .root = root, .apply = drop_expand});
  }
  return rules;
}

}  // namespace smelt::passes
