#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %t = transpose(%b) {perm = [0, 1, 3, 2]}
// %y = matmul(%a, %t)                          ->  %y = matmul(%a, %b) {transpose_y = true}
//
// %y = matmul(%x, %w: const f32[K, N])         ->  %y = linear(%x, %w transposed: const f32[N, K])
//
// %l = linear(%x, %w)
// %y = add(%l, %b: const f32[N])               ->  %y = linear(%x, %w, %b)
//
// A constant matrix on the right gets its linear even where its other operand is a transpose, so that all such weights have one form.
// The transposed weight is a function of the one in the file, which is not loaded. The first two are exact. A bias moves its rounding
// into the sum of the products: within 1 ulp of the larger term. With a bias already there, the two are added in double and
// rounded once.

namespace smelt::passes {
namespace {

using ir::Graph;
using ir::NoMatch;
using ir::Node;
using ir::NodeId;
using ir::Rewrite;
using ir::ValueId;

/// The operand of a transpose that swaps the last two axes only.
std::optional<ValueId> untransposed(const Graph& graph, ValueId id) {
  const Node* node = produced_by<ir::Transpose>(graph, id);
  if (node == nullptr) return std::nullopt;
  const std::vector<std::int64_t>& perm = node->op.as<ir::Transpose>()->perm;
  std::vector<std::int64_t> swapped(perm.size());
  std::iota(swapped.begin(), swapped.end(), 0);
  if (swapped.size() < 2) return std::nullopt;
  std::swap(swapped[swapped.size() - 1], swapped[swapped.size() - 2]);
  return perm == swapped ? std::optional(node->inputs[0]) : std::nullopt;
}

Result<Rewrite> transpose_in_matmul(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  ir::MatMul matmul = *node.op.as<ir::MatMul>();
  std::vector<ValueId> inputs = node.inputs;
  if (const auto x = untransposed(graph, inputs[0])) {
    inputs[0] = *x;
    matmul.transpose_x = !matmul.transpose_x;
  }
  if (const auto y = untransposed(graph, inputs[1])) {
    inputs[1] = *y;
    matmul.transpose_y = !matmul.transpose_y;
  }
  if (inputs == node.inputs) return Rewrite{NoMatch{"no operand is transposed"}};
  return replace_with(graph, node, matmul, std::move(inputs));
}

Result<Rewrite> linear_for_matmul(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const ir::MatMul& matmul = *node.op.as<ir::MatMul>();
  const Constant* w = constant_of(graph, node.inputs[1]);
  if (matmul.transpose_x || w == nullptr || w->shape.size() != 2) return Rewrite{NoMatch{"no constant matrix on the right"}};
  if (!is_float(w->dtype)) return Rewrite{NoMatch{"not a float"}};
  if (constant_of(graph, node.inputs[0]) != nullptr) return Rewrite{NoMatch{"both are constants, which folding sees to"}};
  if (matmul.transpose_y) return replace_with(graph, node, ir::Linear{}, node.inputs);
  SMELT_ASSIGN_OR_RETURN(BytesRef bytes, transpose_2d(w->bytes, static_cast<std::uint64_t>(w->shape[0]),
                                                      static_cast<std::uint64_t>(w->shape[1]), bits(w->dtype) / 8));
  ir::Patch patch(graph);
  const ValueId transposed =
      patch.constant(graph.value(node.inputs[1]).name,
                     std::make_shared<const Constant>(
                         Constant{.dtype = w->dtype, .shape = {w->shape[1], w->shape[0]}, .bytes = std::move(bytes)}));
  return replace_with(graph, std::move(patch), node, ir::Linear{}, {node.inputs[0], transposed});
}

/// The bias of a linear and a constant together; nothing when one is not a constant of its shape.
Result<ConstantRef> combined_bias(const Graph& graph, const Node& linear, const Constant& added) {
  const auto shape = without_leading_ones(added.shape, 1);
  const Dim features = graph.value(linear.inputs[1]).type.shape[0];
  if (!shape || compare(Dim((*shape)[0]), features) != Comparison::kEqual) return ConstantRef();
  if (linear.inputs.size() < 3 || !linear.inputs[2].valid()) return with_shape(added, *shape);
  const Constant* bias = constant_of(graph, linear.inputs[2]);
  if (bias == nullptr || bias->dtype != DType::kF32) return ConstantRef();
  SMELT_ASSIGN_OR_RETURN(std::vector<double> sum, load_doubles(*bias));
  SMELT_ASSIGN_OR_RETURN(const std::vector<double> more, load_doubles(added));
  std::ranges::transform(sum, more, sum.begin(), std::plus<>());
  return f32_vector(sum);
}

Result<Rewrite> bias_in_linear(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  for (const std::size_t k : {0U, 1U}) {
    const Node* linear = produced_by<ir::Linear>(graph, node.inputs[k]);
    const Constant* added = constant_of(graph, node.inputs[1 - k]);
    if (linear == nullptr || added == nullptr || !is_single_use(graph, node.inputs[k])) continue;
    SMELT_ASSIGN_OR_RETURN(ConstantRef bias, combined_bias(graph, *linear, *added));
    if (bias == nullptr) continue;
    ir::Patch patch(graph);
    const ValueId b = patch.constant(graph.value(node.inputs[1 - k]).name, std::move(bias));
    return replace_with(graph, std::move(patch), node, ir::Linear{}, {linear->inputs[0], linear->inputs[1], b});
  }
  return Rewrite{NoMatch{"no linear and constant bias"}};
}

}  // namespace

std::vector<ir::Rule> fuse_linear_rules() {
  return {
      {.name = "linear-for-matmul", .root = ir::OpKind::kMatMul, .apply = linear_for_matmul},
      {.name = "transpose-in-matmul", .root = ir::OpKind::kMatMul, .apply = transpose_in_matmul},
      {.name = "bias-in-linear", .root = ir::OpKind::kAdd, .apply = bias_in_linear},
  };
}

}  // namespace smelt::passes
