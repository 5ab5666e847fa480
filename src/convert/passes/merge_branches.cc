#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "convert/passes/channel_affine.h"
#include "convert/passes/kernel_sum.h"
#include "convert/passes/match.h"
#include "convert/passes/passes.h"
#include "ir/ops/all.h"

// Parallel branches over one input, as networks have them that are trained with more branches than they need:
//
// %a = conv(%x, %w: const f32[C, I, 3, 3], %b) {pads_begin = [1, 1], pads_end = [1, 1]}
// %c = conv(%x, %v: const f32[C, I, 1, 1], %d)
// %y = add(%a, %c)                     ->  %y = conv(%x, %w + %v in the middle, %b + %d)
//
// %a = conv(%x, %w, %b)
// %n = batch_norm(%x, ...)
// %y = add(%a, %n)                     ->  %y = conv(%x, %w + s on the diagonal, in the middle, %b + t)
//
// The second branch may be %x itself, and any tree of batch_norm, add, sub, mul and div over %x and constants for each channel; for a
// sub, signs change. Longer sums merge pair by pair; `fuse_conv` folds what lies in between (the scale of a layer, a batch_norm).
//
// Constant weights, f32; each convolution's result used once; the same stride, dilation and groups, and one kernel within the other
// where both lie over the input, so that the sum has no more elements than the larger. A branch without a kernel needs stride 1, an
// output channel for each input channel, and a kernel that reaches the element itself. Exact in real numbers, at the border too:
// padding is zero in every branch that has it, and the others do not reach it. Weights and biases are added in double and rounded
// once a merge: within 1 ulp of the larger term. Where %x is infinite, a NaN may stand for an infinity beside it.

namespace smelt::passes {
namespace {

using ir::Graph;
using ir::NoMatch;
using ir::Node;
using ir::NodeId;
using ir::Rewrite;
using ir::ValueId;

/// One operand of the sum: a value, and 1 or -1.
struct Term {
  ValueId value;
  double sign = 1.0;
};

std::vector<std::int64_t> kernel_of(const Constant& w) { return {w.shape.begin() + 2, w.shape.end()}; }

Result<std::vector<double>> bias_of(const Graph& graph, const Node& conv) {
  if (conv.inputs.size() > 2 && conv.inputs[2].valid()) return load_doubles(*constant_of(graph, conv.inputs[2]));
  return std::vector<double>(static_cast<std::size_t>(constant_of(graph, conv.inputs[1])->shape[0]), 0.0);
}

/// The convolution `like` with other weights in place of the root.
Result<Rewrite> merged(const Graph& graph, const Node& root, const Node& like, BytesRef bytes, const std::vector<double>& bias) {
  const Constant& w = *constant_of(graph, like.inputs[1]);
  ir::Patch patch(graph);
  std::vector<ValueId> inputs = {like.inputs[0]};
  inputs.push_back(patch.constant(graph.value(like.inputs[1]).name,
                                  std::make_shared<const Constant>(Constant{.dtype = w.dtype, .shape = w.shape, .bytes = std::move(bytes)})));
  if (std::ranges::any_of(bias, [](double value) { return value != 0.0; })) {
    const bool has_bias = like.inputs.size() > 2 && like.inputs[2].valid();
    inputs.push_back(patch.constant(has_bias ? graph.value(like.inputs[2]).name : "", f32_vector(bias)));
  }
  return replace_with(graph, std::move(patch), root, like.op, std::move(inputs));
}

/// Where the kernel of `small` begins within that of `large`, both over the same input; nothing when it does not lie within.
std::optional<std::vector<std::int64_t>> offset_within(const ir::Conv& large, const std::vector<std::int64_t>& large_kernel,
                                                       const ir::Conv& small, const std::vector<std::int64_t>& small_kernel) {
  std::vector<std::int64_t> offset;
  for (std::size_t k = 0; k < large_kernel.size(); ++k) {
    const std::int64_t dilation = large.dilation[k];
    if (small.dilation[k] != dilation && small_kernel[k] != 1) return std::nullopt;
    const std::int64_t moved = large.pads_begin[k] - small.pads_begin[k];
    if (moved < 0 || moved % dilation != 0 || moved / dilation + small_kernel[k] > large_kernel[k]) return std::nullopt;
    offset.push_back(moved / dilation);
  }
  return offset;
}

Result<Rewrite> merge_convs(const Graph& graph, const Node& root, const Term& first, const Term& second) {
  const Node *large = foldable_conv(graph, first.value), *small = foldable_conv(graph, second.value);
  if (large == nullptr || small == nullptr || large == small || large->inputs[0] != small->inputs[0]) return Rewrite{NoMatch{"not two convolutions of one input"}};
  const auto &large_op = *large->op.as<ir::Conv>(), &small_op = *small->op.as<ir::Conv>();
  const Constant &large_w = *constant_of(graph, large->inputs[1]), &small_w = *constant_of(graph, small->inputs[1]);
  if (large_op.stride != small_op.stride || large_op.groups != small_op.groups) return Rewrite{NoMatch{"another stride or groups"}};
  if (large_w.shape[0] != small_w.shape[0]) return Rewrite{NoMatch{"another number of channels"}};
  const auto offset = offset_within(large_op, kernel_of(large_w), small_op, kernel_of(small_w));
  if (!offset) return Rewrite{NoMatch{"no kernel lies within the other"}};
  SMELT_ASSIGN_OR_RETURN(BytesRef bytes, sum_kernels({.bytes = large_w.bytes, .extents = kernel_of(large_w), .factor = first.sign},
                                                     {.bytes = small_w.bytes, .extents = kernel_of(small_w), .factor = second.sign}, *offset));
  SMELT_ASSIGN_OR_RETURN(std::vector<double> bias, bias_of(graph, *large));
  SMELT_ASSIGN_OR_RETURN(const std::vector<double> more, bias_of(graph, *small));
  for (std::size_t c = 0; c < bias.size(); ++c) bias[c] = first.sign * bias[c] + second.sign * more[c];
  return merged(graph, root, *large, std::move(bytes), bias);
}

/// A tree over one value, as a factor and a term for each channel.
class ChannelReader {
 public:
  using Maybe = std::optional<ChannelAffine>;

