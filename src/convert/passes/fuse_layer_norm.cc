#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %m = reduce(%x) {function = mean, axes = [2], keeps_axes = true}
// %d = sub(%x, %m)
// %s = pow(%d, 2)                 (or mul(%d, %d))
// %v = reduce(%s) {function = mean, axes = [2], keeps_axes = true}
// %e = add(%v, 1e-5)
// %r = sqrt(%e)
// %n = div(%d, %r)                (or mul(%d, reciprocal(%r)))  ->  %n = layer_norm(%x) {axis = 2, epsilon = 1e-5}
//
// %y = mul(%n, %gamma)
// %z = add(%y, %beta)             ->  %z = layer_norm(%x, %gamma, %beta) {...}
//
// The same formula, with fewer roundings between: within a few ulp of the decomposed form's own error. epsilon is rounded to f32.

namespace smelt::passes {
namespace {

using ir::Graph;
using ir::NoMatch;
using ir::Node;
using ir::NodeId;
using ir::Rewrite;
using ir::ValueId;

/// The axes of a mean that keeps them.
const ir::Reduce* mean_of(const Node* node) {
  const ir::Reduce* reduce = node == nullptr ? nullptr : node->op.as<ir::Reduce>();
  return reduce != nullptr && reduce->function == ir::ReduceFunction::kMean && reduce->keeps_axes ? reduce : nullptr;
}

/// d of pow(d, 2) or mul(d, d).
std::optional<ValueId> squared(const Graph& graph, ValueId id) {
  if (!is_single_use(graph, id)) return std::nullopt;
  if (const Node* mul = produced_by<ir::Mul>(graph, id)) {
    return mul->inputs[0] == mul->inputs[1] ? std::optional(mul->inputs[0]) : std::nullopt;
  }
  const Node* pow = produced_by<ir::Pow>(graph, id);
  if (pow == nullptr || uniform_value(graph, pow->inputs[1]) != std::optional(2.0)) return std::nullopt;
  return pow->inputs[0];
}

/// The value and the constant of a sum with one constant.
struct Sum {
  ValueId value;
  double constant = 0;
};
std::optional<Sum> sum_with_constant(const Graph& graph, ValueId id) {
  const Node* add = produced_by<ir::Add>(graph, id);
  if (add == nullptr || !is_single_use(graph, id)) return std::nullopt;
  for (const std::size_t k : {0U, 1U}) {
    if (const auto constant = uniform_value(graph, add->inputs[k])) return Sum{.value = add->inputs[1 - k], .constant = *constant};
  }
  return std::nullopt;
}

/// x of sub(x, mean(x)), and that mean.
struct Centred {
  ValueId x;
  const ir::Reduce* mean;
};
std::optional<Centred> centred(const Graph& graph, ValueId id) {
  const Node* sub = produced_by<ir::Sub>(graph, id);
  if (sub == nullptr || !is_single_use(graph, sub->inputs[1])) return std::nullopt;
  const Node* node = producer(graph, sub->inputs[1]);
  const ir::Reduce* mean = mean_of(node);
  if (mean == nullptr || node->inputs[0] != sub->inputs[0]) return std::nullopt;
  return Centred{.x = sub->inputs[0], .mean = mean};
}

/// The first axis, when the axes are the last ones.
std::optional<std::int64_t> first_of_last_axes(const std::vector<std::int64_t>& axes, std::size_t rank) {
  if (axes.empty() || axes.size() > rank) return std::nullopt;
  const auto first = static_cast<std::int64_t>(rank - axes.size());
  for (std::size_t k = 0; k < axes.size(); ++k) {
    if (axes[k] != first + static_cast<std::int64_t>(k)) return std::nullopt;
  }
  return first;
}

/// The layer norm that `root` ends: d over a square root.
Result<Rewrite> fuse(const Graph& graph, const Node& root, ValueId d, ValueId deviation) {
  const Node* sqrt = produced_by<ir::Sqrt>(graph, deviation);
  if (sqrt == nullptr || !is_single_use(graph, deviation)) return Rewrite{NoMatch{"no square root"}};
  const std::optional<Sum> sum = sum_with_constant(graph, sqrt->inputs[0]);
  if (!sum || !is_single_use(graph, sum->value)) return Rewrite{NoMatch{"no variance and epsilon"}};
  const Node* variance = producer(graph, sum->value);
  const ir::Reduce* mean = mean_of(variance);
  if (mean == nullptr) return Rewrite{NoMatch{"the variance is not a mean"}};
  if (squared(graph, variance->inputs[0]) != std::optional(d)) return Rewrite{NoMatch{"the variance is of another value"}};
  const bool is_pow = produced_by<ir::Pow>(graph, variance->inputs[0]) != nullptr;
  if (graph.use_count(d) != (is_pow ? 2U : 3U)) return Rewrite{NoMatch{"the difference is used elsewhere"}};
  const std::optional<Centred> of_x = centred(graph, d);
  if (!of_x || of_x->mean->axes != mean->axes) return Rewrite{NoMatch{"the difference is not from the mean over the same axes"}};
  const auto axis = first_of_last_axes(mean->axes, graph.value(of_x->x).type.shape.size());
  if (!axis) return Rewrite{NoMatch{"not the last axes"}};
  if (!std::isfinite(sum->constant) || sum->constant < 0) return Rewrite{NoMatch{"epsilon is negative"}};
  if (!is_float(graph.value(of_x->x).type.dtype)) return Rewrite{NoMatch{"not a float"}};
  return replace_with(graph, root, ir::LayerNorm{.axis = *axis, .epsilon = static_cast<float>(sum->constant)}, {of_x->x});
}

Result<Rewrite> fuse_div(const Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  return fuse(graph, root, root.inputs[0], root.inputs[1]);
}

Result<Rewrite> fuse_mul(const Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  for (const std::size_t k : {0U, 1U}) {
    const Node* reciprocal = produced_by<ir::Reciprocal>(graph, root.inputs[k]);
    if (reciprocal == nullptr || !is_single_use(graph, root.inputs[k])) continue;
    return fuse(graph, root, root.inputs[1 - k], reciprocal->inputs[0]);
  }
  return Rewrite{NoMatch{"no reciprocal"}};
}

/// A layer norm takes the constant of a mul as gamma (operand 1) or of an add as beta (operand 2).
template <std::size_t Slot>
Result<Rewrite> fuse_parameter(const Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  for (const std::size_t k : {0U, 1U}) {
    const Node* norm = produced_by<ir::LayerNorm>(graph, root.inputs[k]);
    const Constant* parameter = constant_of(graph, root.inputs[1 - k]);
    if (norm == nullptr || parameter == nullptr || !is_single_use(graph, root.inputs[k])) continue;
    std::vector<ValueId> inputs = norm->inputs;
    inputs.resize(3);
    if (inputs[Slot].valid() || inputs[2].valid()) continue;  // (n + beta) * gamma is another thing
    const Shape& x = graph.value(inputs[0]).type.shape;
    const auto axis = static_cast<std::size_t>(norm->op.as<ir::LayerNorm>()->axis);
    const auto shape = without_leading_ones(parameter->shape, x.size() - axis);
    if (!shape || !is_same(to_shape(*shape), Shape(x.begin() + static_cast<std::ptrdiff_t>(axis), x.end()))) continue;
    ir::Patch patch(graph);
    inputs[Slot] = patch.constant(graph.value(root.inputs[1 - k]).name, with_shape(*parameter, *shape));
    if (!inputs[2].valid()) inputs.resize(2);
    return replace_with(graph, std::move(patch), root, norm->op, std::move(inputs));
  }
  return Rewrite{NoMatch{"no layer norm and parameter"}};
}

}  // namespace

std::vector<ir::Rule> fuse_layer_norm_rules() {
  return {
      {.name = "fuse-layer-norm", .root = ir::OpKind::kDiv, .apply = fuse_div},
      {.name = "fuse-layer-norm", .root = ir::OpKind::kMul, .apply = fuse_mul},
      {.name = "fuse-layer-norm-gamma", .root = ir::OpKind::kMul, .apply = fuse_parameter<1>},
      {.name = "fuse-layer-norm-beta", .root = ir::OpKind::kAdd, .apply = fuse_parameter<2>},
  };
}

}  // namespace smelt::passes
