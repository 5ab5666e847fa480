#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/channel_affine.h"
#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "convert/passes/scaled_rows.h"
#include "ir/ops/all.h"

// %c = conv(%x, %w)
// %y = batch_norm(%c, %gamma, %beta, %mean, %variance)  ->  %y = conv(%x, %w * s, t)
// %y = mul(%c, const f32[C, 1, 1])                      ->  %y = conv(%x, %w * s, none)
// %y = add(%c, const f32[1, C, 1, 1])                   ->  %y = conv(%x, %w, t)
//
// with s and t a factor and a term for each output channel; div and sub alike. Constant weights, f32, the convolution's result used
// once. Scales and biases are computed in double and each weight rounded once: within 1 ulp of each weight, so the result
// within a few ulp of the sum of the products' magnitudes. Padding is inside the convolution, so it is not scaled or shifted.

namespace smelt::passes {
namespace {

using ir::Graph;
using ir::NoMatch;
using ir::Node;
using ir::NodeId;
using ir::Rewrite;
using ir::ValueId;

std::size_t channel_count(const Graph& graph, const Node& conv) {
  return static_cast<std::size_t>(constant_of(graph, conv.inputs[1])->shape[0]);
}

/// The convolution that also does what followed it.
Result<Rewrite> fold_into_conv(const Graph& graph, const Node& root, const Node& conv, const ChannelAffine& affine) {
  if (!is_finite(affine)) return Rewrite{NoMatch{"a factor is not finite"}};
  const Constant& w = *constant_of(graph, conv.inputs[1]);
  const bool has_bias = conv.inputs.size() > 2 && conv.inputs[2].valid();
  std::vector<double> bias(affine.scale.size(), 0.0);
  if (has_bias) {
    SMELT_ASSIGN_OR_RETURN(bias, load_doubles(*constant_of(graph, conv.inputs[2])));
  }
  bool needs_bias = has_bias;
  for (std::size_t c = 0; c < bias.size(); ++c) {
    bias[c] = bias[c] * affine.scale[c] + affine.shift[c];
    needs_bias = needs_bias || bias[c] != 0.0;
  }
  ir::Patch patch(graph);
  std::vector<ValueId> inputs = {conv.inputs[0], conv.inputs[1]};
  if (std::ranges::any_of(affine.scale, [](double scale) { return scale != 1.0; })) {
    SMELT_ASSIGN_OR_RETURN(BytesRef bytes, scaled_rows(w.bytes, affine.scale));
    inputs[1] = patch.constant(graph.value(conv.inputs[1]).name, std::make_shared<const Constant>(Constant{
                                                                     .dtype = w.dtype, .shape = w.shape, .bytes = std::move(bytes)}));
  }
  if (needs_bias) inputs.push_back(patch.constant(has_bias ? graph.value(conv.inputs[2]).name : "", f32_vector(bias)));
  return replace_with(graph, std::move(patch), root, conv.op, std::move(inputs));
}

Result<Rewrite> fold_batch_norm(const Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  const Node* conv = foldable_conv(graph, root.inputs[0]);
  if (conv == nullptr) return Rewrite{NoMatch{"no foldable convolution before"}};
  SMELT_ASSIGN_OR_RETURN(const std::optional<ChannelAffine> affine, batch_norm_affine(graph, root));
  return affine ? fold_into_conv(graph, root, *conv, *affine) : Rewrite{NoMatch{"statistics are not constant"}};
}

/// Folds `root`, one operand of which is a convolution and the other a constant. Operand 0 is the convolution, or either may be.
template <bool IsCommutative>
Result<Rewrite> fold_binary(const Graph& graph, const Node& root, ChannelAffine (*affine_of)(const std::vector<double>&)) {
  for (const std::size_t k : {0U, 1U}) {
    if (k == 1 && !IsCommutative) break;
    const Node* conv = foldable_conv(graph, root.inputs[k]);
    if (conv == nullptr) continue;
    const std::size_t rank = graph.value(root.inputs[k]).type.shape.size();
    SMELT_ASSIGN_OR_RETURN(const auto values, per_channel(graph, root.inputs[1 - k], rank, channel_count(graph, *conv)));
    if (values) return fold_into_conv(graph, root, *conv, affine_of(*values));
  }
  return Rewrite{NoMatch{"no foldable convolution and constant"}};
}

Result<Rewrite> fold_mul(const Graph& graph, NodeId id) { return fold_binary<true>(graph, graph.node(id), scaled_by); }
Result<Rewrite> fold_add(const Graph& graph, NodeId id) { return fold_binary<true>(graph, graph.node(id), shifted_by); }
Result<Rewrite> fold_div(const Graph& graph, NodeId id) { return fold_binary<false>(graph, graph.node(id), divided_by); }
Result<Rewrite> fold_sub(const Graph& graph, NodeId id) { return fold_binary<false>(graph, graph.node(id), lowered_by); }

}  // namespace

std::vector<ir::Rule> fuse_conv_rules() {
  using ir::OpKind;
  return {
      {.name = "fuse-conv-batch-norm", .root = OpKind::kBatchNorm, .apply = fold_batch_norm},
      {.name = "fuse-conv-scale", .root = OpKind::kMul, .apply = fold_mul},
      {.name = "fuse-conv-scale", .root = OpKind::kDiv, .apply = fold_div},
      {.name = "fuse-conv-bias", .root = OpKind::kAdd, .apply = fold_add},
      {.name = "fuse-conv-bias", .root = OpKind::kSub, .apply = fold_sub},
  };
}

}  // namespace smelt::passes