  ChannelReader(const Graph& graph, ValueId x, std::size_t channels) : graph_(graph), x_(x), channels_(channels) {}

  Result<Maybe> read(ValueId id, int depth = 0) {
    constexpr int kMaxDepth = 8;
    const std::vector<double> ones(channels_, 1.0);
    if (id == x_) return Maybe(scaled_by(ones));
    if (constant_of(graph_, id) != nullptr) return read_constant(id);
    const Node* node = producer(graph_, id);
    if (node == nullptr || depth == kMaxDepth || !is_single_use(graph_, id)) return Maybe();
    switch (node->op.kind()) {
      case ir::OpKind::kBatchNorm: return read_batch_norm(*node, depth);
      case ir::OpKind::kAdd: return read_sum(*node, 1.0, depth);
      case ir::OpKind::kSub: return read_sum(*node, -1.0, depth);
      case ir::OpKind::kMul: return read_product(*node, depth);
      case ir::OpKind::kDiv: return read_quotient(*node, depth);
      default: return Maybe();
    }
  }

 private:
  Result<Maybe> read_constant(ValueId id) {
    SMELT_ASSIGN_OR_RETURN(const auto values, per_channel(graph_, id, graph_.value(x_).type.shape.size(), channels_));
    return values ? Maybe({.scale = std::vector<double>(channels_, 0.0), .shift = *values}) : Maybe();
  }

  static ChannelAffine scaled(ChannelAffine affine, const std::vector<double>& factors) {
    for (std::size_t c = 0; c < factors.size(); ++c) {
      affine.scale[c] *= factors[c];
      affine.shift[c] *= factors[c];
    }
    return affine;
  }

  Result<Maybe> read_batch_norm(const Node& node, int depth) {
    SMELT_ASSIGN_OR_RETURN(const Maybe affine, batch_norm_affine(graph_, node));
    SMELT_ASSIGN_OR_RETURN(Maybe inner, read(node.inputs[0], depth + 1));
    if (!affine || !inner) return Maybe();
    *inner = scaled(*std::move(inner), affine->scale);
    for (std::size_t c = 0; c < channels_; ++c) inner->shift[c] += affine->shift[c];
    return inner;
  }

  Result<Maybe> read_sum(const Node& node, double sign, int depth) {
    SMELT_ASSIGN_OR_RETURN(Maybe a, read(node.inputs[0], depth + 1));
    SMELT_ASSIGN_OR_RETURN(const Maybe b, read(node.inputs[1], depth + 1));
    if (!a || !b) return Maybe();
    for (std::size_t c = 0; c < channels_; ++c) {
      a->scale[c] += sign * b->scale[c];
      a->shift[c] += sign * b->shift[c];
    }
    return a;
  }

