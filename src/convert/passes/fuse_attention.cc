#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// %a = mul(%q, 0.5)                       (or div; also on %k, on the product, or nowhere)
// %s = matmul(%a, %k) {transpose_y = true}  (or of a %k that a transpose made [*B, E, S])
// %m = add(%s, %mask)                     (or where(%c, %s, -3.4e38), where(%c, -3.4e38, %s); or nothing)
// %p = softmax(%m) {axis = -1}
// %y = matmul(%p, %v)                     ->  %y = attention(%q, %k, %v, %mask) {scale = 0.5}
//
// %y = attention(%q, %k, %v, 0)           ->  %y = attention(%q, %k, %v)
//
// The same formula; the scales are multiplied together and rounded to f32, so scores move by a few ulp. A masked-out score becomes
// score + c for c <= -1e30 instead of c: the same float32 unless the score is over 1e22. Weights that pass where(is_nan(%p), 0, %p) first
// stay as they are: what a target's own op gives for a query without a key is not known.

namespace smelt::passes {
namespace {

using ir::Graph;
using ir::NoMatch;
using ir::Node;
using ir::NodeId;
using ir::Rewrite;
using ir::ValueId;

/// What a `where` writes over a score stands for minus infinity from here on.
constexpr double kMaskedOut = -1e30;

/// Takes products and quotients by one number off a value, and their factor into `scale`.
ValueId without_scale(const Graph& graph, ValueId id, double& scale) {
  for (;;) {
    const Node* node = producer(graph, id);
    if (node == nullptr || !is_single_use(graph, id) || node->inputs.size() != 2) return id;
    const bool is_mul = node->op.as<ir::Mul>() != nullptr, is_div = node->op.as<ir::Div>() != nullptr;
    if (!is_mul && !is_div) return id;
    const auto is_scaled = [&](std::size_t k) {
      return uniform_value(graph, node->inputs[1 - k]) && is_same(graph.value(node->inputs[k]).type, graph.value(id).type);
    };
    const std::size_t k = is_scaled(0) ? 0 : 1;
    if (!is_scaled(k) || (is_div && k == 1)) return id;
    const double factor = *uniform_value(graph, node->inputs[1 - k]);
    scale = is_mul ? scale * factor : scale / factor;
    id = node->inputs[k];
  }
}

/// The scores under a mask, and the mask; the scores alone where there is none.
struct Masked {
  ValueId scores;
  ValueId mask{};                  ///< to add; or invalid
  ValueId condition{};             ///< of a `where`; or invalid
  ValueId masked_out{};            ///< its constant
  bool keeps_where_true = false;
};

bool is_product(const Graph& graph, ValueId id) {
  double scale = 1;
  return produced_by<ir::MatMul>(graph, without_scale(graph, id, scale)) != nullptr;
}

Masked without_mask(const Graph& graph, ValueId id) {
  const Node* node = producer(graph, id);
  const auto keeps_shape = [&](ValueId scores) { return is_same(graph.value(scores).type, graph.value(id).type) && is_single_use(graph, scores); };
  if (node != nullptr && node->op.as<ir::Add>() != nullptr) {
    for (const std::size_t k : {0U, 1U}) {
      if (is_product(graph, node->inputs[k]) && keeps_shape(node->inputs[k])) return {.scores = node->inputs[k], .mask = node->inputs[1 - k]};
    }
  }
  if (node != nullptr && node->op.as<ir::Where>() != nullptr) {
    for (const std::size_t k : {1U, 2U}) {
      const auto value = uniform_value(graph, node->inputs[3 - k]);
      if (!value || !(*value <= kMaskedOut) || !is_product(graph, node->inputs[k]) || !keeps_shape(node->inputs[k])) continue;
      return {.scores = node->inputs[k], .condition = node->inputs[0], .masked_out = node->inputs[3 - k], .keeps_where_true = k == 1};
    }
  }
  return {.scores = id};
}

/// [*B, S, E] of a key: as it is, or the operand of the transpose that made it [*B, E, S].
struct Key {
  ValueId value;
  bool is_to_be_swapped = false;
};
std::optional<Key> key_of(const Graph& graph, const ir::MatMul& product, ValueId id, double& scale) {
  id = without_scale(graph, id, scale);
  if (product.transpose_y) return Key{.value = id};
  if (produced_by<ir::Transpose>(graph, id) == nullptr || !is_single_use(graph, id)) return std::nullopt;
  return Key{.value = id, .is_to_be_swapped = true};
}

bool is_same_batch(const Graph& graph, ValueId a, ValueId b) {
  const Shape &x = graph.value(a).type.shape, &y = graph.value(b).type.shape;
  return x.size() == y.size() && is_same(Shape(x.begin(), x.end() - 2), Shape(y.begin(), y.end() - 2));
}

/// Swaps the last two axes.
ir::Transpose swap_of(std::size_t rank) {
  ir::Transpose op;
  op.perm.resize(rank);
  std::iota(op.perm.begin(), op.perm.end(), 0);
  std::swap(op.perm[rank - 1], op.perm[rank - 2]);
  return op;
}

/// The mask to add of a `where`: 0 where a score is kept.
Result<ValueId> additive(const Graph& graph, ir::Patch& patch, const Masked& masked) {
  const ValueId zero = patch.constant("", make_constant(float_scalar(graph.value(masked.masked_out).type.dtype, 0)));
  if (masked.keeps_where_true) return patch.add(ir::Where{}, {masked.condition, zero, masked.masked_out});
  return patch.add(ir::Where{}, {masked.condition, masked.masked_out, zero});
}

Result<Rewrite> fuse_attention(const Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  const ir::MatMul& outer = *root.op.as<ir::MatMul>();
  const Node* softmax = produced_by<ir::Softmax>(graph, root.inputs[0]);
  if (softmax == nullptr || !is_single_use(graph, root.inputs[0]) || outer.transpose_x || outer.transpose_y) return Rewrite{NoMatch{"no softmax on the left"}};
  const TensorType& type = graph.value(root.inputs[0]).type;
  const std::size_t rank = type.shape.size();
  if (rank < 3 || softmax->op.as<ir::Softmax>()->axis != static_cast<std::int64_t>(rank) - 1) return Rewrite{NoMatch{"the softmax is not over the last of three or more axes"}};
  if (type.dtype != DType::kF32 && type.dtype != DType::kF16) return Rewrite{NoMatch{"neither f32 nor f16"}};
  if (!is_single_use(graph, softmax->inputs[0])) return Rewrite{NoMatch{"the scores are used elsewhere"}};
  const Masked masked = without_mask(graph, softmax->inputs[0]);
  double scale = 1;
  const ValueId scores = without_scale(graph, masked.scores, scale);
  const Node* product = produced_by<ir::MatMul>(graph, scores);
  if (product == nullptr || !is_single_use(graph, scores) || product->op.as<ir::MatMul>()->transpose_x) return Rewrite{NoMatch{"the scores are no product"}};
  const ValueId query = without_scale(graph, product->inputs[0], scale), value = root.inputs[1];
  const std::optional<Key> key = key_of(graph, *product->op.as<ir::MatMul>(), product->inputs[1], scale);
  if (!key) return Rewrite{NoMatch{"the key is [*B, E, S] from elsewhere than a transpose"}};
  if (!is_same_batch(graph, query, key->value) || !is_same_batch(graph, query, value)) return Rewrite{NoMatch{"the batches are not the same"}};
  if (constant_of(graph, query) != nullptr || constant_of(graph, key->value) != nullptr || constant_of(graph, value) != nullptr) {
    return Rewrite{NoMatch{"an operand is a weight"}};
  }
  if (!std::isfinite(scale) || scale <= 0) return Rewrite{NoMatch{"the scale is not positive"}};
  ir::Patch patch(graph);
  std::vector<ValueId> inputs{query, key->value, value};
  if (key->is_to_be_swapped) {
    SMELT_ASSIGN_OR_RETURN(inputs[1], patch.add(swap_of(rank), {key->value}));
  }
  if (masked.mask.valid()) inputs.push_back(masked.mask);
  if (masked.condition.valid()) {
    SMELT_ASSIGN_OR_RETURN(inputs.emplace_back(), additive(graph, patch, masked));
  }
  return replace_with(graph, std::move(patch), root, ir::Attention{.scale = static_cast<float>(scale)}, std::move(inputs));
}

Result<Rewrite> drop_zero_mask(const Graph& graph, NodeId id) {
  const Node& root = graph.node(id);
  if (root.inputs.size() < 4 || !root.inputs[3].valid()) return Rewrite{NoMatch{"no mask"}};
  if (uniform_value(graph, root.inputs[3]) != std::optional(0.0)) return Rewrite{NoMatch{"the mask is not zero throughout"}};
  return replace_with(graph, root, root.op, {root.inputs[0], root.inputs[1], root.inputs[2]});
}

}  // namespace

std::vector<ir::Rule> fuse_attention_rules() {
  return {
      {.name = "fuse-attention", .root = ir::OpKind::kMatMul, .apply = fuse_attention},
      {.name = "drop-zero-mask", .root = ir::OpKind::kAttention, .apply = drop_zero_mask},
  };
}

}  // namespace smelt::passes