  Result<Maybe> read_product(const Node& node, int depth) {
    const bool is_left = constant_of(graph_, node.inputs[0]) != nullptr;
    SMELT_ASSIGN_OR_RETURN(const Maybe factors, read(node.inputs[is_left ? 0 : 1], depth + 1));
    SMELT_ASSIGN_OR_RETURN(Maybe inner, read(node.inputs[is_left ? 1 : 0], depth + 1));
    if (!factors || !inner || constant_of(graph_, node.inputs[is_left ? 0 : 1]) == nullptr) return Maybe();
    return Maybe(scaled(*std::move(inner), factors->shift));
  }

  Result<Maybe> read_quotient(const Node& node, int depth) {
    if (constant_of(graph_, node.inputs[1]) == nullptr) return Maybe();
    SMELT_ASSIGN_OR_RETURN(const Maybe divisors, read(node.inputs[1], depth + 1));
    SMELT_ASSIGN_OR_RETURN(Maybe inner, read(node.inputs[0], depth + 1));
    if (!divisors || !inner) return Maybe();
    return Maybe(scaled(*std::move(inner), divided_by(divisors->shift).scale));
  }

  const Graph& graph_;
  ValueId x_;
  std::size_t channels_;
};

/// The tap that reads the element itself, row-major; nothing when there is none, or the convolution moves or mixes more than that.
std::optional<std::uint64_t> own_tap(const Constant& w, const ir::Conv& op) {
  if (w.shape[0] != w.shape[1] * op.groups) return std::nullopt;
  std::uint64_t tap = 0;
  for (std::size_t k = 0; k < op.stride.size(); ++k) {
    const std::int64_t extent = w.shape[k + 2], pad = op.pads_begin[k];
    if (op.stride[k] != 1 || pad % op.dilation[k] != 0 || pad / op.dilation[k] >= extent) return std::nullopt;
    tap = tap * static_cast<std::uint64_t>(extent) + static_cast<std::uint64_t>(pad / op.dilation[k]);
  }
  return tap;
}

Result<Rewrite> merge_scale(const Graph& graph, const Node& root, const Term& kernel, const Term& branch) {
  const Node* conv = foldable_conv(graph, kernel.value);
  if (conv == nullptr || !is_same(graph.value(kernel.value).type, graph.value(conv->inputs[0]).type)) return Rewrite{NoMatch{"no convolution that keeps its type"}};
  const Constant& w = *constant_of(graph, conv->inputs[1]);
  const auto tap = own_tap(w, *conv->op.as<ir::Conv>());
  if (!tap || constant_of(graph, branch.value) != nullptr) return Rewrite{NoMatch{"a stride, or no tap on the element itself"}};
  SMELT_ASSIGN_OR_RETURN(std::optional<ChannelAffine> affine,
                         ChannelReader(graph, conv->inputs[0], static_cast<std::size_t>(w.shape[0])).read(branch.value));
  if (!affine || !is_finite(*affine)) return Rewrite{NoMatch{"the other operand is no scale and shift of the same input"}};
  SMELT_ASSIGN_OR_RETURN(std::vector<double> bias, bias_of(graph, *conv));
  for (std::size_t c = 0; c < bias.size(); ++c) {
    bias[c] = kernel.sign * bias[c] + branch.sign * affine->shift[c];
    affine->scale[c] *= branch.sign;
  }
  SMELT_ASSIGN_OR_RETURN(BytesRef bytes, add_channel_scales({.bytes = w.bytes, .extents = kernel_of(w), .factor = kernel.sign},
                                                            static_cast<std::uint64_t>(w.shape[1]), *tap, std::move(affine->scale)));
  return merged(graph, root, *conv, std::move(bytes), bias);
}

Result<Rewrite> merge_sum(const Graph& graph, const Node& root, double sign) {
  const Term a{.value = root.inputs[0], .sign = 1.0}, b{.value = root.inputs[1], .sign = sign};
  for (const auto merge : {merge_convs, merge_scale}) {
    for (const auto& [first, second] : {std::pair(a, b), std::pair(b, a)}) {
      SMELT_ASSIGN_OR_RETURN(Rewrite rewrite, merge(graph, root, first, second));
      if (std::holds_alternative<ir::Patch>(rewrite)) return rewrite;
    }
  }
  return Rewrite{NoMatch{"no branches over one input"}};
}

Result<Rewrite> merge_add(const Graph& graph, NodeId id) { return merge_sum(graph, graph.node(id), 1.0); }
Result<Rewrite> merge_sub(const Graph& graph, NodeId id) { return merge_sum(graph, graph.node(id), -1.0); }

}  // namespace

std::vector<ir::Rule> merge_branches_rules() {
  return {
      {.name = "merge-branches", .root = ir::OpKind::kAdd, .apply = merge_add},
      {.name = "merge-branches", .root = ir::OpKind::kSub, .apply = merge_sub},
  };
}

}  // namespace smelt::passes
